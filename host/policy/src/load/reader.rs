//! Reads TOML into rules. Every fault is kept with its place; reading goes on.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Settings;
use super::error::{Fault, suggest};
use super::groups::Groups;
use super::keys;
use super::rule::{Ends, Flag, Listing, Rule, Text, Word};
use crate::family::{self, Shape};
use crate::model::{Mode, OnReload};

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

pub(super) struct Reader<'s> {
    variables: &'s HashMap<String, String>,
    used_variables: BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    groups: Groups,
    /// Where the text that is being read begins among all that belong to the policy.
    pub(super) start: usize,
}

/// What one text says.
#[derive(Default)]
pub(super) struct Read {
    pub(super) settings: Settings,
    pub(super) rules: Vec<Rule>,
    pub(super) includes: Option<Listing>,
}

impl<'s> Reader<'s> {
    pub(super) fn new(variables: &'s HashMap<String, String>) -> Reader<'s> {
        Reader {
            variables,
            used_variables: BTreeSet::new(),
            faults: Vec::new(),
            groups: Groups::default(),
            start: 0,
        }
    }

    /// The groups, the variables that were used, and everything that is wrong.
    pub(super) fn finish(self) -> (Groups, BTreeSet<String>, Vec<Fault>) {
        (self.groups, self.used_variables, self.faults)
    }
}

impl Reader<'_> {
    pub(super) fn fault(
        &mut self,
        at: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.faults.push(Fault::new(Some(at), message, help));
    }

    /// The place of a value or a key among all texts of the policy.
    pub(super) fn at<T>(&self, value: &Spanned<T>) -> Range<usize> {
        let at = value.span();
        at.start + self.start..at.end + self.start
    }

    /// Reads one of the policy's texts.
    pub(super) fn text_of_policy(&mut self, text: &str) -> Read {
        let (document, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return self.document(document.get_ref());
        }
        let start = self.start;
        self.faults.extend(errors.iter().map(|error| {
            let at = error.span();
            Fault::new(
                at.map(|at| at.start + start..at.end + start),
                error.message(),
                match error.message() {
                    "duplicate key" => "it stands above already: put the two together",
                    _ => "this is no TOML; see https://toml.io/en/v1.0.0",
                },
            )
        }));
        // The rest can be read where the first of two keys stands, and nothing else is wrong.
        match errors
            .iter()
            .all(|error| error.message() == "duplicate key")
        {
            true => self.document(document.get_ref()),
            false => Read::default(),
        }
    }

    fn document(&mut self, document: &DeTable<'_>) -> Read {
        let Read {
            mut settings,
            mut rules,
            mut includes,
        } = Read::default();
        for (key, value) in document {
            match key.get_ref().as_ref() {
                "version" => self.version(value),
                "mode" => settings.mode = self.mode(value),
                "on-reload" => settings.on_reload = self.on_reload(value),
                "reveal" => {
                    settings.reveal = self.flag(key.get_ref(), value).map(|flag| flag.value)
                }
                "limits" => settings.limits = self.limits(value).unwrap_or_default(),
                "include" => includes = self.list("include", value),
                "groups" => self.groups(value),
                "allow" => self.rules(value, false, &mut rules),
                "deny" => self.rules(value, true, &mut rules),
                other => self.fault(
                    self.at(key),
                    format!("unknown key `{other}`"),
                    suggest(other, keys::names(keys::TOP)),
                ),
            }
        }
        if !document.keys().any(|key| key.get_ref() == "version") {
            self.fault(
                self.start..self.start,
                "the policy has no `version`",
                "begin the file with `version = 1`",
            );
        }
        Read {
            settings,
            rules,
            includes,
        }
    }

    fn version(&mut self, value: &Value<'_>) {
        if !matches!(value.get_ref(), DeValue::Integer(number) if number.as_str() == "1") {
            self.fault(
                self.at(value),
                "this version of policies is not known",
                "write `version = 1`, the only one that this sockgate knows",
            );
        }
    }

    fn mode(&mut self, value: &Value<'_>) -> Option<Mode> {
        let text = self.text("mode", value)?;
        let mode = Mode::from_name(&text.value);
        if mode.is_none() {
            self.fault(
                self.at(value),
                format!("`{}` is no mode", text.value),
                suggest(&text.value, Mode::ALL.map(Mode::name)),
            );
        }
        mode
    }

