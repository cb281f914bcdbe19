//! Sockets as buffered files, beside Python's `makefile`: lines, limits, counts, and time-outs that lose nothing.

use anyhow::{Result, ensure};
use sockgate_tests::{Ended, GuestRun, Native, PythonServer, Tool, covers, oracle, patience, told};

/// The server, and what a guest said that did this with it; none without Python.
fn run(action: &str, name: &str) -> Result<Option<(PythonServer, Ended)>> {
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(None);
    };
    let server = PythonServer::start(&python, &[])?;
    let ended = GuestRun::new("convenience_files")
        .allow(&format!("tcp connect {}", server.v4()))
        .argument(action)
        .argument(server.v4())
        .finish(patience())?
        .success()?;
    Ok(Some((server, ended)))
}

fn lines(ended: &Ended) -> Vec<&str> {
    ended.stdout.lines().collect()
}

#[test]
fn a_time_out_in_a_line_loses_nothing() -> Result<()> {
    let name = "a_time_out_in_a_line_loses_nothing";
    let Some((_server, ended)) = run("lines", name)? else {
        return Ok(());
    };
    let expected = [
        r#"kept """#,
        r#"kept "first li""#,
        r#"line "first line""#,
        r#"kept "second""#,
        r#"line "second line""#,
        // A character that the time-out cut in two.
        r#"kept "caf\u{fffd}""#,
        r#"line "café""#,
        r#"kept """#,
        r#"line """#,
        r#"kept """#,
        r#"line "last""#,
        "time-out true",
        "end []",
    ];
    let said: Vec<_> = lines(&ended)
        .iter()
        .map(|line| line.replace('\u{fffd}', r"\u{fffd}"))
        .collect();
    assert_eq!(said, expected);
    covers(&["makefile"]);
    Ok(())
}

#[test]
fn python_s_files_are_done_for_after_a_time_out() -> Result<()> {
    let name = "python_s_files_are_done_for_after_a_time_out";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    // What the documentation of `SocketFile` says of them.
    let native = Native::python(&python, "convenience.py", ["timed-out-file"])?;
    let said = native.finish(patience())?;
    assert_eq!(
        said,
        ["error timed out", "error cannot read from timed out object"]
    );
    Ok(())
}

#[test]
fn a_line_may_have_a_limit() -> Result<()> {
    let Some((_server, ended)) = run("limits", "a_line_may_have_a_limit")? else {
        return Ok(());
    };
    let expected = [
        r#"limited "0123456789""#,
        r#"none """#,
        "too long msgsize",
        "too long msgsize",
        r#"text Some("abcdef")"#,
        "no text Some(InvalidData)",
        r#"text Some("rest")"#,
        r#"text Some("0123")"#,
        r#"text Some("end")"#,
        "text None",
    ];
    assert_eq!(lines(&ended), expected);
    Ok(())
}

#[test]
fn counted_bytes_come_whole() -> Result<()> {
    let Some((_server, ended)) = run("counts", "counted_bytes_come_whole")? else {
        return Ok(());
    };
    let expected = [
        "read 70001",
        "rest 29999",
        "same true",
        "end 0",
        "empty again",
        r#"part again "so""#,
        r#"whole "some""#,
    ];
    assert_eq!(lines(&ended), expected);
    Ok(())
}

#[test]
fn the_time_out_of_a_line_is_for_the_whole() -> Result<()> {
    let name = "the_time_out_of_a_line_is_for_the_whole";
    let Some((_server, ended)) = run("dribble", name)? else {
        return Ok(());
    };
    let said = lines(&ended);
    assert_eq!(told(&said, "line"), ["timedout", "timedout"]);
    assert_eq!(told(&said, "kept"), ["true", "true"]);
    for elapsed in told(&said, "elapsed") {
        let elapsed: u64 = elapsed.parse()?;
        ensure!((200..20_000).contains(&elapsed), "{elapsed} ms");
    }
    Ok(())
}

#[test]
fn a_file_gives_back_what_it_took() -> Result<()> {
    let Some((_server, ended)) = run("parts", "a_file_gives_back_what_it_took")? else {
        return Ok(());
    };
    let expected = [
        r#"unbuffered Some("one")"#,
        "unread 0",
        r#"taken "two\n""#,
        r#"socket "three""#,
        r#"unsent "not yet""#,
        r#"parts "wo\nthree" "not yet""#,
        r#"alone Some("one")"#,
        "owner true",
    ];
    assert_eq!(lines(&ended), expected);
    covers(&["SocketIO"]);
    Ok(())
}

#[test]
fn std_s_methods_work_on_a_file() -> Result<()> {
    let Some((_server, ended)) = run("std", "std_s_methods_work_on_a_file")? else {
        return Ok(());
    };
    let expected = [
        r#"first "line number 0\n""#,
        r#"until "line number 1\nline number 2""#,
        r#"lines 8 Some("line number 9")"#,
    ];
    assert_eq!(lines(&ended), expected);
    Ok(())
}

#[test]
fn what_is_written_arrives_whole_over_time_outs() -> Result<()> {
    let name = "what_is_written_arrives_whole_over_time_outs";
    let Some((server, ended)) = run("write", name)? else {
        return Ok(());
    };
    let said = lines(&ended);
    assert_eq!(told(&said, "unsent"), ["11"]);
    assert_eq!(told(&said, "passed"), ["true"]);
    assert_eq!(told(&said, "time-out"), ["true"]);
    assert_eq!(told(&said, "flush"), ["timedout early false"]);
    assert_eq!(told(&said, "left"), ["true", "none true"]);
    let sent = told(&said, "sent");
    assert_eq!(sent.len(), 2);
    for sent in sent {
        let received = format!("received {sent}");
        server.native.wait_for_line(&received, patience())?;
    }
    Ok(())
}
