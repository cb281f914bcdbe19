//! The JSON Schema of policies for editors, made from the tables that the loader reads by.

use serde_json::{Map, Value, json};

use crate::family::{self, Key, Shape};
use crate::load::keys::{ADDRESS, Form, KeyOf, RULE, TOP, Words};
use crate::load::limit_keys;
use crate::model::{Count, Flow};

/// The JSON Schema (draft 2020-12) of policies, for editors that check and complete TOML by one.
///
/// It knows every key, which of them are required, and the words that a key takes. What depends on several
/// keys together is for [`Policy::from_toml`](crate::Policy::from_toml) to say.
#[must_use]
pub fn json_schema() -> Value {
    let mut schema = object(TOP.iter().map(top_key));
    schema["required"] = json!(["version"]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("A policy of sockgate");
    schema["description"] =
        json!("What one guest may do with sockets. What it does not grant is refused.");
    schema["$defs"] = definitions();
    schema
}

/// A table with these keys and no others.
fn object(keys: impl Iterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = keys.collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn top_key(key: &KeyOf) -> (String, Value) {
    described(key, form(key.form))
}

fn described(key: &KeyOf, mut schema: Value) -> (String, Value) {
    schema["description"] = json!(key.says);
    (key.name.to_owned(), schema)
}

fn definitions() -> Value {
    let mut allow = object(rule_keys());
    allow["required"] = json!(["id", "ops"]);
    let mut deny = object(rule_keys());
    deny["required"] = json!(["id"]);
    json!({
        "text": { "type": "string", "minLength": 1 },
        "variable": { "type": "string", "pattern": "\\$\\{[^}]+\\}" },
        "list": list(json!({ "type": ["string", "integer"], "minLength": 1 })),
        "ends": {
            "anyOf": [ { "const": "*" }, object(address_keys()) ],
        },
        "limits": object(limit_keys().map(|key| (key.to_owned(), limit(key)))),
        "allow": allow,
        "deny": deny,
    })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "minItems": 1, "items": items })
}

/// What a key takes.
fn form(form: Form) -> Value {
    match form {
        Form::Version => json!({ "const": 1 }),
        Form::Text(words) => text(words),
        Form::List(Words::Any) => reference("list"),
        Form::List(words) => list(text(words)),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Ends => reference("ends"),
        Form::Lists(keys, words) => {
            let lists = keys.map(|key| (key.to_owned(), list(text(words))));
            object(lists.into_iter())
        }
        Form::Limits => reference("limits"),
        Form::Groups => json!({
            "type": "object",
            "additionalProperties": {
                "anyOf": [
                    reference("list"),
                    {
                        "type": "object",
                        "properties": { "cidr": reference("list") },
                        "required": ["cidr"],
                        "additionalProperties": false,
                    },
                ],
            },
        }),
        Form::Allow => json!({ "type": "array", "items": reference("allow") }),
        Form::Deny => json!({ "type": "array", "items": reference("deny") }),
    }
}

fn text(words: Words) -> Value {
    match words {
        Words::Any => reference("text"),
        Words::Known(words) => json!({ "anyOf": [{ "enum": words() }, reference("variable")] }),
        // The words are there to be completed; numbers and patterns stand beside them.
        Words::Among(words) => json!({
            "anyOf": [
                { "enum": words() },
                { "type": "string", "pattern": "[0-9*=]" },
                { "type": "integer" },
                reference("variable"),
            ],
        }),
    }
}

fn limit(key: &str) -> Value {
    let bytes = Count::ALL
        .iter()
        .any(|count| count.key() == key && count.is_bytes())
        || Flow::ALL
            .iter()
            .any(|flow| (flow.key() == key || flow.burst_key() == key) && flow.is_bytes());
    let count = json!({ "type": "integer", "minimum": 1 });
    let pattern = match key {
        crate::model::LIFETIME => {
            let pattern = "^[0-9]+ *(ms|s|m|h)$";
            return json!({ "anyOf": [{ "type": "string", "pattern": pattern }, reference("variable")] });
        }
        _ if bytes => "^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB)?$",
        _ => "^[0-9]+$",
    };
    json!({ "anyOf": [count, { "type": "string", "pattern": pattern }, reference("variable")] })
}

fn rule_keys() -> impl Iterator<Item = (String, Value)> {
    let own = || RULE.iter().chain(ADDRESS);
    own()
        .map(|key| described(key, form(key.form)))
        .chain(family_keys(move |name| own().any(|key| key.name == name)))
}

fn address_keys() -> impl Iterator<Item = (String, Value)> {
    ADDRESS
        .iter()
        .map(|key| described(key, form(key.form)))
        .chain(family_keys(|name| {
            ADDRESS.iter().any(|key| key.name == name)
        }))
}

/// The keys of families, without those that stand for more than a family.
fn family_keys(known: impl Fn(&str) -> bool) -> impl Iterator<Item = (String, Value)> {
    family::keys()
        .filter(move |key| !known(key.name))
        .map(family_key)
}

fn family_key(key: &'static Key) -> (String, Value) {
    let mut families: Vec<String> = Vec::new();
    for group in family::groups_with(key.name) {
        families.extend(group.families.iter().map(ToString::to_string));
    }
    let mut schema = match key.shape {
        Shape::Permits | Shape::Restricts => json!({ "type": "boolean" }),
        Shape::Pairs => {
            let pair = json!({
                "type": "object",
                "properties": { "rx": reference("text"), "tx": reference("text") },
                "required": ["rx", "tx"],
                "additionalProperties": false,
            });
            list(json!({ "anyOf": [reference("text"), pair] }))
        }
        Shape::Names | Shape::Numbers { .. } | Shape::FrameIds | Shape::Devices => {
            reference("list")
        }
    };
    let (families, example) = (families.join(", "), key.example);
    schema["description"] = json!(format!(
        "For the families {families}: `{} = {example}`.",
        key.name
    ));
    (key.name.to_owned(), schema)
}

#[cfg(test)]
mod tests;
