//! Tasks and whose turn it is.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::reactor;

/// So many socket operations of one turn succeed at once, before the task lets others have theirs.
const BUDGET: u32 = 128;
/// The future that [`run`] was given, beside the tasks.
const MAIN: u64 = 0;

/// Runs a future to its end, and beside it the tasks that were [`spawn`]ed. Tasks that are left when it
/// ends are dropped.
///
/// # Panics
/// Within another `run`; and where nothing is left that could ever wake anybody (everybody waits for
/// somebody else, and nobody for a socket or a timer), since the guest would hang.
pub fn run<F: Future>(future: F) -> F::Output {
    let executor = current();
    assert!(
        !executor.running.replace(true),
        "aio::run within aio::run: await the future, or spawn it"
    );
    let _running = Running(&executor);
    let mut future = pin!(future);
    Arc::new(TaskWaker::new(MAIN, &executor.woken)).wake();
    loop {
        for _ in 0..executor.woken.count() {
            let Some(task) = executor.woken.next() else {
                break;
            };
            executor.budget.set(BUDGET);
            if task.id != MAIN {
                executor.turn(task);
                continue;
            }
            let waker = Waker::from(task);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
        }
        reactor::turn(executor.woken.count() == 0);
    }
}

/// Begins a task beside the caller's. It runs whether or not its [`Task`] is awaited, from the next time
/// that the caller waits; before [`run`], from when that begins.
///
/// ```no_run
/// use sockgate_guest::aio;
///
/// aio::run(async {
///     let task = aio::spawn(async { 6 * 7 });
///     assert_eq!(task.await, 42);
/// });
/// ```
pub fn spawn<F>(future: F) -> Task<F::Output>
where
    F: Future<Output: 'static> + 'static,
{
    let executor = current();
    let outcome = Rc::new(Outcome::default());
    let promise = outcome.clone();
    let id = executor.next.get();
    executor.next.set(id + 1);
    let future: LocalFuture = Box::pin(async move { promise.keep(future.await) });
    executor.tasks.borrow_mut().insert(id, Some(future));
    Arc::new(TaskWaker::new(id, &executor.woken)).wake();
    Task { id, outcome }
}

/// Lets the other tasks have their turn first.
pub async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Before each operation on a socket: a task whose sockets are always ready lets the others have their
/// turn now and then.
pub(super) async fn take_part() {
    let executor = current();
    match executor.budget.get() {
        0 => yield_now().await,
        left => executor.budget.set(left - 1),
    }
}

/// A task that was [`spawn`]ed. Awaiting it gives what its future gave; dropping it lets the task go on;
/// [`abort`](Self::abort) ends it.
#[must_use = "drop it to let the task go on by itself, or await it"]
pub struct Task<T> {
    id: u64,
    outcome: Rc<Outcome<T>>,
}

impl<T> Task<T> {
    /// Ends the task where it waits, and drops its future; one that has ended stays as it is. A task that
    /// ends itself is dropped when it next waits.
    pub fn abort(self) {
        let removed = current().tasks.borrow_mut().remove(&self.id);
        // Only now, since dropping it may end or begin others.
        drop(removed);
    }

    /// Whether it has come to its end.
    pub fn is_finished(&self) -> bool {
        self.outcome.finished.get()
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if let Some(value) = self.outcome.value.take() {
            return Poll::Ready(value);
        }
        assert!(!self.is_finished(), "a task that was awaited twice");
        self.outcome.waiter.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// What a task leaves for who awaits it.
struct Outcome<T> {
    value: Cell<Option<T>>,
    finished: Cell<bool>,
    waiter: Cell<Option<Waker>>,
}

impl<T> Default for Outcome<T> {
    fn default() -> Self {
        Self {
            value: Cell::new(None),
            finished: Cell::new(false),
            waiter: Cell::new(None),
        }
    }
}

impl<T> Outcome<T> {
    fn keep(&self, value: T) {
        self.value.set(Some(value));
        self.finished.set(true);
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

type LocalFuture = Pin<Box<dyn Future<Output = ()>>>;

/// The tasks of this thread.
struct Executor {
    running: Cell<bool>,
    next: Cell<u64>,
    budget: Cell<u32>,
    /// Each task's future; none while it has its turn.
    tasks: RefCell<HashMap<u64, Option<LocalFuture>>>,
    woken: Arc<Woken>,
}

thread_local! {
    static EXECUTOR: Rc<Executor> = Rc::new(Executor {
        running: Cell::new(false),
        next: Cell::new(MAIN + 1),
        budget: Cell::new(0),
        tasks: RefCell::default(),
        woken: Arc::default(),
    });
}

fn current() -> Rc<Executor> {
    EXECUTOR.with(Rc::clone)
}

impl Executor {
    /// Polls one task, if it still is.
    fn turn(&self, task: Arc<TaskWaker>) {
        let id = task.id;
        let future = self.tasks.borrow_mut().get_mut(&id).and_then(Option::take);
        let Some(mut future) = future else {
            return;
        };
        let waker = Waker::from(task);
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_pending()
            && let Some(place) = self.tasks.borrow_mut().get_mut(&id)
        {
            *place = Some(future);
            return;
        }
        // It ended, or was aborted meanwhile. Nothing is borrowed here: dropping may end or begin others.
        self.tasks.borrow_mut().remove(&id);
        drop(future);
    }
}

/// While [`run`] runs; then what is left is dropped.
struct Running<'a>(&'a Executor);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        loop {
            let left = std::mem::take(&mut *self.0.tasks.borrow_mut());
            if left.is_empty() {
                break;
            }
            drop(left);
        }
        while self.0.woken.next().is_some() {}
        self.0.running.set(false);
    }
}

/// Who was woken, in order.
#[derive(Default)]
struct Woken(Mutex<VecDeque<Arc<TaskWaker>>>);

impl Woken {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<TaskWaker>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.lock().len()
    }

    fn next(&self) -> Option<Arc<TaskWaker>> {
        let task = self.lock().pop_front()?;
        task.queued.store(false, Relaxed);
        Some(task)
    }
}

/// Wakes one task; woken twice before its turn, it has one turn.
struct TaskWaker {
    id: u64,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl TaskWaker {
    fn new(id: u64, woken: &Arc<Woken>) -> Self {
        Self {
            id,
            queued: AtomicBool::new(false),
            woken: woken.clone(),
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Relaxed) {
            let woken = self.woken.clone();
            woken.lock().push_back(self);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.clone().wake();
    }
}
