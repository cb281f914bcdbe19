//! `include`, the groups and variables of several files, and what is said of them.

use std::path::Path;

use sockgate_policy::{Count, Gate, Policy, Source};

mod common;

/// Loads the first of some files, which lie in `/p`; each begins with its `version`.
fn load(files: &[(&str, &str)]) -> Result<Policy, String> {
    let text = |body: &str| format!("version = 1\n{body}");
    let source = Source::new(files[0].0, &text(files[0].1))
        .with_base("/p")
        .with_variable("port", "443");
    let read = |path: &Path| {
        let beneath = path.strip_prefix("/p").unwrap().to_str().unwrap();
        let found = files.iter().find(|(name, _)| *name == beneath);
        found
            .map(|(_, body)| text(body))
            .ok_or_else(|| "no such file".to_owned())
    };
    Policy::from_files(&source, read).map_err(|errors| errors.to_string())
}

fn ids(policy: &Policy) -> Vec<&str> {
    policy.rule_ids().collect()
}

const ALLOW: &str =
    "[[allow]]\nid = 'web'\nfamily = ['inet']\ntype = ['stream']\nops = ['connect']\n";

#[test]
fn included_rules_groups_and_variables_are_the_policy_s_own() {
    let policy = load(&[
        ("a.toml", &format!("include = ['lan/b.toml', 'c.toml']\n{ALLOW}group = ['lan']\nport = ['${{port}}']")),
        ("lan/b.toml", "include = ['deeper/d.toml']\n[groups.lan]\ncidr = ['10.1.0.0/16']"),
        ("c.toml", "[groups]\nlab = ['10.1.9.0/24']\n[[deny]]\nid = 'no-lab'\ngroup = ['lab']"),
        ("lan/deeper/d.toml", "[[allow]]\nid = 'app'\nfamily = ['unix']\nops = ['connect']\nroot = 'run'\npath = ['*.sock']"),
    ])
    .unwrap();
    assert_eq!(ids(&policy), ["web", "app", "no-lab"]);
    assert_eq!(policy.warnings(), []);
    assert_eq!(policy.variables().collect::<Vec<_>>(), ["port"]);
    let gate = Gate::new(policy);
    let connects = |kind, to: &str| gate.connect(&common::fresh(kind), &common::at(to)).is_ok();
    assert!(connects(common::TCP4, "10.1.2.3:443"));
    assert!(!connects(common::TCP4, "10.1.9.3:443"));
    assert!(!connects(common::TCP4, "10.2.2.3:443"));
    // A relative root begins beside the file that names it.
    assert!(connects(common::UNIX, "/p/lan/deeper/run/x.sock"));
    assert!(!connects(common::UNIX, "/p/run/x.sock"));
}

#[test]
fn a_file_that_several_name_belongs_to_the_policy_once() {
    let policy = load(&[
        ("a.toml", "include = ['b.toml', 'c.toml']"),
        ("b.toml", "include = ['c.toml']"),
        ("c.toml", "[[deny]]\nid = 'x'\nclass = ['private']"),
    ]);
    assert_eq!(ids(&policy.unwrap()), ["x"]);
}

#[test]
fn of_several_settings_the_stricter_holds() {
    let policy = load(&[
        (
            "a.toml",
            "include = ['b.toml']\nmode = 'audit'\non-reload = 'keep'\n[limits]\nsockets = 5",
        ),
        (
            "b.toml",
            "mode = 'enforce'\non-reload = 'close'\n[limits]\nsockets = 9",
        ),
    ])
    .unwrap();
    assert_eq!(policy.mode(), sockgate_policy::Mode::Enforce);
    assert_eq!(policy.on_reload(), sockgate_policy::OnReload::Close);
    assert_eq!(policy.limits().count(Count::Sockets), Some(5));
}

