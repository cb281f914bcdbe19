//! The guest's limits: what it holds is counted, whatever way it came to it, and given back.

use anyhow::Result;
use sockgate_tests::{GuestRun, patience, steps};

fn pairs(sockets: usize, script: &[&str]) -> GuestRun {
    steps(script).policy_text(&format!(
        "version = 1\n[limits]\nsockets = {sockets}\n[[allow]]\nid = \"pairs\"\nfamily = [\"unix\"]\n\
         type = [\"stream\"]\nops = [\"socketpair\"]\n"
    ))
}

/// Sockets and further handles on them count alike, and closing either gives it back.
#[test]
fn further_handles_count_like_sockets() -> Result<()> {
    let script = [
        "p = pair stream",
        "d = dup p",
        "e = dup p",
        "close d",
        "f = dup p",
    ];
    let ended = pairs(3, &script).finish(patience())?.success()?;
    assert_eq!(ended.step("d = dup p")?, "ok");
    assert_eq!(ended.step("e = dup p")?, "mfile");
    assert_eq!(ended.step("f = dup p")?, "ok");
    let over = ended
        .audit
        .of("dup")
        .find(|record| record.verdict() == "limit");
    assert_eq!(over.map(|record| record.errno()), Some("mfile"));
    Ok(())
}

/// A pair needs room for both ends; where there is room for one only, none is made.
#[test]
fn a_pair_needs_two_places() -> Result<()> {
    let ended = pairs(3, &["p = pair stream", "q = pair stream", "d = dup p"])
        .finish(patience())?
        .success()?;
    assert_eq!(ended.step("q = pair stream")?, "mfile");
    // The place that the second pair took for a moment is free again.
    assert_eq!(ended.step("d = dup p")?, "ok");
    Ok(())
}

/// A detached socket still is a descriptor of the host's.
#[test]
fn a_detached_socket_counts() -> Result<()> {
    let script = [
        "p = pair stream",
        "k = detach p",
        "d = dup p'",
        "e = dup p'",
    ];
    let ended = pairs(3, &script).finish(patience())?.success()?;
    assert_eq!(ended.step("k = detach p")?, "ok");
    assert_eq!(ended.step("d = dup p'")?, "ok");
    assert_eq!(ended.step("e = dup p'")?, "mfile");
    Ok(())
}

/// Pollables of wasi:io are no sockets, and have an end of their own; dropping them gives it back.
#[test]
fn pollables_have_an_end() -> Result<()> {
    let script = ["p = pair stream", "subscribe p 5000", "subscribe p 4096"];
    let ended = pairs(3, &script).finish(patience())?.success()?;
    assert_eq!(ended.step("subscribe p 5000")?, "4096 kept, then mfile");
    assert_eq!(ended.step("subscribe p 4096")?, "4096 kept, then none");
    Ok(())
}

/// A list that is longer than a poll may be is refused as a whole; one of a million entries ends its guest alone.
#[test]
fn a_poll_has_an_end() -> Result<()> {
    let script = [
        "p = pair stream",
        "poll-list p 4096",
        "poll-list p 4097",
        "poll-list p 1000000",
    ];
    let ended = pairs(3, &script).finish(patience())?;
    assert_eq!(ended.step("poll-list p 4096")?, "ok 0");
    assert_eq!(ended.step("poll-list p 4097")?, "inval");
    assert!(ended.step("poll-list p 1000000").is_err());
    assert_eq!(ended.status.code(), Some(134), "it trapped");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    Ok(())
}

/// What a guest names is told to the operator up to a point.
#[test]
fn an_event_does_not_grow_with_what_a_guest_names() -> Result<()> {
    let name = "n".repeat(100_000);
    let script = format!("g = granted {name}");
    let ended = pairs(3, &[&script]).finish(patience())?.success()?;
    assert_eq!(ended.step(&script)?, "noent");
    let event = ended.audit.of("granted").next().expect("it is on record");
    let told = event.field("arguments").as_str().unwrap_or_default().len();
    assert!(
        (1000..1100).contains(&told),
        "{told} bytes were written down"
    );
    Ok(())
}
