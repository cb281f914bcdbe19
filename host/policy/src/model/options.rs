//! Patterns for socket options.

use crate::option::{OptionName, ValueForm};

/// A member of `options.get` or `options.set`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OptionPattern {
    /// `"*"`. For `set`, delicate and nameless options are left out.
    Any,
    /// `"tcp.*"`, with the same exception.
    Level(i32),
    /// One option with any value.
    Option(OptionName),
    /// One option with this number as its value.
    Number(OptionName, i64),
    /// One option with this text as its value.
    Text(OptionName, String),
}

/// A list of option patterns; `set` ones are stricter about wildcards.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionPatterns(pub(crate) Vec<OptionPattern>);

impl OptionPatterns {
    /// Whether one of them covers setting `option` to `value`; `None` is a value that was not kept.
    pub(crate) fn cover_set(&self, option: OptionName, value: Option<&[u8]>, deny: bool) -> bool {
        let wildcard = deny || option.known().is_some_and(|known| !known.delicate);
        self.0.iter().any(|pattern| match pattern {
            OptionPattern::Any => wildcard,
            OptionPattern::Level(level) => wildcard && *level == option.level,
            OptionPattern::Option(named) => *named == option,
            OptionPattern::Number(named, number) => {
                *named == option
                    && value
                        .and_then(number_of)
                        .is_some_and(|value| value == *number)
            }
            OptionPattern::Text(named, text) => {
                *named == option
                    && value
                        .map(text_of)
                        .is_some_and(|value| value == text.as_bytes())
            }
        })
    }

    /// Whether one of them covers reading `option`.
    pub(crate) fn cover_get(&self, option: OptionName) -> bool {
        self.0.iter().any(|pattern| match pattern {
            OptionPattern::Any => true,
            OptionPattern::Level(level) => *level == option.level,
            OptionPattern::Option(named) => *named == option,
            OptionPattern::Number(..) | OptionPattern::Text(..) => false,
        })
    }
}

/// A number as setsockopt(2) takes it: an int, or one byte where the level allows that.
fn number_of(value: &[u8]) -> Option<i64> {
    match value {
        [byte] => Some(i64::from(*byte)),
        [a, b, c, d] => Some(i64::from(i32::from_ne_bytes([*a, *b, *c, *d]))),
        _ => None,
    }
}

/// Text as setsockopt(2) takes it: up to the first NUL.
fn text_of(value: &[u8]) -> &[u8] {
    value.split(|byte| *byte == 0).next().unwrap_or(value)
}

/// What a rule says of options.
#[derive(Clone, Debug, Default)]
pub(crate) struct OptionGrant {
    pub(crate) get: OptionPatterns,
    pub(crate) set: OptionPatterns,
}

impl OptionPattern {
    /// Reads `so.keepalive`, `so.bindtodevice=eth0`, `6/1`, `tcp.*`, `*`.
    pub(crate) fn parse(text: &str) -> Result<OptionPattern, String> {
        if text == "*" {
            return Ok(OptionPattern::Any);
        }
        if let Some(level) = text.strip_suffix(".*") {
            return OptionName::level_named(level)
                .map(OptionPattern::Level)
                .ok_or_else(|| format!("`{level}` is no level of options"));
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let option = OptionName::from_policy_name(name)
            .ok_or_else(|| format!("`{name}` is no socket option"))?;
        let Some(value) = value else {
            return Ok(OptionPattern::Option(option));
        };
        match option.known().map_or(ValueForm::Int, |known| known.form) {
            ValueForm::Int => value
                .parse::<i64>()
                .map_err(|_| format!("`{value}` is no number, which is what `{option}` takes"))
                .and_then(|number| {
                    // Else no value could be equal to it.
                    i32::try_from(number)
                        .map(|_| OptionPattern::Number(option, number))
                        .map_err(|_| {
                            format!("`{value}` is beyond the 32 bits, with a sign, of `{option}`")
                        })
                }),
            ValueForm::Text => Ok(OptionPattern::Text(option, value.to_owned())),
            ValueForm::Bytes => Err(format!(
                "`{option}` takes a structure, so that no value can be bound to it"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> OptionPatterns {
        OptionPatterns(
            texts
                .iter()
                .map(|text| OptionPattern::parse(text).unwrap())
                .collect(),
        )
    }

    fn name(text: &str) -> OptionName {
        OptionName::from_policy_name(text).unwrap()
    }

    #[test]
    fn values_are_bound() {
        let patterns = set(&["so.bindtodevice=eth0", "ip.ttl=64"]);
        assert!(patterns.cover_set(name("so.bindtodevice"), Some(b"eth0\0\0"), false));
        assert!(!patterns.cover_set(name("so.bindtodevice"), Some(b"eth00"), false));
        assert!(patterns.cover_set(name("ip.ttl"), Some(&64i32.to_ne_bytes()), false));
        assert!(patterns.cover_set(name("ip.ttl"), Some(&[64]), false));
        assert!(!patterns.cover_set(name("ip.ttl"), Some(&[64, 0, 0]), false));
        assert!(!patterns.cover_set(name("ip.ttl"), Some(&[]), false));
        assert!(!patterns.cover_set(name("ip.ttl"), None, false));
        assert!(!patterns.cover_set(name("ip.tos"), Some(&64i32.to_ne_bytes()), false));
        assert!(!patterns.cover_set(name("tcp.congestion"), Some(b"eth0"), false));
        // Only what is set has a value.
        assert!(!patterns.cover_get(name("ip.ttl")));
    }

    #[test]
    fn a_wildcard_does_not_set_what_is_delicate() {
        let patterns = set(&["*"]);
        assert!(patterns.cover_set(name("so.keepalive"), Some(&[1, 0, 0, 0]), false));
        assert!(!patterns.cover_set(name("so.mark"), Some(&[1, 0, 0, 0]), false));
        assert!(!patterns.cover_set(name("6/9999"), Some(&[1, 0, 0, 0]), false));
        assert!(patterns.cover_set(name("so.mark"), Some(&[1, 0, 0, 0]), true));
        assert!(patterns.cover_get(name("6/9999")));
    }

    #[test]
    fn a_number_that_no_value_has_is_refused() {
        for (text, reads) in [
            ("so.rcvbuf=2147483647", true),
            ("so.rcvbuf=-2147483648", true),
            ("so.rcvbuf=2147483648", false),
            ("so.rcvbuf=-2147483649", false),
            ("6/9999=99999999999999", false),
        ] {
            assert_eq!(OptionPattern::parse(text).is_ok(), reads, "{text}");
        }
    }

    #[test]
    fn numbers_reach_the_named_option() {
        assert!(set(&["so.keepalive"]).cover_set(name("1/9"), Some(&[1, 0, 0, 0]), false));
        assert!(set(&["tcp.*"]).cover_set(name("tcp.cork"), Some(&[1, 0, 0, 0]), false));
        assert!(!set(&["tcp.*"]).cover_set(name("so.keepalive"), Some(&[1, 0, 0, 0]), false));
        assert!(set(&["tcp.*"]).cover_get(name("tcp.cork")));
        assert!(!set(&["tcp.*"]).cover_get(name("so.keepalive")));
    }
}
