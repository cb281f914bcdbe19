//! Policies as files: what they include, what `check`, `diff` and `schema` say of them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sockgate_tests::{
    TempDir, Tool, command_path, folder, oracle, patience, policy_path, skip, steps, tcp_echo,
};

const WEB: &str = "version = 1
include = [\"shared/lan.toml\"]

[[allow]]
id = \"web\"
family = [\"inet\"]
type = [\"stream\"]
ops = [\"connect\"]
group = [\"lan\"]
port = [\"${port}\"]
";

const LAN: &str = "version = 1

[groups.lan]
cidr = [\"10.0.0.0/8\", \"127.0.0.0/8\"]

[[deny]]
id = \"no-lab\"
cidr = [\"10.9.0.0/16\"]
";

/// How the command ended, and what it printed.
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
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

/// A folder with these files.
fn files(files: &[(&str, &str)]) -> Result<TempDir> {
    let place = folder()?;
    for (name, text) in files {
        let path = place.path().join(name);
        std::fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        std::fs::write(path, text)?;
    }
    Ok(place)
}

#[test]
fn an_included_file_s_rules_groups_and_variables_hold() -> Result<()> {
    let place = files(&[("web.toml", WEB), ("shared/lan.toml", LAN)])?;
    let explain = |address: &str| {
        let question = [
            "explain", "--policy", "web.toml", "--var", "port=443", "tcp", "connect",
        ];
        sockgate(place.path(), &[&question[..], &[address]].concat())
    };
    let granted = explain("10.1.2.3:443")?;
    assert_eq!(granted.status, Some(0), "{}{}", granted.out, granted.err);
    ensure!(
        granted.out.contains("web.toml:4 `web` grants it"),
        "{}",
        granted.out
    );
    let denied = explain("10.9.2.3:443")?;
    assert_eq!(denied.status, Some(1));
    ensure!(
        denied.out.contains("denied by deny rule `no-lab`"),
        "{}",
        denied.out
    );
    ensure!(explain("11.1.2.3:443")?.status == Some(1));
    ensure!(explain("10.1.2.3:444")?.status == Some(1));
    Ok(())
}

#[test]
fn a_guest_runs_under_included_rules() -> Result<()> {
    let place = files(&[("web.toml", WEB), ("shared/lan.toml", LAN)])?;
    let peer = tcp_echo("127.0.0.1:0")?;
    let connect = |port: u16, address: &str| {
        steps([
            "s = socket inet stream".to_owned(),
            format!("connect s {address}"),
        ])
        .policy(place.path().join("web.toml"))
        .variable("port", port)
        .finish(patience())
    };
    let address = format!("127.0.0.1:{}", peer.port());
    let granted = connect(peer.port(), &address)?;
    assert_eq!(granted.audit.granted("connect")?.rule(), "web");
    assert_eq!(peer.seen(), 1);
    // Its twin: the same file with another port.
    let denied = connect(peer.port() ^ 1, &address)?;
    denied.audit.denied("connect")?;
    assert_eq!(peer.seen(), 1);
    Ok(())
}

#[test]
fn what_is_wrong_in_an_included_file_is_shown_there() -> Result<()> {
    let place = files(&[
        ("web.toml", WEB),
        (
            "shared/lan.toml",
            "version = 1\n[groups]\nlan = [\"ten\"]\n",
        ),
    ])?;
    let said = sockgate(place.path(), &["check", "--var", "port=1", "web.toml"])?;
    assert_eq!(said.status, Some(1));
    let expected = "web.toml is no policy:
shared/lan.toml:3:8: error: `ten` is no network
3 | lan = [\"ten\"]
  |        ^^^^^
  = help: write `10.0.0.0/8`, `2001:db8::/32`, one address, or `*`
";
    assert_eq!(said.err, expected);

    std::fs::remove_file(place.path().join("shared/lan.toml"))?;
    let said = sockgate(place.path(), &["check", "--var", "port=1", "web.toml"])?;
    ensure!(
        said.err
            .contains("web.toml:2:12: error: `shared/lan.toml` cannot be read: No such file"),
        "{}",
        said.err
    );
    Ok(())
}

#[test]
fn check_prints_findings_as_json() -> Result<()> {
    let odd = format!("{LAN}port = [\"http\"]\n");
    let place = files(&[
        ("web.toml", WEB),
        ("shared/lan.toml", LAN),
        ("odd.toml", &odd),
        ("idle.toml", LAN),
    ])?;
    let check = |arguments: &[&str]| -> Result<(Option<i32>, Value)> {
        let said = sockgate(
            place.path(),
            &[&["check", "--format", "json"], arguments].concat(),
        )?;
        assert_eq!(said.err, "");
        Ok((said.status, serde_json::from_str(&said.out)?))
    };
    assert_eq!(
        check(&["--var", "port=443", "web.toml"])?,
        (Some(0), json!([]))
    );

    let (status, findings) = check(&["odd.toml", "idle.toml", "nowhere.toml"])?;
    assert_eq!(status, Some(1));
    let expected = json!({
        "severity": "error", "file": "odd.toml", "line": 9, "column": 9, "end_line": 9, "end_column": 15,
        "message": "`http` is no port", "help": "write `443`, `8000-9000` or `*`; ports go from 0 to 65535",
    });
    assert_eq!(findings[0], expected);
    assert_eq!(findings[1]["severity"], "warning");
    assert_eq!(findings[1]["line"], 3);
    assert_eq!(findings[1]["message"], "the group `lan` is used by no rule");
    assert_eq!(findings[2]["file"], "nowhere.toml");
    assert_eq!(findings.as_array().map(Vec::len), Some(3));

    let (status, findings) = check(&["--var", "prot=443", "--var", "port=443", "web.toml"])?;
    assert_eq!(status, Some(0));
    assert_eq!(
        findings[0]["message"],
        "the variable `prot` is used by no policy"
    );
    Ok(())
}

#[test]
fn diff_tells_what_a_guest_gains_and_loses() -> Result<()> {
    let narrow = LAN.replace("10.0.0.0/8", "10.1.0.0/16");
    let turned = "# A comment.\nversion = 1
[[deny]]\nid = \"lab\"\ncidr = [\"10.9.0.0/16\"]
[[allow]]\nid = \"other-id\"\nport = [\"443\"]\nops = [\"connect\"]
cidr = [\"127.0.0.0/8\", \"10.0.0.0/9\", \"10.128.0.0/9\"]\nfamily = [\"inet\"]\ntype = [\"stream\"]\n";
    let place = files(&[
        ("old/web.toml", WEB),
        ("old/shared/lan.toml", LAN),
        ("new/web.toml", WEB),
        ("new/shared/lan.toml", &narrow),
        ("turned.toml", turned),
        ("broken.toml", "version = 2"),
    ])?;
    let diff =
        |old: &str, new: &str| sockgate(place.path(), &["diff", "--var", "port=443", old, new]);
    let narrowed = diff("old/web.toml", "new/web.toml")?;
    assert_eq!(narrowed.status, Some(1), "{}", narrowed.err);
    assert_eq!(
        narrowed.out,
        "- may no longer tcp4 connect 10.0.0.0/8:443 except 10.1.0.0/16  (rule `web`, old/web.toml:4)\n"
    );
    let same = diff("old/web.toml", "turned.toml")?;
    assert_eq!((same.status, same.out.as_str()), (Some(0), "the same\n"));
    let broken = diff("old/web.toml", "broken.toml")?;
    assert_eq!((broken.status, broken.out.as_str()), (Some(2), ""));
    ensure!(
        broken.err.contains("broken.toml:1:11: error"),
        "{}",
        broken.err
    );
    Ok(())
}

/// Python's jsonschema agrees that it is a schema, and that examples are policies.
const VALIDATE: &str = "
import json, sys, tomllib
from jsonschema import Draft202012Validator as Draft
schema = json.load(open(sys.argv[1]))
Draft.check_schema(schema)
draft = Draft(schema)
for path in sys.argv[2:]:
    draft.validate(tomllib.load(open(path, 'rb')))
assert not draft.is_valid({'version': 1, 'alow': []})
assert not draft.is_valid({'version': 1, 'allow': [{'id': 'a', 'ops': ['conect']}]})
print('valid')
";

#[test]
fn the_schema_is_one_to_others_too() -> Result<()> {
    let place = folder()?;
    let schema = sockgate(place.path(), &["schema"])?;
    assert_eq!(schema.status, Some(0));
    let parsed: Value = serde_json::from_str(&schema.out)?;
    assert_eq!(
        parsed["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let name = "the_schema_is_one_to_others_too";
    let Some(python) = oracle(Tool::Python, name) else {
        return Ok(());
    };
    let has_jsonschema = Command::new(&python)
        .args(["-c", "import jsonschema, tomllib"])
        .output()?;
    if !has_jsonschema.status.success() {
        skip(name, "python3 has no jsonschema");
        return Ok(());
    }
    let file = place.path().join("schema.json");
    std::fs::write(&file, &schema.out)?;
    let examples = [
        "echo",
        "can-gateway",
        "uds-vin",
        "http-client",
        "kernel-crypto",
    ];
    let output = Command::new(python)
        .args(["-c", VALIDATE])
        .arg(file)
        .args(examples.map(policy_path))
        .output()?;
    ensure!(output.stdout == b"valid\n", "{output:?}");
    Ok(())
}
