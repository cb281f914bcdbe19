use std::time::{Duration, Instant};

use super::{Meter, Meters, Short, Toll, Way};
use crate::gate::Gate;
use crate::model::{Count, Flow, Limits, Policy, Rate};
use crate::permit::RuleId;
use std::sync::Arc;

fn meter(rule: Option<&str>, limits: Limits) -> Arc<Meter> {
    Arc::new(Meter::new(rule.map(RuleId::new), limits))
}

fn meters<const N: usize>(meters: [Arc<Meter>; N]) -> Meters {
    Meters(Arc::new(meters))
}

fn bytes(per_second: u64) -> Limits {
    Limits::none().with_rate(Flow::SendBytes, Rate::per_second(per_second))
}

fn delay(short: Result<super::Passage, Short>) -> (Duration, super::Delay) {
    match short {
        Err(Short::Until(delay)) => (delay.until - Instant::now(), delay),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_strictest_of_several_meters_holds_and_the_others_get_their_rest_back() {
    let now = Instant::now();
    let most = Toll::Stream(Way::Send, 5000);
    let limits = bytes(1000).with_rate(Flow::SendMessages, Rate::per_second(2));
    let (wide, strict) = (meter(None, limits), meter(Some("r"), bytes(100)));
    let passage = meters([wide.clone(), strict]).take(most, now).unwrap();
    assert_eq!(passage.bytes(), 100);
    let alone = meters([wide]);
    let rest = alone.take(most, now).unwrap();
    assert_eq!(rest.bytes(), 900, "while the other is under way");
    passage.settle(100);
    rest.settle(900);
    let (_, delay) = delay(alone.take(Toll::Message(Way::Send, 0), now));
    assert_eq!(delay.limit.key, "send-messages-per-second");
    let (strict, wide) = (meter(None, bytes(100)), meter(Some("r"), bytes(1000)));
    let passage = meters([strict, wide.clone()]).take(most, now).unwrap();
    assert_eq!(passage.bytes(), 100);
    assert_eq!(meters([wide]).take(most, now).unwrap().bytes(), 900);
}

#[test]
fn what_passed_unasked_is_paid_for_by_what_comes_after_it() {
    let now = Instant::now();
    let limits = bytes(1000)
        .with_rate(Flow::SendMessages, Rate::per_second(2))
        .with(Count::SendBytes, 2000);
    let meters = meters([meter(None, limits)]);
    meters.charge(Way::Send, 1500, now);
    meters.charge(Way::Send, 0, now);
    let short = |after| {
        let then = now + Duration::from_millis(after);
        let (_, delay) = delay(meters.take(Toll::Message(Way::Send, 1), then));
        (delay.limit.key, delay.until - then)
    };
    let half = Duration::from_millis(500);
    assert_eq!(short(0), ("send-messages-per-second", half));
    let one = Duration::from_millis(1);
    assert_eq!(short(500), ("send-bytes-per-second", one));
    let later = now + Duration::from_secs(10);
    let rest = meters.take(Toll::Stream(Way::Send, 5000), later).unwrap();
    assert_eq!(rest.bytes(), 500, "of the total");
}

#[test]
fn what_does_not_pass_is_given_back() {
    let now = Instant::now();
    let limits = bytes(1000)
        .with_rate(Flow::SendMessages, Rate::per_second(3))
        .with(Count::SendBytes, 2000);
    let meters = meters([meter(None, limits)]);
    drop(meters.take(Toll::Message(Way::Send, 700), now).unwrap());
    let part = meters.take(Toll::Stream(Way::Send, 1000), now).unwrap();
    part.settle(400);
    assert_eq!(
        meters
            .take(Toll::Stream(Way::Send, 1000), now)
            .unwrap()
            .bytes(),
        600
    );
    // Two of the three messages are there still.
    meters
        .take(Toll::Message(Way::Send, 0), now)
        .unwrap()
        .settle(0);
    meters
        .take(Toll::Message(Way::Send, 0), now)
        .unwrap()
        .settle(0);
    let (_, delay) = delay(meters.take(Toll::Message(Way::Send, 0), now));
    assert_eq!(delay.limit.key, "send-messages-per-second");
}

#[test]
fn a_short_meter_takes_nothing_of_the_others() {
    let now = Instant::now();
    let (guest, rule) = (meter(None, bytes(1000)), meter(Some("r"), bytes(10)));
    let both = meters([guest.clone(), rule]);
    both.take(Toll::Stream(Way::Send, 10), now)
        .unwrap()
        .settle(10);
    let (_, short) = delay(both.take(Toll::Message(Way::Send, 500), now));
    assert_eq!(short.limit.rule.as_ref().map(RuleId::as_str), Some("r"));
    assert_eq!(short.until - now, Duration::from_secs(1));
    let alone = meters([guest]);
    assert_eq!(
        alone
            .take(Toll::Stream(Way::Send, 5000), now)
            .unwrap()
            .bytes(),
        990
    );
}

#[test]
fn a_total_cuts_a_stream_and_refuses_a_message() {
    let now = Instant::now();
    let limits = Limits::none().with(Count::SendBytes, 100);
    let meters = meters([meter(None, limits)]);
    let spent = |toll| match meters.take(toll, now) {
        Err(Short::Spent(limit)) => (limit.key, limit.limit),
        other => panic!("{other:?}"),
    };
    assert_eq!(spent(Toll::Message(Way::Send, 101)), ("send-bytes", 100));
    drop(meters.take(Toll::Message(Way::Send, 100), now).unwrap());
    let passage = meters.take(Toll::Stream(Way::Send, 1000), now).unwrap();
    assert_eq!(passage.bytes(), 100);
    passage.settle(100);
    assert_eq!(spent(Toll::Stream(Way::Send, 1)), ("send-bytes", 100));
    assert!(
        meters.take(Toll::Stream(Way::Send, 0), now).is_ok(),
        "nothing is always there"
    );
    assert!(
        meters.take(Toll::Stream(Way::Receive, 9), now).is_ok(),
        "the other way is free"
    );
}

#[test]
fn a_stream_is_not_fed_drop_by_drop() {
    let now = Instant::now();
    let meters = meters([meter(None, bytes(1000))]);
    meters
        .take(Toll::Stream(Way::Send, 1000), now)
        .unwrap()
        .settle(1000);
    let (_, delay) = delay(meters.take(Toll::Stream(Way::Send, 1000), now));
    assert_eq!(delay.until - now, Duration::from_millis(20));
    assert!(delay.is_news);
    let passage = meters
        .take(Toll::Stream(Way::Send, 1000), delay.until)
        .unwrap();
    assert_eq!(passage.bytes(), 20);
}

#[test]
fn a_delay_is_news_once() {
    let now = Instant::now();
    let limits = Limits::none().with_rate(Flow::Connections, Rate::per_second(1));
    let meter = meter(None, limits.clone());
    let meters = meters([meter.clone()]);
    meters.take(Toll::Connection, now).unwrap().settle(0);
    assert!(delay(meters.take(Toll::Connection, now)).1.is_news);
    assert!(!delay(meters.take(Toll::Connection, now)).1.is_news);
    meter.set_limits(&limits);
    assert!(
        delay(meters.take(Toll::Connection, now)).1.is_news,
        "after a reload it is"
    );
    drop(
        meters
            .take(Toll::Connection, now + Duration::from_secs(1))
            .unwrap(),
    );
    let passage = meters.take(Toll::Connection, now + Duration::from_secs(1));
    assert!(passage.is_ok(), "one that was not made is given back");
}

fn policy(limits: Limits) -> Policy {
    Policy::builder().limits(limits).build().unwrap()
}

#[test]
fn what_is_held_outlives_a_reload() {
    let gate = Gate::new(policy(Limits::none().with(Count::Sockets, 2)));
    let first = gate.slot().unwrap();
    let _second = gate.slot().unwrap();
    assert_eq!(gate.slot().unwrap_err().limit, 2);
    gate.replace(policy(Limits::none().with(Count::Sockets, 3)));
    let third = gate.slot().unwrap();
    gate.replace(policy(Limits::none().with(Count::Sockets, 1)));
    drop(third);
    drop(first);
    assert_eq!(
        gate.slot().unwrap_err().limit,
        1,
        "one of them is held still"
    );
}

#[test]
fn buffers_count_for_the_guest_and_for_each_rule() {
    let gate = Gate::new(policy(Limits::none().with(Count::BufferBytes, 1000)));
    let rule = meters([meter(
        Some("r"),
        Limits::none().with(Count::BufferBytes, 300),
    )]);
    let held = gate.buffer(Some(&rule), 200).unwrap();
    assert_eq!(held.bytes(), 200);
    let refused = gate.buffer(Some(&rule), 200).unwrap_err();
    assert_eq!(refused.rule.as_ref().map(RuleId::as_str), Some("r"));
    let other = gate.buffer(None, 800).unwrap();
    assert_eq!(gate.buffer(None, 1).unwrap_err().rule, None);
    drop((held, other));
    assert!(
        gate.buffer(None, 1000).is_ok(),
        "what was refused is given back too"
    );
}