    fn on_reload(&mut self, value: &Value<'_>) -> Option<OnReload> {
        let text = self.text("on-reload", value)?;
        let on_reload = OnReload::from_name(&text.value);
        if on_reload.is_none() {
            self.fault(
                self.at(value),
                format!("`on-reload` cannot be `{}`", text.value),
                suggest(&text.value, OnReload::ALL.map(OnReload::name)),
            );
        }
        on_reload
    }

    /// `office = ["10.1.0.0/16"]`, or a table with `cidr`.
    fn groups(&mut self, value: &Value<'_>) {
        let Some(table) = self.table("groups", value) else {
            return;
        };
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let list = match value.get_ref() {
                DeValue::Table(table) => self.group_table(name, key, table),
                _ => self.list(name, value),
            };
            if let Some(list) = list {
                let at = self.at(key);
                self.groups.add(name, at, &list, &mut self.faults);
            }
        }
    }

    fn group_table(
        &mut self,
        name: &str,
        key: &Spanned<Cow<'_, str>>,
        table: &DeTable<'_>,
    ) -> Option<Listing> {
        let mut networks = None;
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "cidr" => networks = Some(self.list("cidr", value)),
                other => self.fault(
                    self.at(key),
                    format!("unknown key `{other}` in the group `{name}`"),
                    "a group has `cidr`: `cidr = [\"10.0.0.0/8\"]`",
                ),
            }
        }
        networks.unwrap_or_else(|| {
            self.fault(
                self.at(key),
                format!("the group `{name}` has no `cidr`"),
                format!("write `[groups.{name}]` and below it `cidr = [\"10.0.0.0/8\"]`"),
            );
            None
        })
    }

    fn rules(&mut self, value: &Value<'_>, deny: bool, rules: &mut Vec<Rule>) {
        let word = if deny { "deny" } else { "allow" };
        let DeValue::Array(array) = value.get_ref() else {
            self.fault(
                self.at(value),
                format!("`{word}` is no list of rules"),
                format!("write `[[{word}]]`"),
            );
            return;
        };
        for entry in array {
            match entry.get_ref() {
                DeValue::Table(table) => {
                    let mut rule = Rule {
                        at: Some(self.at(entry)),
                        deny,
                        ..Rule::default()
                    };
                    let before = self.faults.len();
                    self.rule(table, &mut rule);
                    rule.broken = self.faults.len() > before;
                    rules.push(rule);
                }
                _ => self.fault(
                    self.at(entry),
                    "a rule is a table",
                    format!("write `[[{word}]]` and its keys below"),
                ),
            }
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, rule: &mut Rule) {
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                _ if !keys::is_one_of(keys::RULE, name) => {
                    if !self.address_key(name, value, &mut rule.top) {
                        let known = keys::names(keys::RULE).chain(keys::names(keys::ADDRESS));
                        self.unknown_key(name, self.at(key), known);
                    }
                }
                "id" => rule.id = self.text(name, value),
                "family" => rule.family = self.list(name, value),
                "type" => rule.socket_type = self.list(name, value),
                "protocol" => rule.protocol = self.list(name, value),
                "ops" => rule.ops = self.list(name, value),
                "local" => rule.local = self.ends(name, value),
                "peer" => rule.peer = self.ends(name, value),
                "host-may-be" => rule.host_may_be = self.list(name, value),
                "pin" => rule.pin = self.text(name, value),
                "options" => (rule.get, rule.set) = self.two_lists(name, ["get", "set"], value),
                "ancillary" => {
                    (rule.ancillary_send, rule.ancillary_receive) =
                        self.two_lists(name, ["send", "receive"], value);
                }
                "flags" => rule.flags = self.list(name, value),
                "kinds" => rule.kinds = self.list(name, value),
                "source" => rule.source = self.list(name, value),
                "interface" => rule.interface = self.list(name, value),
                "ioctl" => rule.ioctl = self.list(name, value),
                "mode" => rule.mode = self.text(name, value),
                "replace-stale" => rule.replace_stale = self.flag(name, value),
                "limits" => {
                    rule.limits = self
                        .limits(value)
                        .map(|limits| (limits, Some(self.at(value))))
                }
                "peer-uid" => rule.peer_uid = self.list(name, value),
                "peer-gid" => rule.peer_gid = self.list(name, value),
                _ => self.unknown_key(name, self.at(key), keys::names(keys::RULE)),
            }
        }
    }

    fn unknown_key(
        &mut self,
        name: &str,
        at: Range<usize>,
        known: impl Iterator<Item = &'static str>,
    ) {
        let known: Vec<&str> = known.chain(family::keys().map(|key| key.name)).collect();
        self.fault(at, format!("unknown key `{name}`"), suggest(name, known));
    }

    /// `local = { ... }`, or `"*"`.
    fn ends(&mut self, name: &str, value: &Value<'_>) -> Option<Ends> {
        let mut ends = Ends {
            at: Some(self.at(value)),
            ..Ends::default()
        };
        match value.get_ref() {
            DeValue::Table(table) => {
                for (key, value) in table {
                    if !self.address_key(key.get_ref(), value, &mut ends) {
                        let known = keys::names(keys::ADDRESS);
                        self.unknown_key(key.get_ref(), self.at(key), known);
                    }
                }
                if ends.is_empty() && table.is_empty() {
                    let help = format!("name addresses, or write `{name} = \"*\"` for all of them");
                    self.fault(self.at(value), format!("`{name}` is empty"), help);
                }
                Some(ends)
            }
            DeValue::String(text) if text == "*" => {
                ends.any = true;
                Some(ends)
            }
            _ => {
                let help = format!(
                    "write `{name} = {{ cidr = [\"10.0.0.0/8\"], port = [\"443\"] }}`, or `{name} = \"*\"`"
                );
                self.fault(
                    self.at(value),
                    format!("`{name}` is no table of addresses"),
                    help,
                );
                None
            }
        }
    }

    /// Reads an address key; false if the key is none.
    fn address_key(&mut self, name: &str, value: &Value<'_>, ends: &mut Ends) -> bool {
        let list = match name {
            _ if !keys::is_one_of(keys::ADDRESS, name) => {
                return self.family_key(name, value, ends);
            }
            "cidr" => &mut ends.cidr,
            "host" => &mut ends.host,
            "class" => &mut ends.class,
            "group" => &mut ends.group,
            "port" => &mut ends.port,
            "path" => &mut ends.path,
            "abstract" => &mut ends.abstract_name,
            "unnamed" => {
                ends.unnamed = self.flag(name, value);
                return true;
            }
            "root" => {
                ends.root = self.text(name, value);
                return true;
            }
            _ => return false,
        };
        *list = self.list(name, value);
        if ends.at.is_none() {
            ends.at = Some(self.at(value));
        }
        true
    }

    /// Reads a key of another family; false if no family has such a key.
    fn family_key(&mut self, name: &str, value: &Value<'_>, ends: &mut Ends) -> bool {
        let Some(key) = family::keys().find(|key| key.name == name) else {
            return false;
        };
        let word = if key.is_flag() {
            self.flag(name, value).map(Word::Flag)
        } else if matches!(key.shape, Shape::Pairs) {
            self.pairs(name, value).map(Word::List)
        } else {
            self.list(name, value).map(Word::List)
        };
        ends.family.extend(word.map(|word| (key.name, word)));
        if ends.at.is_none() {
            ends.at = Some(self.at(value));
        }
        true
    }

    /// `[{ rx = "0x7E8", tx = "0x7E0" }]`, as the words `0x7E8:0x7E0`.
    fn pairs(&mut self, name: &str, value: &Value<'_>) -> Option<Listing> {
        let entries = match value.get_ref() {
            DeValue::Array(entries) if !entries.is_empty() => entries,
            _ => {
                let help = format!("write `{name} = [{{ rx = \"0x7E8\", tx = \"0x7E0\" }}]`");
                self.fault(
                    self.at(value),
                    format!("`{name}` is no list of pairs"),
                    help,
                );
                return None;
            }
        };
        let mut items = Vec::new();
        for entry in entries {
            let (rx, tx) = match entry.get_ref() {
                DeValue::String(_) => {
                    items.extend(self.text(name, entry));
                    continue;
                }
                DeValue::Table(table) if table.len() == 2 => (table.get("rx"), table.get("tx")),
                _ => (None, None),
            };
            let (Some(rx), Some(tx)) = (rx, tx) else {
                let help = "write `{ rx = \"0x7E8\", tx = \"0x7E0\" }`";
                self.fault(
                    self.at(entry),
                    "a pair has `rx` and `tx`, and nothing else",
                    help,
                );
                continue;
            };
            if let (Some(rx), Some(tx)) = (self.text("rx", rx), self.text("tx", tx)) {
                items.push(Text {
                    value: format!("{}:{}", rx.value, tx.value),
                    at: Some(self.at(entry)),
                });
            }
        }
        Some(Listing {
            items,
            at: Some(self.at(value)),
        })
    }

    fn two_lists(
        &mut self,
        name: &str,
        keys: [&str; 2],
        value: &Value<'_>,
    ) -> (Option<Listing>, Option<Listing>) {
        let mut lists = [None, None];
        let Some(table) = self.table(name, value) else {
            return (None, None);
        };
        for (key, value) in table {
            match keys.iter().position(|known| known == key.get_ref()) {
                Some(place) => lists[place] = self.list(key.get_ref(), value),
                None => self.fault(
                    self.at(key),
                    format!("unknown key `{}` in `{name}`", key.get_ref()),
                    suggest(key.get_ref(), keys),
                ),
            }
        }
        let [first, second] = lists;
        (first, second)
    }

    pub(super) fn table<'v, 'i>(
        &mut self,
        name: &str,
        value: &'v Value<'i>,
    ) -> Option<&'v DeTable<'i>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => {
                self.fault(
                    self.at(value),
                    format!("`{name}` is no table"),
                    format!("write `{name} = {{ ... }}`"),
                );
                None
            }
        }
    }

    /// A list of words. Numbers count as words: `port = [443]`.
    fn list(&mut self, name: &str, value: &Value<'_>) -> Option<Listing> {
        let DeValue::Array(array) = value.get_ref() else {
            let shown = match value.get_ref() {
                DeValue::String(text) => format!("\"{text}\""),
                DeValue::Integer(number) => format!("\"{number}\""),
                _ => "\"...\"".to_owned(),
            };
            self.fault(
                self.at(value),
                format!("`{name}` is no list"),
                format!("write `{name} = [{shown}]`"),
            );
            return None;
        };
        if array.is_empty() {
            self.fault(
                self.at(value),
                format!("`{name}` is an empty list"),
                format!("name something, or take `{name}` out"),
            );
            return None;
        }
        let mut items = Vec::new();
        for entry in array {
            match entry.get_ref() {
                DeValue::String(_) => items.extend(self.text(name, entry)),
                DeValue::Integer(number) => {
                    items.push(Text {
                        value: number.to_string(),
                        at: Some(self.at(entry)),
                    });
                }
                _ => self.fault(
                    self.at(entry),
                    format!("a member of `{name}` is neither a text nor a whole number"),
                    "put it in quotes",
                ),
            }
        }
        Some(Listing {
            items,
            at: Some(self.at(value)),
        })
    }

    fn flag(&mut self, name: &str, value: &Value<'_>) -> Option<Flag> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Some(Flag {
                value: *flag,
                at: Some(self.at(value)),
            }),
            _ => {
                self.fault(
                    self.at(value),
                    format!("`{name}` is `true` or `false`"),
                    format!("write `{name} = true`"),
                );
                None
            }
        }
    }

    pub(super) fn text(&mut self, name: &str, value: &Value<'_>) -> Option<Text> {
        let DeValue::String(text) = value.get_ref() else {
            let shown = match value.get_ref() {
                DeValue::Integer(number) => number.to_string(),
                _ => "...".to_owned(),
            };
            self.fault(
                self.at(value),
                format!("`{name}` is no text"),
                format!("write `{name} = \"{shown}\"`"),
            );
            return None;
        };
        if text.is_empty() {
            self.fault(
                self.at(value),
                format!("`{name}` has an empty text"),
                "write what is meant, or take it out",
            );
            return None;
        }
        let value = self.expand(text, self.at(value))?;
        Some(value)
    }

    /// Puts in the variables.
    fn expand(&mut self, text: &str, at: Range<usize>) -> Option<Text> {
        let mut whole = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                self.fault(at, "a `${` without its `}`", "write `${name}`");
                return None;
            };
            let Some(value) = self.variables.get(name).cloned() else {
                let message = format!("the variable `{name}` has no value");
                let help = format!("give it one where the policy is loaded: `--var {name}=VALUE`");
                self.fault(at, message, help);
                return None;
            };
            self.used_variables.insert(name.to_owned());
            whole.push_str(before);
            whole.push_str(&value);
            rest = behind;
        }
        whole.push_str(rest);
        Some(Text {
            value: whole,
            at: Some(at),
        })
    }
}
