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
