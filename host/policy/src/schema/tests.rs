//! The schema and the loader know the same keys, and agree about structure.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::collections::BTreeSet;
use std::path::Path;

use regex_automata::meta::Regex;
use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::json_schema;
use crate::load::keys::{ADDRESS, RULE, TOP};
use crate::{Policy, Source};

/// What is wrong with a value by a schema: the keywords that the schema of policies uses, and no others.
fn wrong(schema: &Value, root: &Value, value: &Value, at: &str) -> Option<String> {
    let object = schema.as_object().unwrap();
    let own = |keyword: &str| match keyword {
        "$ref" => {
            let pointer = schema["$ref"].as_str().unwrap().trim_start_matches('#');
            wrong(root.pointer(pointer).unwrap(), root, value, at)
        }
        "anyOf" => {
            let ways = schema["anyOf"].as_array().unwrap();
            let fits = ways.iter().any(|way| wrong(way, root, value, at).is_none());
            (!fits).then(|| format!("{at}: {value} is none of several"))
        }
        "const" => (*value != schema["const"]).then(|| format!("{at}: not {}", schema["const"])),
        "enum" => {
            let words = schema["enum"].as_array().unwrap();
            (!words.contains(value)).then(|| format!("{at}: {value} is no known word"))
        }
        "type" => {
            let types = match &schema["type"] {
                Value::Array(types) => types.clone(),
                one => vec![one.clone()],
            };
            let is = |name: &str| match name {
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("type {other}"),
            };
            let fits = types.iter().any(|name| is(name.as_str().unwrap()));
            (!fits).then(|| format!("{at}: {value} is no {}", schema["type"]))
        }
        "pattern" => {
            let pattern = Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
            let text = value.as_str()?;
            (!pattern.is_match(text))
                .then(|| format!("{at}: {text} is not of {}", schema["pattern"]))
        }
        "minLength" => (value.as_str()?.is_empty()).then(|| format!("{at}: empty text")),
        "minItems" => (value.as_array()?.is_empty()).then(|| format!("{at}: empty list")),
        "minimum" => {
            (value.as_i64()? < schema["minimum"].as_i64()?).then(|| format!("{at}: too low"))
        }
        "items" => {
            let mut items = value.as_array()?.iter().enumerate();
            items.find_map(|(place, item)| {
                wrong(&schema["items"], root, item, &format!("{at}[{place}]"))
            })
        }
        "required" => {
            let object = value.as_object()?;
            let mut keys = schema["required"].as_array().unwrap().iter();
            let missing = keys.find(|key| !object.contains_key(key.as_str().unwrap()))?;
            Some(format!("{at}: {missing} is missing"))
        }
        "properties" | "additionalProperties" => {
            let properties = schema["properties"].as_object();
            let others = &schema["additionalProperties"];
            value.as_object()?.iter().find_map(|(key, value)| {
                let at = format!("{at}.{key}");
                match (properties.and_then(|known| known.get(key)), others) {
                    (Some(known), _) => wrong(known, root, value, &at),
                    (None, Value::Bool(false)) => Some(format!("{at} is unknown")),
                    (None, Value::Object(_)) => wrong(others, root, value, &at),
                    (None, other) => panic!("additionalProperties: {other}"),
                }
            })
        }
        "$schema" | "$defs" | "title" | "description" => None,
        other => panic!("the walker does not know `{other}`"),
    };
    object.keys().find_map(|keyword| own(keyword))
}

fn json_of(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => json!(text.as_ref()),
        DeValue::Integer(number) => {
            json!(i64::from_str_radix(number.as_str(), number.radix()).unwrap())
        }
        DeValue::Boolean(flag) => json!(flag),
        DeValue::Array(array) => array.iter().map(|entry| json_of(entry.get_ref())).collect(),
        DeValue::Table(table) => json_of_table(table),
        DeValue::Float(float) => json!(float.as_str().parse::<f64>().unwrap()),
        DeValue::Datetime(time) => json!({ "datetime": time.to_string() }),
    }
}

fn json_of_table(table: &DeTable<'_>) -> Value {
    let entries = table.iter();
    let entries = entries.map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
    Value::Object(entries.collect())
}

/// What is wrong with a policy's text by the schema; none if it is no TOML.
fn wrong_by_schema(text: &str) -> Option<Option<String>> {
    let document = DeTable::parse(text).ok()?;
    let schema = json_schema();
    Some(wrong(
        &schema,
        &schema,
        &json_of_table(document.get_ref()),
        "policy",
    ))
}

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<(String, String)> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn every_example_policy_is_valid() {
    let examples = files("../../examples/policies");
    assert!(examples.len() >= 20);
    for (name, text) in examples {
        assert_eq!(wrong_by_schema(&text), Some(None), "{name}");
    }
}

