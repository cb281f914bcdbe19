//! Sizes that a guest names are no orders: a clear errno, or a trap of that guest alone, never a panic, and
//! never more than 64 MiB of the host's memory.

use anyhow::{Context, Result, ensure};
use sockgate_embed_tests::{
    Outcome, Place, Start, peak_memory, policy, resident_memory, start_peak_anew,
};
use sockgate_tests::{Attack, folder};

const MIB: u64 = 1 << 20;
/// What a guest may make the host hold above its idle.
const LIMIT: u64 = 64 * MIB;

/// One case in one place: what the guest printed, how it ended, and the host's peak above idle.
fn case(name: &str, place: Place) -> Result<(String, Outcome, u64)> {
    let folder = folder()?;
    // The idle host has its engine, its runtime, and this guest compiled.
    let idle_guest = Start::new("embed_sizes", place, policy(folder.path())?)
        .argument("listen")
        .start()?;
    idle_guest.end()?;
    start_peak_anew()?;
    let idle = resident_memory()?;
    let guest = Start::new("embed_sizes", place, policy(folder.path())?)
        .argument(name)
        .start()?;
    guest.expect("begins")?;
    let ended = guest.end().with_context(|| format!("{name} {place:?}"))?;
    let above = peak_memory()?.saturating_sub(idle);
    Ok((ended.texts().join("; "), ended.outcome, above))
}

/// Cases that a guest survives, and what it is told.
const ANSWERED: &[(&str, &str)] = &[
    ("recv-stream", "ok 65536"),
    ("recv-all", "ok 65536"),
    ("recv-datagram", "ok 8"),
    ("recv-from", "ok 6"),
    ("recv-msg-control", "ok 16"),
    ("recv-many", "ok 1"),
    ("recv-many-none", "EINVAL"),
    ("gather", "EMSGSIZE"),
    ("gather-empty", "EMSGSIZE"),
    ("send-many", "EMSGSIZE"),
    ("poll-thousands", "EINVAL"),
    ("poll-most", "ok 4096"),
    ("poller-wait", "ok 1"),
    ("listen", "ok 0"),
    ("option", "ok 4"),
    ("path", "EACCES"),
    ("splice", "ok 1024"),
    ("closed", "ok 29"),
];

/// The attack that a case is.
fn phrase(case: &str) -> Option<&'static str> {
    Some(match case {
        "recv-stream" | "recv-all" | "recv-datagram" | "recv-from" => "recv with max = 4 GiB",
        "gather" | "gather-empty" => "a gather list of a million empty pieces",
        "poll" | "poll-thousands" | "poll-most" | "poller-wait" => "poll over a million entries",
        "recv-many" => "recv-many whose sum overflows",
        "recv-msg-control" | "send-many" | "option" | "path" => "memory without end",
        _ => return None,
    })
}

/// States a case: what the guest was told, and the host's peak above idle. `seen` is that of a guest whose own
/// memory is beyond the limit.
fn state(name: &str, place: Place, told: &str, above: u64, seen: u64) -> Result<()> {
    let Some(phrase) = phrase(name) else {
        return Ok(());
    };
    let id = format!("sizes-{name}-{place:?}").to_lowercase();
    let got = match told.strip_prefix('E') {
        Some(errno) => errno.to_lowercase(),
        None => format!("the answer `{told}`"),
    };
    Attack::new(id, "Resources", phrase)
        .tried(format!("names sizes that no host has ({name}, {place:?})"))
        .got(got)
        .checked("the host's memory stays within 64 MiB above idle")
        .saw("VmHWM of the host", above > LIMIT, seen > LIMIT)
        .state()
}

#[test]
fn a_guests_sizes_are_answered() -> Result<()> {
    let mut wrong = Vec::new();
    let (_, _, seen) = case("send-huge", Place::Park)?;
    for place in [Place::Park, Place::ReadyShared] {
        for &(name, answer) in ANSWERED {
            let (told, outcome, above) = case(name, place)?;
            println!(
                "{name:18} {place:?}: {told}, {outcome:?}, {} KiB above idle",
                above / 1024
            );
            if told != answer || outcome != Outcome::Exited(0) || above > LIMIT {
                wrong.push(format!(
                    "{name} {place:?}: {told}, {outcome:?}, {above} bytes"
                ));
            }
            state(name, place, &told, above, seen)?;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What is beyond what wasmtime lifts for one call traps its guest, and no other.
#[test]
fn beyond_wasmtimes_limit_one_guest_traps() -> Result<()> {
    let folder = folder()?;
    let (_, _, seen) = case("send-huge", Place::Park)?;
    for place in Place::ALL {
        let neighbour = Start::new("embed_blocked", place, policy(folder.path())?)
            .argument("recv")
            .argument(2)
            .argument("")
            .start()?;
        neighbour.expect("ready")?;
        for name in ["option-beyond", "send-beyond", "poll"] {
            let (told, outcome, above) = case(name, place)?;
            let Outcome::Trapped(message) = &outcome else {
                anyhow::bail!("{name} {place:?}: {told} {outcome:?}");
            };
            println!(
                "{name} {place:?}: {}",
                message.rsplit(": ").next().unwrap_or("")
            );
            println!("{name} {place:?}: {} MiB above idle", above / MIB);
            let limited = message.contains("fuel") || message.contains("handle limit exceeded");
            ensure!(told.is_empty() && limited, "{message}");
            // The guest's own bytes are 129 MiB where it sends as many.
            ensure!(above <= 129 * MIB + LIMIT, "{name}: {above} bytes");
            state(name, place, "a trap of this guest alone", above, seen)?;
        }
        neighbour.wait_until_asleep()?;
        neighbour.cancel.interrupt();
        neighbour.expect("EINTR")?;
        neighbour.expect("ready")?;
    }
    Ok(())
}

/// A hundred MiB are the guest's own memory, and borrowed: the host takes no copy of them.
#[test]
fn what_is_sent_is_not_copied() -> Result<()> {
    for (name, answer) in [("send-huge", "ok 1"), ("datagram-huge", "EMSGSIZE")] {
        let (told, outcome, above) = case(name, Place::Park)?;
        println!(
            "{name}: {told}, {} MiB with the guest's own 100",
            above / MIB
        );
        ensure!(
            told == answer && outcome == Outcome::Exited(0),
            "{told} {outcome:?}"
        );
        ensure!(above <= 100 * MIB + 8 * MIB, "{name}: {above} bytes");
    }
    Ok(())
}
