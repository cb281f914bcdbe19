//! Host names and patterns for them.

use std::fmt;

/// The longest name in its textual form without the final dot, RFC 1035 2.3.4.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A member of `host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostPattern {
    /// `"*"`: every name.
    Any,
    /// One name, folded.
    Exact(String),
    /// `"*.example.com"`: one or more labels before `.example.com`, which is what is kept.
    Suffix(String),
}

impl HostPattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<HostPattern, &'static str> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        let suffix = text.strip_prefix("*.");
        if suffix.unwrap_or(text).contains('*') {
            return Err("has a `*` elsewhere than as its whole first label");
        }
        if let Some(suffix) = suffix {
            return Ok(HostPattern::Suffix(format!(
                ".{}",
                fold(suffix.as_bytes())?
            )));
        }
        Ok(HostPattern::Exact(fold(text.as_bytes())?))
    }

    /// Whether the folded name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            HostPattern::Any => true,
            HostPattern::Exact(exact) => name == exact,
            HostPattern::Suffix(suffix) => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Any => f.write_str("*"),
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

/// The one form of a host name: lower case, A-labels (RFC 5890), no final dot. An address written as a
/// name is none.
pub(crate) fn fold(name: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(name).map_err(|_| "is not UTF-8")?;
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.len() > 4 * LONGEST_NAME {
        return Err("is longer than 253 bytes");
    }
    let folded = idna::domain_to_ascii(text).map_err(|_| "is no valid internationalised name")?;
    if folded.is_empty() {
        return Err("is empty");
    }
    if folded.len() > LONGEST_NAME {
        return Err("is longer than 253 bytes");
    }
    for label in folded.split('.') {
        if label.is_empty() {
            return Err("has an empty label");
        }
        if label.len() > LONGEST_LABEL {
            return Err("has a label longer than 63 bytes");
        }
        if !label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        {
            return Err("has a character that host names do not have");
        }
    }
    if ends_in_number(&folded) {
        return Err("is a number, not a name");
    }
    Ok(folded)
}

/// Whether anything can be called so: what is no host name resolves to nothing, whatever the policy says.
///
/// It takes internationalised names (UTF-8 or A-labels), a final dot, and underscores; no addresses.
#[must_use]
pub fn is_host_name(name: &[u8]) -> bool {
    fold(name).is_ok()
}

/// A host name with its A-labels (RFC 5890) in Unicode: `bücher.example` for `xn--bcher-kva.example`. What
/// is none, or is not valid, stays as it is.
#[must_use]
pub fn unicode_host_name(name: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(name) else {
        return name.to_vec();
    };
    match idna::domain_to_unicode(text) {
        (unicode, Ok(())) => unicode.into_bytes(),
        (_, Err(_)) => name.to_vec(),
    }
}

/// Whether the last label is a number in some notation, so that a resolver may take the whole for an
/// address (inet_aton(3)): 127.1, 0x7f.1, 2130706433.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = last
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form_of_each_name() {
        assert_eq!(fold(b"DB.Example.COM.").unwrap(), "db.example.com");
        assert_eq!(
            fold("Bücher.example".as_bytes()).unwrap(),
            "xn--bcher-kva.example"
        );
        assert_eq!(
            fold("xn--BCHER-kva.example".as_bytes()).unwrap(),
            "xn--bcher-kva.example"
        );
        assert_eq!(fold("db。example".as_bytes()).unwrap(), "db.example");
        assert_eq!(fold(b"_srv._tcp.example").unwrap(), "_srv._tcp.example");
        for name in ["db1", "db.2nd", "1.example", "0x7f.example", "db.0xyz"] {
            assert_eq!(fold(name.as_bytes()).unwrap(), name);
        }
    }

    #[test]
    fn what_is_no_name() {
        for name in [
            "",
            ".",
            "a..b",
            "..",
            "a b",
            "a\0b",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "127.0x1",
            "0x7F000001",
            "0x",
            "2130706433",
            "[::1]",
            "::1",
            "a/b",
        ] {
            assert!(fold(name.as_bytes()).is_err(), "{name:?}");
        }
        assert!(fold(&[0xff]).is_err());
        assert_eq!(fold(b""), Err("is empty"));
    }

    #[test]
    fn a_name_has_253_bytes_and_a_label_63() {
        assert!(fold("a".repeat(63).as_bytes()).is_ok());
        assert!(fold("a".repeat(64).as_bytes()).is_err());
        assert!(fold("a.".repeat(127).as_bytes()).is_ok());
        assert!(fold("a.".repeat(128).as_bytes()).is_err());
        // Four times that may fold to so much; what is longer is not looked at.
        let with_hyphens = |count| format!("db{}", "\u{ad}".repeat(count));
        assert_eq!(fold(with_hyphens(505).as_bytes()).unwrap(), "db");
        assert!(fold(with_hyphens(506).as_bytes()).is_err());
    }

    #[test]
    fn a_labels_become_unicode() {
        assert!(is_host_name("bücher.example".as_bytes()) && !is_host_name(b"a..b"));
        let unicode = unicode_host_name(b"xn--bcher-kva.example");
        assert_eq!(unicode, "bücher.example".as_bytes());
        for name in [&b"db.example"[..], b"xn--.example", b"192.0.2.1", &[0xff]] {
            assert_eq!(unicode_host_name(name), name);
        }
    }

    #[test]
    fn a_suffix_needs_a_label_before_it() {
        let pattern = HostPattern::parse("*.Example.com").unwrap();
        assert!(pattern.matches("a.example.com"));
        assert!(pattern.matches("a.b.example.com"));
        assert!(!pattern.matches("example.com"));
        assert!(!pattern.matches("evilexample.com"));
        assert!(!pattern.matches(".example.com"));
        assert!(HostPattern::parse("a.*.com").is_err());
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(name in "\\PC{0,80}") {
            if let Ok(folded) = fold(name.as_bytes()) {
                prop_assert_eq!(fold(folded.as_bytes()), Ok(folded));
            }
        }
    }
}
