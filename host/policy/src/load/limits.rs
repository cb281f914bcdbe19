//! Reads `[limits]` and a rule's `limits = { ... }`.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::error::nearest;
use super::reader::{Reader, Value};
use super::vocabulary;
use crate::model::{Count, Flow, LIFETIME, LONGEST_LIFETIME, Limits, Rate, fault};

/// What a key of limits is about.
enum Key {
    Count(Count),
    Rate(Flow),
    Burst(Flow),
    Lifetime,
}

/// All keys of limits.
pub(crate) fn keys() -> impl Iterator<Item = &'static str> + Clone {
    let counts = Count::ALL.into_iter().map(Count::key);
    let flows = Flow::ALL.into_iter();
    let rates = flows.flat_map(|flow| [flow.key(), flow.burst_key()]);
    counts.chain(rates).chain([LIFETIME])
}

fn key(name: &str) -> Option<Key> {
    let count = Count::ALL.into_iter().find(|count| count.key() == name);
    let rate = Flow::ALL.into_iter().find(|flow| flow.key() == name);
    let burst = Flow::ALL.into_iter().find(|flow| flow.burst_key() == name);
    count
        .map(Key::Count)
        .or(rate.map(Key::Rate))
        .or(burst.map(Key::Burst))
        .or((name == LIFETIME).then_some(Key::Lifetime))
}

impl Reader<'_> {
    /// The limits of the guest or of a rule.
    pub(super) fn limits(&mut self, value: &Value<'_>) -> Option<Limits> {
        let table = self.table("limits", value)?;
        let mut limits = Limits::none();
        let mut bursts = Vec::new();
        for (name, value) in table {
            match key(name.get_ref()) {
                Some(Key::Count(count)) => {
                    let most = self.amount(count.key(), value, count.is_bytes(), count.greatest());
                    limits = most.map_or(limits.clone(), |most| limits.with(count, most));
                }
                Some(Key::Rate(flow)) => {
                    let rate = self.amount(flow.key(), value, flow.is_bytes(), flow.greatest());
                    let rate = rate.map(Rate::per_second);
                    limits = rate.map_or(limits.clone(), |rate| limits.with_rate(flow, rate));
                }
                Some(Key::Burst(flow)) => bursts.push((flow, name, value)),
                Some(Key::Lifetime) => {
                    let lifetime = self.lifetime(value);
                    limits = lifetime.map_or(limits.clone(), |time| limits.with_lifetime(time));
                }
                None => {
                    let help = match nearest(name.get_ref(), keys()) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!(
                            "the limits are `{}`",
                            keys().collect::<Vec<_>>().join("`, `")
                        ),
                    };
                    self.fault(
                        self.at(name),
                        format!("there is no limit `{}`", name.get_ref()),
                        help,
                    );
                }
            }
        }
        for (flow, name, value) in bursts {
            let burst = self.amount(flow.burst_key(), value, flow.is_bytes(), flow.greatest());
            if !table.contains_key(flow.key()) {
                self.fault(
                    self.at(name),
                    format!("`{}` without `{}`", flow.burst_key(), flow.key()),
                    format!("say how much passes in a second: `{} = ...`", flow.key()),
                );
            } else if let (Some(rate), Some(burst)) = (limits.rate(flow), burst) {
                limits = limits.with_rate(flow, rate.with_burst(burst));
            }
        }
        Some(limits)
    }

    /// A count, or an amount of bytes: `64`, `"10 MiB"`.
    fn amount(&mut self, key: &str, value: &Value<'_>, bytes: bool, greatest: u64) -> Option<u64> {
        let read = match value.get_ref() {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            DeValue::String(_) => {
                let text = self.text(key, value)?;
                match bytes {
                    true => parse_bytes(&text.value),
                    false => text.value.parse().ok(),
                }
            }
            _ => None,
        };
        let Some(amount) = read else {
            let help = match bytes {
                true => format!(
                    "write `{key} = \"10 MiB\"` (KiB, MiB, GiB, kB, MB, GB) or `{key} = 65536`"
                ),
                false => format!("write a number: `{key} = 64`"),
            };
            self.fault(self.at(value), format!("`{key}` is no amount"), help);
            return None;
        };
        if let Some((message, help)) = fault(key, amount, greatest) {
            self.fault(self.at(value), message, help);
            return None;
        }
        Some(amount)
    }

    fn lifetime(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Duration> {
        let text = self.text(LIFETIME, value)?;
        let lifetime = vocabulary::duration(&text.value, LONGEST_LIFETIME);
        if lifetime.is_none() {
            self.fault(
                self.at(value),
                format!("`{}` is no duration up to a year", text.value),
                "write `30s`, `5m` or `1h`",
            );
        }
        lifetime
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.trim().parse().ok()?;
    let unit = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "kB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        assert_eq!(parse_bytes("10 MiB"), Some(10 << 20));
        assert_eq!(parse_bytes("64"), Some(64));
        assert_eq!(parse_bytes("3kB"), Some(3000));
        assert_eq!(parse_bytes("3 parsec"), None);
        assert_eq!(parse_bytes("99999999999999999999 B"), None);
        assert_eq!(parse_bytes("99999999999999 GiB"), None);
        assert_eq!(parse_bytes(""), None);
    }

    #[test]
    fn every_key_is_one_of_them() {
        assert_eq!(keys().count(), Count::ALL.len() + 2 * Flow::ALL.len() + 1);
        assert!(keys().all(|name| key(name).is_some()));
        assert!(key("sends").is_none());
    }
}
