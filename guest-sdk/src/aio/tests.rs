//! What needs no host: tasks and timers.

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::*;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn tasks_give_their_outputs_and_begin_others() {
    let sum = run(async {
        let tasks: Vec<_> = (0..1000)
            .map(|number| {
                spawn(async move {
                    yield_now().await;
                    spawn(async move { number }).await
                })
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await;
        }
        sum
    });
    assert_eq!(sum, 499_500);
}

#[test]
fn timers_end_in_order_and_never_early() {
    let order = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let start = Instant::now();
        let tasks = [3u32, 1, 2].map(|number| {
            let order = order.clone();
            spawn(async move {
                let duration = SHORT * number;
                sleep(duration).await;
                assert!(start.elapsed() >= duration);
                order.borrow_mut().push(number);
            })
        });
        join_all(tasks).await;
    });
    assert_eq!(*order.borrow(), [1, 2, 3]);
}

#[test]
fn a_time_out_ends_what_waits_and_not_what_is_ready() {
    run(async {
        let error = timeout(SHORT, pending::<()>()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(timeout(SHORT, async { 5 }).await.unwrap(), 5);
        assert_eq!(timeout(Duration::ZERO, async { 6 }).await.unwrap(), 6);
        assert!(timeout(Duration::MAX, sleep(SHORT)).await.is_ok());
        assert_eq!(select(sleep(LONG), sleep(SHORT)).await, Either::Second(()));
        assert_eq!(select(sleep(SHORT), sleep(LONG)).await, Either::First(()));
    });
}

/// Sets a flag when it is dropped.
struct Flag(Rc<Cell<bool>>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn an_aborted_task_drops_what_it_holds() {
    let dropped = Rc::new(Cell::new(false));
    let flag = Flag(dropped.clone());
    run(async {
        let task = spawn(async move {
            let _flag = flag;
            sleep(LONG).await;
        });
        yield_now().await;
        assert!(!task.is_finished() && !dropped.get());
        task.abort();
        assert!(dropped.get());
    });
}

#[test]
fn a_task_that_aborts_itself_ends_when_it_waits() {
    let steps = Rc::new(Cell::new(0));
    let own: Rc<RefCell<Option<Task<()>>>> = Rc::default();
    run(async {
        let (seen, mine) = (steps.clone(), own.clone());
        let task = spawn(async move {
            seen.set(1);
            let task = mine.borrow_mut().take();
            task.unwrap().abort();
            seen.set(2);
            yield_now().await;
            seen.set(3);
        });
        *own.borrow_mut() = Some(task);
        sleep(SHORT).await;
    });
    assert_eq!(steps.get(), 2);
}

#[test]
fn a_dropped_task_goes_on_until_the_run_ends() {
    let (done, left) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    run(async {
        let done = done.clone();
        drop(spawn(async move {
            yield_now().await;
            done.set(true);
        }));
        let flag = Flag(left.clone());
        drop(spawn(async move {
            let _flag = flag;
            pending::<()>().await;
        }));
        sleep(SHORT).await;
    });
    assert!(done.get() && left.get());
    // The next run begins with nothing of it.
    run(sleep(Duration::ZERO));
}

#[test]
fn what_is_spawned_before_the_run_begins_with_it() {
    let task = spawn(async { 7 });
    assert_eq!(run(task), 7);
}

#[test]
fn a_future_that_is_woken_often_has_one_turn() {
    let turns = Rc::new(Cell::new(0));
    run(async {
        let counted = turns.clone();
        drop(spawn(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            for _ in 0..10 {
                cx.waker().wake_by_ref();
            }
            if counted.get() == 2 {
                return Poll::Ready(());
            }
            Poll::Pending
        })));
        sleep(SHORT).await;
    });
    assert_eq!(turns.get(), 2);
}

#[test]
#[should_panic(expected = "every task waits for another one")]
fn a_run_that_nothing_can_wake_ends() {
    run(pending::<()>());
}

#[test]
#[should_panic(expected = "aio::run within aio::run")]
fn a_run_within_a_run_is_refused() {
    run(async { run(async {}) });
}

#[test]
fn all_of_them_are_joined_in_their_order() {
    let outputs = run(join_all([3u32, 1, 2].map(|number| async move {
        sleep(SHORT * number).await;
        number
    })));
    assert_eq!(outputs, [3, 1, 2]);
}
