//! Families and types that this host does not serve, those of other systems above all: no policy grants
//! them, and what a policy's mode lets through answers that there is no such thing, without a system call.

use anyhow::Result;
use sockgate_tests::{GuestRun, Tool, oracle, patience};

const FAMILIES: &[&str] = &["hyperv", "system", "link", "divert", "by-number"];
const TYPES: &[&str] = &["unix-raw", "type-by-number"];

#[test]
fn what_is_not_served_answers_so_and_makes_no_system_call() -> Result<()> {
    let name = "what_is_not_served_answers_so_and_makes_no_system_call";
    let Some(strace) = oracle(Tool::Strace, name) else {
        return Ok(());
    };
    let ended = GuestRun::new("unserved_kinds")
        .policy_text("version = 1\nmode = \"audit\"\n")
        .strace(&strace)
        .finish(patience())?
        .success()?;
    for family in FAMILIES {
        let line = format!("{family}: EAFNOSUPPORT");
        assert!(ended.stdout.contains(&line), "{line}\n{}", ended.stdout);
    }
    for socket_type in TYPES {
        let line = format!("{socket_type}: ESOCKTNOSUPPORT");
        assert!(ended.stdout.contains(&line), "{line}\n{}", ended.stdout);
    }
    // The twin: what is served is made, in the same run under the same policy.
    assert!(ended.stdout.contains("udp: ok"), "{}", ended.stdout);
    let made: Vec<&str> = ended
        .syscalls()?
        .of("socket")
        .map(|call| call.line.as_str())
        .collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(made[0].contains("AF_INET, SOCK_DGRAM"), "{made:?}");
    // The operator sees what the mode let through, and what came of it.
    let told: Vec<_> = ended.audit.of("socket").collect();
    assert_eq!(told.len(), FAMILIES.len() + TYPES.len() + 1, "{told:?}");
    assert!(told.iter().all(|record| record.verdict() == "audit"));
    assert_eq!(told[0].errno(), "afnosupport");
    Ok(())
}

#[test]
fn in_enforce_mode_they_are_refused_like_all_that_lacks_a_grant() -> Result<()> {
    let ended = GuestRun::new("unserved_kinds")
        .allow("udp bind *")
        .finish(patience())?
        .success()?;
    for kind in FAMILIES.iter().chain(TYPES) {
        let line = format!("{kind}: EACCES");
        assert!(ended.stdout.contains(&line), "{line}\n{}", ended.stdout);
    }
    assert!(ended.stdout.contains("udp: ok"), "{}", ended.stdout);
    Ok(())
}
