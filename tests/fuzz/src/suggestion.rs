//! What a denial suggests: a line that loads, and then grants what was denied.

use arbitrary::{Result, Unstructured};
use sockgate_policy::{Family, Gate, Policy, SocketFacts, SocketType};

use crate::question::{Asked, any_address, any_facts, any_kind};

/// One question to a policy that grants nothing, and again to the one that its denial suggests.
pub fn run(input: &mut Unstructured<'_>) -> Result<()> {
    let kind = any_kind(input)?;
    // Where both ends are one place, one line says one thing of both: it is asked for one of them.
    let ip_or_unix = matches!(kind.family, Family::Inet | Family::Inet6 | Family::Unix)
        && kind.socket_type != SocketType::Raw;
    let (facts, asks) = if ip_or_unix {
        (any_facts(input, kind)?, Asked::ALL.as_slice())
    } else if matches!(kind.family, Family::Vsock | Family::Alg | Family::Qipcrtr) {
        let asks = &[Asked::Create, Asked::Connect, Asked::Bind];
        (SocketFacts::new(kind), asks.as_slice())
    } else {
        (SocketFacts::new(kind), [Asked::Create].as_slice())
    };
    let address = any_address(input, kind)?;
    let asked = *input.choose(asks)?;
    if kind.socket_type == SocketType::Stream && asked.is_of_datagrams() {
        // The host asks once for the connection.
        return Ok(());
    }
    if matches!(asked, Asked::Listen | Asked::Accept) && facts.local.is_none() {
        return Ok(());
    }
    let message = input.bytes(input.len().min(80))?;
    let nothing = Gate::new(Policy::deny_all());
    let denial = asked
        .of(&nothing, &facts, &address, message)
        .expect_err("nothing is granted");
    assert!(!denial.to_string().is_empty() && !denial.hint().is_empty());
    let hint = denial.grant_hint();
    let Some(line) = line_of(&hint) else {
        return Ok(());
    };
    let policy = match Policy::allow_line(&line) {
        Ok(policy) => policy,
        Err(errors) => panic!("`{line}` for {denial}: {errors}"),
    };
    if let Err(still) = asked.of(&Gate::new(policy), &facts, &address, message) {
        panic!(
            "`{line}` for {denial} of {facts:?} does not grant it: {}",
            still.hint()
        );
    }
    Ok(())
}

/// The line of `--allow 'LINE'`, as a shell reads it; none where the suggestion is prose, or a place for an
/// address that nobody knows yet.
fn line_of(hint: &str) -> Option<String> {
    let quoted = hint.strip_prefix("--allow '")?.strip_suffix('\'')?;
    let line = quoted.replace("'\\''", "'");
    (!line.contains("<address>")).then_some(line)
}