/// What the loader says of structure, keys and fixed words, which a schema sees as well.
const STRUCTURAL: &[&str] = &[
    "unknown key",
    "there is no limit",
    "is empty",
    "is an empty list",
    "has an empty text",
    "is no list",
    "neither a text nor a whole number",
    "is no table",
    "is no text",
    "is `true` or `false`",
    "a rule is a table",
    "a pair has `rx` and `tx`",
    "no `version`",
    "this version of policies",
    "the rule has no `id`",
    "the rule grants no operation",
    "has no `cidr`",
    "is no address family",
    "is no socket type",
    "is no operation",
    "is no class",
    "is no mode; there",
    "on-reload` cannot be",
    "is no message flag",
    "is always allowed",
    "is no kind of descriptor",
    "is no request of ioctl",
    "is no amount",
];

#[test]
fn a_broken_structure_is_invalid_and_nothing_else_is() {
    let mut counted = [0, 0];
    for (name, text) in files("tests/broken") {
        let Some(found) = wrong_by_schema(&text) else {
            continue;
        };
        let expected =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/broken/{name}.expected"));
        let expected = std::fs::read_to_string(expected).unwrap();
        // What is wrong with a file that it includes is seen there.
        let of_its_own = format!("{name}.toml:");
        let mut said = expected
            .lines()
            .filter(|line| line.starts_with(&of_its_own));
        let structural = said.any(|line| STRUCTURAL.iter().any(|phrase| line.contains(phrase)));
        assert_eq!(found.is_some(), structural, "{name}: {found:?}\n{expected}");
        counted[usize::from(structural)] += 1;
    }
    assert!(counted.iter().all(|count| *count >= 12), "{counted:?}");
}

/// What the loader says about one more key with this value, in a rule or at the top.
fn unknown(text: &str) -> bool {
    let loaded = Policy::from_toml(&Source::new("keys", text));
    let errors = loaded.map_or_else(|errors| errors.to_string(), |_| String::new());
    errors.contains("unknown key") || errors.contains("there is no limit")
}

#[test]
fn the_schema_and_the_loader_know_the_same_keys() {
    let schema = json_schema();
    let keys = |pointer: &str| -> BTreeSet<String> {
        let properties = schema
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{pointer}"));
        properties.as_object().unwrap().keys().cloned().collect()
    };
    let top = keys("/properties");
    let rule = keys("/$defs/allow/properties");
    let ends = keys("/$defs/ends/anyOf/1/properties");
    let limits = keys("/$defs/limits/properties");
    assert_eq!(rule, keys("/$defs/deny/properties"));
    // Whatever is written: an integer is of no key's form but a few, and its key is known or not.
    for key in &top {
        assert!(!unknown(&format!("{key} = 1")), "{key}");
    }
    for key in &rule {
        assert!(!unknown(&format!("[[allow]]\n{key} = 1")), "{key}");
    }
    for key in &ends {
        assert!(
            !unknown(&format!("[[allow]]\npeer = {{ {key} = 1 }}")),
            "{key}"
        );
    }
    for key in &limits {
        assert!(!unknown(&format!("[limits]\n{key} = 1")), "{key}");
    }
    // The loader suggests every key that it knows for one that it does not know.
    let suggested = |text: &str| -> BTreeSet<String> {
        let errors = Policy::from_toml(&Source::new("keys", text)).unwrap_err();
        let error = errors
            .iter()
            .find(|error| error.message().contains("zzzzzzzzzzzz"));
        let help = error.unwrap().help().to_owned();
        help.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(suggested("zzzzzzzzzzzz = 1"), top);
    assert_eq!(suggested("[[allow]]\nzzzzzzzzzzzz = 1"), rule);
    assert_eq!(suggested("[[allow]]\npeer = { zzzzzzzzzzzz = 1 }"), ends);
    assert_eq!(suggested("[limits]\nzzzzzzzzzzzz = 1"), limits);
    // A key of families names each of them.
    for (key, families) in [
        ("can-id", "can"),
        ("instance", "tipc"),
        ("node", "tipc, qipcrtr"),
    ] {
        let description = &schema["$defs"]["allow"]["properties"][key]["description"];
        let said = description.as_str().unwrap();
        assert!(
            said.starts_with(&format!("For the families {families}: ")),
            "{said}"
        );
    }
    // No table names a key twice.
    for table in [TOP, RULE, ADDRESS] {
        let names: BTreeSet<&str> = table.iter().map(|key| key.name).collect();
        assert_eq!(names.len(), table.len());
    }
}
