//! The command line: `check`, `explain`, `--allow`, and what `run` says of guests, of itself and of what
//! they do.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sockgate_tests::{
    Audit, GuestRun, TempDir, command_path, folder, free_port, guest_path, patience, policy_path,
    steps, tcp_echo,
};

const WEB: &str = "version = 1

[[allow]]
id = \"web\"
family = [\"inet\", \"inet6\"]
type = [\"stream\"]
ops = [\"connect\"]
cidr = [\"10.0.0.0/8\"]
port = [\"443\"]

[[deny]]
id = \"no-lab\"
cidr = [\"10.9.0.0/16\"]
";

const BROKEN: &str = "version = 1

[[allow]]
id = \"web\"
family = [\"inet\"]
type = [\"strem\"]
ops = [\"connect\"]
cidr = [\"10.0.0.0/8\"]
prot = [\"443\"]
";

/// What the loader says of `BROKEN`: file, line, column, caret and mend for each mistake.
const MISTAKES: &str = "broken.toml:6:9: error: `strem` is no socket type
6 | type = [\"strem\"]
  |         ^^^^^^^
  = help: did you mean `stream`?

broken.toml:9:1: error: unknown key `prot`
9 | prot = [\"443\"]
  | ^^^^
  = help: did you mean `port`?
";

/// What the command printed, and how it ended.
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

/// A folder with `web.toml` and `broken.toml`.
fn policies() -> Result<TempDir> {
    let place = folder()?;
    std::fs::write(place.path().join("web.toml"), WEB)?;
    std::fs::write(place.path().join("broken.toml"), BROKEN)?;
    Ok(place)
}

fn sockgate(place: &Path, arguments: &[&str]) -> Result<Said> {
    let output = Command::new(command_path()?)
        .current_dir(place)
        .args(arguments)
        .output()
        .context("cannot start sockgate")?;
    Ok(Said {
        status: output.status.code(),
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

#[test]
fn check_shows_each_mistake_with_its_place_and_its_mend() -> Result<()> {
    let place = policies()?;
    let broken = sockgate(place.path(), &["check", "broken.toml"])?;
    assert_eq!(broken.status, Some(1));
    assert_eq!(broken.err, format!("broken.toml is no policy:\n{MISTAKES}"));
    assert_eq!(broken.out, "");

    let good = sockgate(place.path(), &["check", "web.toml"])?;
    assert_eq!(good.status, Some(0), "{}", good.err);
    assert_eq!(good.out, "web.toml: ok, 2 rules, 0 warnings\n");

    // One file that is none spoils the status, and the other is still checked.
    let both = sockgate(place.path(), &["check", "broken.toml", "web.toml"])?;
    assert_eq!(both.status, Some(1));
    assert_eq!(both.out, good.out);

    let missing = sockgate(place.path(), &["check", "nowhere.toml"])?;
    assert_eq!(missing.status, Some(1));
    ensure!(
        missing
            .err
            .contains("nowhere.toml cannot be read: No such file")
    );
    ensure!(sockgate(place.path(), &["check"])?.status == Some(2));
    Ok(())
}

/// A rule that never matches is warned of, and is no mistake.
#[test]
fn check_warns_of_what_never_matches() -> Result<()> {
    let place = policies()?;
    let policy = format!("{WEB}\n[[deny]]\nid = \"named\"\nhost = [\"example.com\"]\n");
    std::fs::write(place.path().join("odd.toml"), policy)?;
    let odd = sockgate(place.path(), &["check", "odd.toml"])?;
    ensure!(
        odd.out.contains("`named`") || odd.err.contains("named"),
        "{}{}",
        odd.out,
        odd.err
    );
    Ok(())
}

/// What the policies of examples leave open.
const VARIABLES: [&str; 6] = [
    "address=127.0.0.1",
    "port=7007",
    "dir=/tmp",
    "interface=can0",
    "from=can0",
    "to=can1",
];

#[test]
fn every_example_s_policy_passes_check() -> Result<()> {
    let place = folder()?;
    let mut checked = 0;
    let examples = policy_path("echo");
    for entry in std::fs::read_dir(examples.parent().context("no folder of policies")?)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let path = path.to_string_lossy().into_owned();
        let mut command = vec!["check"];
        for variable in VARIABLES {
            command.extend(["--var", variable]);
        }
        command.push(&path);
        let said = sockgate(place.path(), &command)?;
        assert_eq!(said.status, Some(0), "{path}: {}{}", said.out, said.err);
        checked += 1;
    }
    ensure!(checked >= 10, "{checked} policies");
    println!("{checked} example policies checked");
    Ok(())
}

#[test]
fn explain_names_the_rule_and_what_it_lacks() -> Result<()> {
    let place = policies()?;
    let explain = |operation: &str| {
        let words = ["explain", "--policy", "web.toml"];
        let words: Vec<&str> = words.into_iter().chain(operation.split(' ')).collect();
        sockgate(place.path(), &words)
    };
    let granted = explain("tcp connect 10.1.2.3:443")?;
    assert_eq!(granted.status, Some(0));
    assert_eq!(
        granted.out,
        "granted by rule `web`: tcp connect 10.1.2.3:443\n  web.toml:3 `web` grants it\n"
    );
    let lacks = explain("tcp connect 10.1.2.3:22")?;
    assert_eq!(lacks.status, Some(1));
    assert_eq!(
        lacks.out,
        "denied, no rule grants it: tcp connect 10.1.2.3:22\n  \
         web.toml:3 `web`: covers the peer, but not its port 22 (it says `10.0.0.0/8:443`)\n\
         rule `web` comes nearest: it covers the peer, but not its port 22; \
         this would grant it: --allow 'tcp connect 10.1.2.3:22'\n"
    );
    let denied = explain("tcp connect 10.9.2.3:443")?;
    assert_eq!(denied.status, Some(1));
    ensure!(
        denied
            .out
            .starts_with("denied by deny rule `no-lab`: tcp connect 10.9.2.3:443\n"),
        "{}",
        denied.out
    );

    // What it says would grant it does.
    let twin = sockgate(
        place.path(),
        &[
            "explain",
            "--policy",
            "web.toml",
            "--allow",
            "tcp connect 10.1.2.3:22",
            "tcp",
            "connect",
            "10.1.2.3:22",
        ],
    )?;
    assert_eq!(twin.status, Some(0), "{}", twin.out);

    let wrong = explain("tcp conect 10.1.2.3:22")?;
    assert_eq!(wrong.status, Some(2));
    ensure!(
        wrong.err.contains("`conect` is no operation"),
        "{}",
        wrong.err
    );
    let more = explain("tcp connect 10.1.2.3:443 10.9.2.3:443")?;
    assert_eq!(more.status, Some(2));
    ensure!(
        more.err.contains("`10.9.2.3:443` is one address too many"),
        "{}",
        more.err
    );
    std::fs::write(
        place.path().join("audit.toml"),
        "version = 1\nmode = \"audit\"\n",
    )?;
    let audited = sockgate(
        place.path(),
        &[
            "explain",
            "--policy",
            "audit.toml",
            "tcp",
            "connect",
            "10.1.2.3:22",
        ],
    )?;
    assert_eq!(audited.status, Some(1));
    assert_eq!(
        audited.out,
        "denied, no rule grants it: tcp connect 10.1.2.3:22\n\
         mode `audit` lets it through all the same, and writes it down\n\
         this would grant it: --allow 'tcp connect 10.1.2.3:22'\n"
    );
    let nothing = sockgate(place.path(), &["explain", "tcp", "connect", "10.1.2.3:22"])?;
    assert_eq!(nothing.status, Some(2));
    ensure!(nothing.err.contains("give --policy FILE or --allow RULE"));
    let broken = sockgate(
        place.path(),
        &[
            "explain",
            "--policy",
            "broken.toml",
            "tcp",
            "connect",
            "10.1.2.3:22",
        ],
    )?;
    assert_eq!(broken.status, Some(2));
    ensure!(broken.err.contains(MISTAKES.trim_end()), "{}", broken.err);
    Ok(())
}

/// A rule on the command line is told apart as a policy's is: place, caret, mend; and nothing runs.
#[test]
fn a_wrong_allow_shows_where_and_runs_nothing() -> Result<()> {
    let place = folder()?;
    let guest = guest_path("denial_steps")?;
    let guest = guest.to_string_lossy();
    for (rule, error) in [
        (
            "tcp conect 1.2.3.4:5",
            "--allow:1:5: error: `conect` is no operation\n1 | tcp conect 1.2.3.4:5\n  |     ^^^^^^\n  \
             = help: did you mean `connect`?",
        ),
        (
            "tpc connect 1.2.3.4:5",
            "--allow:1:1: error: `tpc` is no transport and no operation\n1 | tpc connect 1.2.3.4:5\n  | ^^^\n  \
             = help: did you mean `tcp`?",
        ),
        (
            "tcp connect 1.2.3.4:99999",
            "--allow:1:21: error: `99999` is no port\n1 | tcp connect 1.2.3.4:99999\n  |                     ^^^^^\n",
        ),
        (
            "tcp connect 1.2.3.4:80 colour=red",
            "--allow:1:24: error: unknown key `colour`\n",
        ),
        (
            "tcp connect 1.2.3.4:80 1.2.3.5:80",
            "--allow:1:24: error: one address too many\n",
        ),
        (
            "tcp connect",
            "--allow:1:1: error: `connect` without a peer\n",
        ),
        ("", "--allow:1:1: error: the rule grants no operation\n"),
    ] {
        let said = sockgate(place.path(), &["run", "--allow", rule, &guest])?;
        assert_eq!(said.status, Some(2), "{rule}");
        ensure!(
            said.err
                .starts_with(&format!("sockgate: --allow '{rule}':\n")),
            "{}",
            said.err
        );
        ensure!(said.err.contains(error), "{rule}: {}", said.err);
        ensure!(!said.out.contains("@guest"));
    }
    Ok(())
}

/// A section of a component's binary.
fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![id, u8::try_from(content.len()).unwrap_or(u8::MAX)];
    bytes.extend(content);
    bytes
}

/// A name of an import or an export.
fn name(text: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(text.len()).unwrap_or(u8::MAX)];
    bytes.extend(text.as_bytes());
    bytes
}

/// The smallest component that imports an interface with one function, and does nothing.
fn component_importing(interface: &str) -> Vec<u8> {
    let mut types = vec![1, 0x42, 2];
    // A function without parameters and results, exported by the instance.
    types.extend([0x01, 0x40, 0x00, 0x01, 0x00, 0x04]);
    types.extend(name("toggle"));
    types.extend([0x01, 0x00]);
    let mut imports = vec![1];
    imports.extend(name(interface));
    imports.extend([0x05, 0x00]);
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend(section(7, &types));
    component.extend(section(10, &imports));
    component
}

/// What is no guest is told in a sentence that says what to do.
#[test]
fn what_is_no_guest_is_told_in_a_sentence() -> Result<()> {
    let place = folder()?;
    let run = |file: &str, bytes: &[u8]| {
        std::fs::write(place.path().join(file), bytes)?;
        sockgate(place.path(), &["run", file])
    };
    let core = run("core.wasm", b"\0asm\x01\0\0\0")?;
    assert_eq!(core.status, Some(2));
    assert_eq!(
        core.err,
        "sockgate: core.wasm is a core module and no component: build it for wasm32-wasip2, \
         or make it one with `wasm-tools component new`\n"
    );
    let foreign = run(
        "foreign.wasm",
        &component_importing("acme:lights/switch@1.0.0"),
    )?;
    assert_eq!(foreign.status, Some(2));
    ensure!(
        foreign.err.starts_with(
            "sockgate: foreign.wasm imports `acme:lights/switch@1.0.0`, which nobody gives: "
        ) && foreign.err.contains("wac plug"),
        "{}",
        foreign.err
    );
    let library = run("library.wasm", b"\0asm\x0d\0\x01\0")?;
    assert_eq!(library.status, Some(2));
    ensure!(
        library.err.contains("exports no wasi:cli/run"),
        "{}",
        library.err
    );
    let garbage = run("garbage.wasm", b"no wasm at all")?;
    assert_eq!(garbage.status, Some(2));
    ensure!(
        garbage
            .err
            .starts_with("sockgate: garbage.wasm is no component that can be compiled")
    );
    let missing = sockgate(place.path(), &["run", "missing.wasm"])?;
    assert_eq!(missing.status, Some(2));
    ensure!(
        missing
            .err
            .contains("missing.wasm cannot be read: No such file")
    );
    Ok(())
}

/// The command ends as its guest does.
#[test]
fn the_exit_status_is_the_guest_s() -> Result<()> {
    assert_eq!(
        steps(["say well"]).finish(patience())?.status.code(),
        Some(0)
    );
    // wasi:cli/exit of WASI 0.2 tells failure, and not which.
    assert_eq!(steps(["exit 0"]).finish(patience())?.status.code(), Some(0));
    assert_eq!(steps(["exit 1"]).finish(patience())?.status.code(), Some(1));
    let trapped = steps(["panic", "say unreached"]).finish(patience())?;
    assert_eq!(trapped.status.code(), Some(134));
    ensure!(trapped.stderr.contains("as the test asked"));
    ensure!(trapped.step("say unreached").is_err());
    Ok(())
}

/// Environment and directories are the ones given, and no others.
#[test]
fn a_guest_has_the_environment_and_the_directories_it_was_given() -> Result<()> {
    let place = folder()?;
    std::fs::write(place.path().join("note"), "from the host")?;
    let script = [
        "env COLOUR",
        "env PATH",
        "env HOME",
        "read /data/note",
        "read /etc/hostname",
    ];
    let given = steps(script)
        .environment("COLOUR", "red=blue")
        .directory(place.path(), "/data")
        .finish(patience())?
        .success()?;
    assert_eq!(given.step("env COLOUR")?, "red=blue");
    assert_eq!(given.step("env PATH")?, "none");
    assert_eq!(given.step("env HOME")?, "none");
    assert_eq!(given.step("read /data/note")?, "from the host");
    ensure!(given.step("read /etc/hostname")?.contains("os error"));
    let bare = steps(script).finish(patience())?.success()?;
    assert_eq!(bare.step("env COLOUR")?, "none");
    ensure!(bare.step("read /data/note")?.contains("os error"));

    let wrong = steps(script)
        .option("--dir")
        .option("/nonexistent::/data")
        .finish(patience())?;
    assert_eq!(wrong.status.code(), Some(2));
    ensure!(
        wrong.stderr.contains("/nonexistent cannot be opened"),
        "{}",
        wrong.stderr
    );
    Ok(())
}

/// `--audit` appends: a second run goes on in the same file.
#[test]
fn an_audit_file_is_appended_to() -> Result<()> {
    let place = folder()?;
    let file = place.path().join("audit.jsonl");
    let script = ["s = socket inet stream", "connect s 10.1.2.3:22"];
    let run = || {
        steps(script)
            .without_audit()
            .allow("tcp connect 10.0.0.0/8:443")
            .option("--audit")
            .option(&file)
            .finish(patience())
    };
    run()?;
    let once = Audit::read(&file)?;
    assert_eq!(once.records().len(), 2);
    run()?;
    let twice = Audit::read(&file)?;
    assert_eq!(twice.records().len(), 4);
    assert_eq!(twice.of("connect").count(), 2);
    let sequences: Vec<_> = twice
        .records()
        .iter()
        .filter_map(|record| record.field("sequence").as_u64())
        .collect();
    assert_eq!(sequences, [1, 2, 1, 2]);
    for record in twice.records() {
        assert_eq!(record.field("guest"), "denial_steps");
        ensure!(record.field("time_us").as_u64().is_some());
    }
    Ok(())
}

/// The trace reads as the manual says, line by line; refusals are judged before any packet is sent.
#[test]
fn the_trace_reads_as_documented() -> Result<()> {
    let peer = tcp_echo("127.0.0.1:0")?;
    let granted = format!("127.0.0.1:{}", peer.port());
    let port = free_port()?;
    let policy = format!(
        "version = 1\n[[allow]]\nid = \"web\"\nfamily = [\"inet\", \"inet6\"]\ntype = [\"stream\"]\n\
         ops = [\"connect\"]\ncidr = [\"127.0.0.1\"]\nport = [\"{}\"]\n\
         [[deny]]\nid = \"no-lab\"\ncidr = [\"10.9.0.0/16\"]\n",
        peer.port()
    );
    let ended = steps([
        "s = socket inet6 stream",
        "t = socket inet stream",
        "connect t 10.1.2.3:22",
        "connect t 10.9.2.3:22",
        &format!("bind t 127.0.0.1:{port}"),
        &format!("connect t {granted}"),
        "send t hello",
        "recv t 5",
        "p = pair stream",
        "lookup db.example.com",
    ])
    .policy_text(&policy)
    .trace()
    .finish(patience())?
    .success()?;
    let lines: Vec<&str> = ended.stderr.lines().collect();
    // Each line ends with the socket's number, where there is one.
    let expected = [
        "socket(inet6, stream) = ok  [rule web]".to_owned(),
        "socket(inet, stream) = ok  [rule web]".to_owned(),
        "connect(10.1.2.3:22) = acces  [no rule grants connect to 10.1.2.3:22]  #2".to_owned(),
        "connect(10.9.2.3:22) = acces  [deny rule `no-lab` forbids connect to 10.9.2.3:22]  #2"
            .to_owned(),
        format!("bind(127.0.0.1:{port}) = acces  [no rule grants bind to 127.0.0.1:{port}]  #2"),
        format!("connect({granted}) = inprogress  [rule web]  #2"),
        "send(5 bytes) = 5  [rule web]  #2".to_owned(),
        "recv(5 bytes) = 5  [rule web]  #2".to_owned(),
        "socketpair(unix, stream) = acces  [no rule grants socketpair unix stream]".to_owned(),
        "resolve(db.example.com) = acces  [no rule grants resolve db.example.com]".to_owned(),
    ];
    for (number, line) in expected.iter().enumerate() {
        let same = lines.get(number).is_some_and(|found| {
            found == line
                || found.strip_prefix(line.as_str()).is_some_and(|rest| rest.starts_with("  #"))
                // A connection to this machine may be made at once.
                || **found == line.replace("= inprogress", "= ok")
        });
        ensure!(same, "line {number} is not `{line}` in:\n{}", ended.stderr);
    }
    // No colours where stderr is no terminal.
    ensure!(!ended.stderr.contains('\x1b'));
    assert_eq!(peer.seen(), 1);
    Ok(())
}

/// Without a policy a guest runs and every operation is refused; the audit says so.
#[test]
fn a_guest_without_sockets_needs_no_policy() -> Result<()> {
    let ended = GuestRun::new("arguments")
        .argument("one")
        .argument("--two")
        .finish(patience())?
        .success()?;
    assert_eq!(ended.stdout, "one --two");
    assert_eq!(ended.audit.records().len(), 0);
    Ok(())
}
