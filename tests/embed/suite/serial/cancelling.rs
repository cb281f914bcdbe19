//! A guest that waits, in every call that may, is interrupted and stopped from outside, soon.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sockgate_embed_tests::{
    Blocked, CALLS, Figures, Obstacle, Outcome, Place, descriptors, settled_descriptors,
};
use sockgate_tests::Attack;

/// Tries of each series.
const TRIES: usize = 100;
/// 95 of a hundred take no longer.
const SOON: Duration = Duration::from_millis(10);

/// Runs a series, and once more where the first was too slow: another program may have had the processor.
fn soon(name: &str, series: impl Fn() -> Result<Figures>) -> Result<()> {
    for attempt in 1..=2 {
        let figures = series()?;
        println!("{name:34} {figures}");
        if figures.within(SOON) {
            return Ok(());
        }
        println!("{name:34} attempt {attempt}: fewer than 95 of 100 within {SOON:?}");
    }
    anyhow::bail!("{name}: fewer than 95 of 100 within {SOON:?}, twice")
}

/// Blocks the guest in the call and interrupts it, time and again: it goes on with `intr`.
fn interrupted(blocked: &Blocked, call: &str, place: Place) -> Result<Figures> {
    let mut figures = Figures::default();
    let guest = blocked.guest(place, TRIES)?;
    for _ in 0..TRIES {
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        let raised = Instant::now();
        guest.cancel.interrupt();
        let line = guest.line()?;
        figures.add(line.at - raised);
        // wasi:io cannot say `intr`: the pollable answers, and the guest finds nothing there.
        let wanted = if call == "pollable" {
            "EAGAIN "
        } else {
            "EINTR "
        };
        ensure!(line.text.starts_with(wanted), "{call}: {}", line.text);
    }
    guest.expect("done")?;
    let ended = guest.end()?;
    ensure!(ended.outcome == Outcome::Exited(0), "{:?}", ended.outcome);
    Ok(figures)
}

/// Blocks a guest in the call and stops it, each time another guest: it traps there.
fn stopped(blocked: &Blocked, call: &str, place: Place) -> Result<Figures> {
    let mut figures = Figures::default();
    for _ in 0..TRIES {
        let guest = blocked.guest(place, 1)?;
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        let raised = Instant::now();
        guest.cancel.stop();
        let ended = guest.end()?;
        figures.add(ended.at - raised);
        ensure!(
            ended.outcome == Outcome::Stopped,
            "{call}: {:?}",
            ended.outcome
        );
        ensure!(ended.lines.is_empty(), "{call} went on: {:?}", ended.lines);
    }
    Ok(figures)
}

/// Every call in this place, and not a descriptor left.
fn every_call(
    place: Place,
    verb: &str,
    series: impl Fn(&Blocked, &str, Place) -> Result<Figures>,
) -> Result<()> {
    for &(call, obstacle) in CALLS {
        let blocked = Blocked::new(call, obstacle)?;
        // One to warm up: the runtime and the engine open descriptors of their own.
        let warm = blocked.guest(place, 1)?;
        warm.expect("ready")?;
        let during = descriptors()?;
        warm.cancel.stop();
        warm.end()?;
        let before = descriptors()?;
        soon(&format!("{verb} {call} {place:?}"), || {
            series(&blocked, call, place)
        })?;
        let after = settled_descriptors(before)?;
        ensure!(
            after == before,
            "{verb} {call} {place:?}: {before} descriptors before, {after} after"
        );
        if verb == "stop" {
            let id = format!("stopped-in-{call}-{place:?}").to_lowercase();
            let phrase = "a guest stopped in the middle of each blocking call";
            Attack::new(id, "Resources", phrase)
                .tried(format!("is stopped while it waits in {call} ({place:?})"))
                .got("a trap of its own")
                .checked("it ends soon, and not a descriptor of its sockets is left")
                .saw(
                    "/proc/self/fd of the host",
                    after.saturating_sub(before),
                    during.saturating_sub(before),
                )
                .state()?;
        }
    }
    Ok(())
}

#[test]
fn interrupted_in_park() -> Result<()> {
    every_call(Place::Park, "interrupt", interrupted)
}

#[test]
fn interrupted_in_ready_alone() -> Result<()> {
    every_call(Place::ReadyAlone, "interrupt", interrupted)
}

#[test]
fn interrupted_in_ready_shared() -> Result<()> {
    every_call(Place::ReadyShared, "interrupt", interrupted)
}

#[test]
fn stopped_in_park() -> Result<()> {
    every_call(Place::Park, "stop", stopped)
}

#[test]
fn stopped_in_ready_alone() -> Result<()> {
    every_call(Place::ReadyAlone, "stop", stopped)
}

#[test]
fn stopped_in_ready_shared() -> Result<()> {
    every_call(Place::ReadyShared, "stop", stopped)
}

/// The third way to end a guest: its future is dropped where it waits.
#[test]
fn dropped_in_ready() -> Result<()> {
    for place in [Place::ReadyAlone, Place::ReadyShared] {
        for &(call, obstacle) in CALLS {
            let blocked = Blocked::new(call, obstacle)?;
            let drop_one = || -> Result<()> {
                let guest = blocked.guest(place, 1)?;
                guest.expect("ready")?;
                guest.wait_until_asleep()?;
                let ended = guest.drop_future()?;
                ensure!(
                    ended.outcome == Outcome::Dropped && ended.lines.is_empty(),
                    "{call}: {ended:?}"
                );
                Ok(())
            };
            drop_one()?;
            let before = descriptors()?;
            for _ in 0..10 {
                drop_one()?;
            }
            let after = settled_descriptors(before)?;
            ensure!(
                after == before,
                "drop {call} {place:?}: {before} descriptors before, {after} after"
            );
        }
    }
    Ok(())
}

/// An interruption that comes while the guest computes is kept for its next wait, and for one alone.
#[test]
fn an_interruption_is_taken_once() -> Result<()> {
    for place in Place::ALL {
        let blocked = Blocked::new("recv", Obstacle::None)?;
        let guest = blocked.guest(place, 2)?;
        guest.cancel.interrupt();
        guest.cancel.interrupt();
        guest.expect("ready")?;
        guest.expect("EINTR")?;
        guest.expect("ready")?;
        guest.wait_until_asleep()?;
        guest.cancel.stop();
        ensure!(guest.end()?.outcome == Outcome::Stopped);
    }
    Ok(())
}

/// poll(2) says nothing of another socket's queue, so that a send to a full one waits by the clock: it goes
/// on once there is room, and sleeps until then.
#[test]
fn a_send_to_a_full_queue_goes_on() -> Result<()> {
    for place in Place::ALL {
        for call in ["send-to", "send-many"] {
            let blocked = Blocked::new(call, Obstacle::UnixQueue)?;
            let guest = blocked.guest(place, 1)?;
            guest.expect("ready")?;
            guest.wait_until_asleep()?;
            let room = Instant::now();
            blocked.make_room()?;
            let line = guest.line()?;
            ensure!(line.text.starts_with("ok "), "{call}: {}", line.text);
            println!("{call} {place:?} went on {:?} after", line.at - room);
            guest.expect("done")?;
        }
    }
    Ok(())
}
