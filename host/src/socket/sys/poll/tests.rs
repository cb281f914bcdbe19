use sockgate_policy::MessageFlags;

use super::super::testing::{datagram_pair, received, stream_pair};
use super::super::{life, message};
use super::*;

fn send(socket: &OwnedFd) {
    message::send(socket.as_fd(), b"x", MessageFlags::empty()).unwrap();
}

const ZERO: Option<Duration> = Some(Duration::ZERO);

#[test]
fn ppoll_tells_what_is_ready() {
    let (near, far) = stream_pair();
    let (idle, _other) = datagram_pair();
    let both = Readiness::READABLE | Readiness::WRITABLE;
    let mut list = [
        PollFd::new(far.as_fd(), both),
        PollFd::new(idle.as_fd(), Readiness::READABLE),
        PollFd::new(far.as_fd(), Readiness::READABLE | Readiness::PEER_CLOSED),
    ];
    assert_eq!(ppoll(&mut list, ZERO), Ok(1));
    assert_eq!(list.each_ref().map(PollFd::events)[0], Readiness::WRITABLE);
    send(&near);
    assert_eq!(ppoll(&mut list, None), Ok(2));
    assert_eq!(list[0].events(), both);
    assert_eq!(list[1].events(), Readiness::empty());
    life::shutdown(near.as_fd(), life::How::Write).unwrap();
    assert_eq!(ppoll(&mut list, None), Ok(2));
    assert_eq!(
        list[2].events(),
        Readiness::READABLE | Readiness::PEER_CLOSED
    );
    drop(near);
    assert_eq!(ppoll(&mut list, None), Ok(2));
    assert!(list[2].events().contains(Readiness::HANG_UP));
}

#[test]
fn an_eventfd_wakes_until_it_is_drained() {
    let event = EventFd::create().unwrap();
    assert!(!event.drain());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut list = [PollFd::new(event.as_fd(), Readiness::READABLE)];
            ppoll(&mut list, Some(Duration::from_secs(20)))
        });
        event.signal();
        event.signal();
        assert_eq!(waiting.join().unwrap(), Ok(1));
    });
    assert!(event.drain());
    assert!(!event.drain());
}

#[test]
fn epoll_gives_tokens_for_what_it_watches() {
    let epoll = Epoll::create().unwrap();
    let (near, far) = stream_pair();
    let mut ready = vec![(1, Readiness::empty())];
    epoll.wait(&mut ready, 10, ZERO).unwrap();
    assert_eq!(ready, []);
    assert_eq!(
        epoll.modify(far.as_fd(), 7, Readiness::READABLE),
        Err(Errno::NOENT)
    );
    assert_eq!(epoll.remove(far.as_fd()), Err(Errno::NOENT));
    epoll
        .add(far.as_fd(), u64::MAX, Readiness::READABLE)
        .unwrap();
    assert_eq!(
        epoll.add(far.as_fd(), 7, Readiness::READABLE),
        Err(Errno::EXIST)
    );
    epoll.add(near.as_fd(), 2, Readiness::WRITABLE).unwrap();
    send(&near);
    epoll.wait(&mut ready, 10, None).unwrap();
    ready.sort_by_key(|(token, _)| *token);
    assert_eq!(
        ready,
        [(2, Readiness::WRITABLE), (u64::MAX, Readiness::READABLE)]
    );
    epoll.wait(&mut ready, 1, None).unwrap();
    assert_eq!(ready.len(), 1);
    epoll.wait(&mut ready, 0, None).unwrap();
    assert_eq!(ready.len(), 1, "0 is taken for 1");
    epoll.remove(near.as_fd()).unwrap();
    received(far.as_fd());
    epoll.modify(far.as_fd(), 8, Readiness::WRITABLE).unwrap();
    epoll.wait(&mut ready, usize::MAX, None).unwrap();
    assert_eq!(ready, [(8, Readiness::WRITABLE)]);
    drop(far);
    epoll.wait(&mut ready, 10, ZERO).unwrap();
    assert_eq!(ready, [], "a closed socket left");
}

/// Time-outs of all sizes, and how each wait keeps them.
fn never_early(wait: impl Fn(Duration)) {
    for nanoseconds in [
        0, 1, 999, 1_000, 999_999, 1_000_000, 1_000_001, 2_500_000, 13_000_000,
    ] {
        let timeout = Duration::from_nanos(nanoseconds);
        for _ in 0..20 {
            let start = Instant::now();
            wait(timeout);
            let took = start.elapsed();
            assert!(took >= timeout, "{timeout:?} ended after {took:?}");
        }
    }
}

#[test]
fn ppoll_never_ends_early() {
    let (near, _far) = stream_pair();
    never_early(|timeout| {
        let mut list = [PollFd::new(near.as_fd(), Readiness::READABLE)];
        assert_eq!(ppoll(&mut list, Some(timeout)), Ok(0));
    });
}

#[test]
fn epoll_never_ends_early() {
    let (near, _far) = stream_pair();
    let epoll = Epoll::create().unwrap();
    epoll.add(near.as_fd(), 1, Readiness::READABLE).unwrap();
    never_early(|timeout| {
        let mut ready = Vec::new();
        epoll.wait(&mut ready, 4, Some(timeout)).unwrap();
        assert_eq!(ready, []);
    });
}

#[test]
fn epoll_with_milliseconds_never_ends_early_either() {
    let (near, far) = stream_pair();
    let epoll = Epoll::create().unwrap();
    epoll.add(near.as_fd(), 1, Readiness::READABLE).unwrap();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 4];
    never_early(|timeout| {
        let mut events = events;
        let count = epoll.wait_milliseconds(events.as_mut_ptr(), 4, Some(timeout));
        assert_eq!(count, Ok(0));
    });
    send(&far);
    for timeout in [None, Some(Duration::MAX)] {
        assert_eq!(
            epoll.wait_milliseconds(events.as_mut_ptr(), 4, timeout),
            Ok(1)
        );
    }
}

#[test]
fn the_longest_timeouts_are_taken() {
    let (near, far) = stream_pair();
    send(&far);
    let epoll = Epoll::create().unwrap();
    epoll.add(near.as_fd(), 1, Readiness::READABLE).unwrap();
    let mut ready = Vec::new();
    for timeout in [
        Duration::MAX,
        Duration::from_nanos(u64::MAX),
        Duration::from_secs(1 << 62),
    ] {
        let mut list = [PollFd::new(near.as_fd(), Readiness::READABLE)];
        assert_eq!(ppoll(&mut list, Some(timeout)), Ok(1));
        epoll.wait(&mut ready, 4, Some(timeout)).unwrap();
        assert_eq!(ready.len(), 1);
    }
}