#[test]
fn what_is_wrong_names_its_file() {
    let deep: Vec<(String, String)> = (0..10)
        .map(|at| {
            (
                format!("{at}.toml"),
                format!("include = ['{}.toml']", at + 1),
            )
        })
        .collect();
    let deep: Vec<(&str, &str)> = deep.iter().map(|(name, body)| (&**name, &**body)).collect();
    let many: Vec<String> = (0..64).map(|at| format!("{at}.toml")).collect();
    let all = format!("include = {many:?}");
    let mut many: Vec<(&str, &str)> = many.iter().map(|name| (&**name, "")).collect();
    many.insert(0, ("a.toml", &all));
    for (files, expected) in [
        (
            &[("a.toml", "include = ['b.toml']")][..],
            "a.toml:2:12: error: `b.toml` cannot be read: no such file",
        ),
        (
            &[("a.toml", "include = ['a.toml']")],
            "a.toml:2:12: error: `a.toml` includes itself",
        ),
        (
            &[
                ("a.toml", "include = ['b.toml']"),
                ("b.toml", "\ninclude = ['c.toml']"),
                ("c.toml", "\n\ninclude = [ 'b.toml' ]"),
            ],
            "c.toml:4:13: error: `b.toml` includes this file, directly or by others\n4 | include = [ 'b.toml' ]\n  |             ^^^^^^^^",
        ),
        (
            &[("a.toml", "include = ['../b.toml']")],
            "`../b.toml` does not lie beside this file",
        ),
        (
            &[("a.toml", "include = ['/b.toml']")],
            "`/b.toml` does not lie beside this file",
        ),
        (
            &[("a.toml", "include = ['x//b.toml']")],
            "`x//b.toml` does not lie beside this file",
        ),
        (
            &[("a.toml", "include = 'b.toml'")],
            "write `include = [\"b.toml\"]`",
        ),
        (
            &[
                ("a.toml", "include = ['b.toml']\n[[deny]]\nid = 'x'"),
                ("b.toml", "[[deny]]\nid = 'x'"),
            ],
            "b.toml:3:6: error: the id `x` is taken by the rule at a.toml:3",
        ),
        (
            &[
                (
                    "a.toml",
                    "include = ['b.toml']\n[groups]\nx = ['10.0.0.0/8']",
                ),
                ("b.toml", "[groups]\nx = ['10.0.0.0/8']"),
            ],
            "b.toml:3:1: error: the group `x` stands in another file",
        ),
        (
            &[
                ("a.toml", "include = ['b.toml']"),
                ("b.toml", "[[deny]]\nid = 'y'\nport = ['http']"),
            ],
            "b.toml:4:9: error: `http` is no port\n4 | port = ['http']\n  |         ^^^^^^",
        ),
        (
            &[("a.toml", "include = ['b.toml']"), ("b.toml", "[[")],
            "b.toml:2:3: error: ",
        ),
        (
            &deep,
            "7.toml:2:12: error: files include each other more than 8 deep",
        ),
        (&many, "error: the policy has more than 64 files"),
    ] {
        let said = load(files).unwrap_err();
        assert!(said.contains(expected), "{files:?}\nsays\n{said}");
    }
    // Each file says which version it is of.
    let source = Source::new("etc/a.toml", "version = 1\ninclude = ['b.toml']");
    let errors = Policy::from_files(&source, |_| Ok("reveal = true".to_owned())).unwrap_err();
    let error = errors.iter().next().unwrap();
    assert_eq!(
        (error.file(), error.position()),
        (Some("etc/b.toml"), Some((1, 1)))
    );
    assert_eq!(error.message(), "the policy has no `version`");
    assert!(
        Policy::from_toml(&source)
            .unwrap_err()
            .to_string()
            .contains("loaded as one text")
    );
}

#[test]
fn a_group_that_no_rule_names_is_warned_of() {
    let policy = load(&[
        (
            "a.toml",
            "include = ['b.toml']\n[[deny]]\nid = 'x'\npeer = { group = ['used'] }",
        ),
        (
            "b.toml",
            "[groups]\nused = ['10.0.0.0/8']\nidle = ['10.0.0.0/8']",
        ),
    ])
    .unwrap();
    let said: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
    assert!(
        said.contains(&"b.toml:4: warning: the group `idle` is used by no rule".to_owned()),
        "{said:?}"
    );
}
