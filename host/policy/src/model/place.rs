//! Patterns for Unix names: paths beneath a root, abstract names, the lack of a name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use super::address::Side;
use crate::address::UnixAddress;
use crate::permit::UnixPlace;

/// A glob over names whose parts are divided by `/`: a part's `*` never crosses one, `**` is any number
/// of parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamePattern(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Literal(Vec<u8>),
    Glob(GlobMatcher),
    AnyParts,
}

impl NamePattern {
    /// Reads a pattern; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<NamePattern, String> {
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        text.split('/')
            .map(Part::parse)
            .collect::<Result<Vec<Part>, String>>()
            .map(NamePattern)
    }

    /// The pattern that matches this name alone; what no text can say is any one character.
    pub(crate) fn naming(name: &[u8]) -> String {
        let mut text = String::new();
        for character in String::from_utf8_lossy(name).chars() {
            match character {
                char::REPLACEMENT_CHARACTER => text.push('?'),
                '*' | '?' | '[' | ']' | '{' | '}' | '\\' => {
                    text.push('\\');
                    text.push(character);
                }
                plain => text.push(plain),
            }
        }
        text
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let parts: Vec<&[u8]> = name.split(|byte| *byte == b'/').collect();
        self.matches_parts(&parts)
    }

    /// The usual two-cursor walk: on a mismatch the latest `**` takes one part more.
    fn matches_parts(&self, name: &[&[u8]]) -> bool {
        let (mut at, mut part) = (0, 0);
        let mut retry = None;
        while at < name.len() {
            match self.0.get(part) {
                Some(Part::AnyParts) => {
                    retry = Some((at, part));
                    part += 1;
                }
                Some(pattern) if pattern.matches(name[at]) => {
                    at += 1;
                    part += 1;
                }
                _ => {
                    let Some((taken, any)) = retry else {
                        return false;
                    };
                    retry = Some((taken + 1, any));
                    at = taken + 1;
                    part = any + 1;
                }
            }
        }
        self.0[part..]
            .iter()
            .all(|part| matches!(part, Part::AnyParts))
    }

    /// Whether every name matches.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self.0.as_slice(), [Part::AnyParts])
    }

    /// Whether every name that matches begins with the text, as far as the first part shows.
    pub(crate) fn begins_with(&self, text: &str) -> bool {
        match self.0.first() {
            Some(Part::Literal(literal)) => literal.starts_with(text.as_bytes()),
            Some(Part::Glob(glob)) => glob.glob().glob().starts_with(text),
            Some(Part::AnyParts) | None => false,
        }
    }

    /// Whether this matches every name that `narrow` matches, as far as that is plain.
    pub(crate) fn holds(&self, narrow: &NamePattern) -> bool {
        self == narrow
            || self.is_everything()
            || narrow
                .literal()
                .is_some_and(|name| self.matches_parts(&name))
    }

    /// The parts of the one name that it matches, if it is one.
    fn literal(&self) -> Option<Vec<&[u8]>> {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => Some(literal.as_slice()),
                _ => None,
            })
            .collect()
    }

    /// Whether the text is a pattern of itself alone.
    pub(crate) fn is_literal(part: &str) -> bool {
        !part.contains(['*', '?', '[', ']', '{', '}', '\\'])
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Part) -> bool {
        match (self, other) {
            (Part::Literal(one), Part::Literal(other)) => one == other,
            (Part::Glob(one), Part::Glob(other)) => one.glob() == other.glob(),
            (Part::AnyParts, Part::AnyParts) => true,
            _ => false,
        }
    }
}

impl Part {
    fn parse(text: &str) -> Result<Part, String> {
        if text == "**" {
            return Ok(Part::AnyParts);
        }
        if text.contains("**") {
            return Err("has a `**` that is not a part of its own".to_owned());
        }
        if NamePattern::is_literal(text) {
            return Ok(Part::Literal(text.as_bytes().to_vec()));
        }
        let glob = GlobBuilder::new(text)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| format!("is no glob: {}", error.kind()))?;
        Ok(Part::Glob(glob.compile_matcher()))
    }

    fn matches(&self, part: &[u8]) -> bool {
        match self {
            Part::Literal(literal) => literal == part,
            Part::Glob(glob) => glob.is_match(Path::new(OsStr::from_bytes(part))),
            Part::AnyParts => true,
        }
    }
}

/// The components of an absolute path that a guest gave; `None` if it is relative or unclean: an empty
/// component, `.`, `..`, a NUL.
pub(crate) fn clean_components(path: &[u8]) -> Option<Vec<&[u8]>> {
    let rest = path.strip_prefix(b"/")?;
    if rest.contains(&0) {
        return None;
    }
    let components: Vec<&[u8]> = rest.split(|byte| *byte == b'/').collect();
    let clean = components
        .iter()
        .all(|component| !matches!(*component, b"" | b"." | b".."));
    clean.then_some(components)
}

/// The place of a clean path beneath `/`.
pub(crate) fn whole_place(path: &[u8]) -> Option<UnixPlace> {
    let beneath = clean_components(path)?
        .into_iter()
        .map(OsStr::from_bytes)
        .collect();
    Some(UnixPlace {
        root: PathBuf::from("/"),
        beneath,
    })
}

/// Paths beneath one root.
#[derive(Clone, Debug)]
pub(crate) struct PathPattern {
    root: PathBuf,
    root_parts: Vec<Vec<u8>>,
    beneath: NamePattern,
}

impl PathPattern {
    /// A glob beneath a root. The root has to be absolute and clean.
    pub(crate) fn new(root: &Path, glob: &str) -> Result<PathPattern, String> {
        if glob.starts_with('/') {
            return Err("begins with `/`, but is looked up beneath `root`".to_owned());
        }
        if glob.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("has an empty part, `.` or `..`, and so never matches".to_owned());
        }
        let bytes = root.as_os_str().as_bytes();
        let root_parts = if bytes == b"/" {
            Vec::new()
        } else {
            clean_components(bytes)
                .ok_or_else(|| {
                    format!(
                        "lies beneath `{}`, which is no clean absolute path",
                        root.display()
                    )
                })?
                .into_iter()
                .map(<[u8]>::to_vec)
                .collect()
        };
        Ok(PathPattern {
            root: root.to_owned(),
            root_parts,
            beneath: NamePattern::parse(glob)?,
        })
    }

    /// An absolute glob without a root: the longest start without wildcards is the root.
    pub(crate) fn absolute(glob: &str) -> Result<PathPattern, String> {
        let Some(rest) = glob.strip_prefix('/') else {
            return Err("is relative, and the rule has no `root`".to_owned());
        };
        let parts: Vec<&str> = rest.split('/').collect();
        let last = parts.len() - 1;
        let literal = parts[..last]
            .iter()
            .take_while(|part| NamePattern::is_literal(part))
            .count();
        let root = PathBuf::from(format!("/{}", parts[..literal].join("/")));
        PathPattern::new(&root, &parts[literal..].join("/"))
    }

    /// The directory that every path lies beneath.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this covers every path that `narrow` covers, as far as that is plain.
    pub(crate) fn holds(&self, narrow: &PathPattern) -> bool {
        self.root_parts == narrow.root_parts && self.beneath.holds(&narrow.beneath)
    }

    fn place_of(&self, path: &[u8]) -> Option<UnixPlace> {
        let components = clean_components(path)?;
        let depth = self.root_parts.len();
        let inside = components.len() > depth
            && components
                .iter()
                .zip(&self.root_parts)
                .all(|(a, b)| *a == b);
        if !inside || !self.beneath.matches_parts(&components[depth..]) {
            return None;
        }
        let beneath = components[depth..]
            .iter()
            .map(|part| OsStr::from_bytes(part))
            .collect();
        Some(UnixPlace {
            root: self.root.clone(),
            beneath,
        })
    }
}

/// A member of `abstract`.
#[derive(Clone, Debug)]
pub(crate) enum AbstractPattern {
    /// `"auto"`: a name that the kernel chooses (autobind, see unix(7)).
    Auto,
    /// A glob.
    Name(NamePattern),
}

/// The Unix keys of a rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnixPattern {
    pub(crate) paths: Vec<PathPattern>,
    pub(crate) abstracts: Vec<AbstractPattern>,
    pub(crate) unnamed: bool,
}

impl UnixPattern {
    pub(crate) fn place_of(&self, path: &[u8]) -> Option<UnixPlace> {
        self.paths.iter().find_map(|pattern| pattern.place_of(path))
    }

    fn covers_abstract(&self, name: &[u8], side: Side) -> bool {
        self.abstracts.iter().any(|pattern| match pattern {
            AbstractPattern::Auto => match side {
                Side::Local => name.is_empty(),
                Side::LocalChosen => is_autobind_name(name),
                Side::Peer => false,
            },
            // An empty name asks for autobind, which only "auto" grants.
            AbstractPattern::Name(pattern) => !name.is_empty() && pattern.matches(name),
        })
    }

    pub(crate) fn covers(&self, address: &UnixAddress, side: Side) -> bool {
        match address {
            UnixAddress::Unnamed => self.unnamed,
            UnixAddress::Pathname(path) => self.place_of(path).is_some(),
            UnixAddress::Abstract(name) => self.covers_abstract(name, side),
        }
    }

    /// For a deny rule: an unclean path could lead anywhere, so it is touched; no rule allows one either.
    pub(crate) fn touches(&self, address: &UnixAddress) -> bool {
        match address {
            UnixAddress::Unnamed => self.unnamed,
            UnixAddress::Pathname(path) => {
                !self.paths.is_empty()
                    && (clean_components(path).is_none() || self.place_of(path).is_some())
            }
            UnixAddress::Abstract(name) => self.abstracts.iter().any(|pattern| match pattern {
                AbstractPattern::Auto => name.is_empty() || is_autobind_name(name),
                AbstractPattern::Name(pattern) => pattern.matches(name),
            }),
        }
    }
}

/// Whether the name looks like one that Linux chooses: five hexadecimal digits, see unix(7).
fn is_autobind_name(name: &[u8]) -> bool {
    name.len() == 5 && name.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(pattern: &str, name: &str) -> bool {
        NamePattern::parse(pattern)
            .unwrap()
            .matches(name.as_bytes())
    }

    #[test]
    fn a_star_does_not_cross_a_slash() {
        assert!(glob("*.sock", "a.sock"));
        assert!(!glob("*.sock", "a/b.sock"));
        assert!(!glob("a[!x]b", "a/b"));
        assert!(!glob("a[+-9]b", "a/b"));
        assert!(!glob("a?b", "a/b"));
        assert!(glob("**", "a/b/c"));
        assert!(glob("**/x", "x"));
        assert!(glob("**/x", "a/b/x"));
        assert!(glob("a/**/b/*.s", "a/b/b/c.s"));
        assert!(glob("a/**", "a"));
        assert!(!glob("**/a/b", "a/x/b"));
        assert!(!glob("a/**/b", "a/c"));
        for wrong in ["", "a**", "a["] {
            assert!(NamePattern::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_alternative_may_be_empty() {
        assert!(glob("a{,-b}.sock", "a.sock"));
        assert!(glob("a{,-b}.sock", "a-b.sock"));
        assert!(!glob("a{,-b}.sock", "a-.sock"));
    }

    #[test]
    fn what_every_name_begins_with() {
        for (pattern, begins) in [
            ("can0", true),
            ("can*", true),
            ("vcan0", false),
            ("vcan*", false),
            ("*", false),
            ("**", false),
        ] {
            let pattern = NamePattern::parse(pattern).unwrap();
            assert_eq!(pattern.begins_with("can"), begins, "{pattern:?}");
        }
    }

    #[test]
    fn one_pattern_holds_another_where_that_is_plain() {
        for (wide, narrow, holds) in [
            ("**", "a/*", true),
            ("*", "a", true),
            ("a/*", "a/*", true),
            ("**/a*", "**/a*", true),
            ("*", "a/b", false),
            ("*", "**", false),
            ("a/*", "b/*", false),
            ("a/*", "a/?", false),
            ("a/*", "*/*", false),
        ] {
            let read = |text| NamePattern::parse(text).unwrap();
            assert_eq!(read(wide).holds(&read(narrow)), holds, "{wide} {narrow}");
        }
        for (wide, narrow, holds) in [
            ("/run/*", "/run/a", true),
            ("/run/a", "/run/b", false),
            ("/run/*", "/srv/*", false),
        ] {
            let read = |text| PathPattern::absolute(text).unwrap();
            assert_eq!(read(wide).holds(&read(narrow)), holds, "{wide} {narrow}");
        }
    }

    #[test]
    fn a_glob_that_could_match_no_clean_path_is_refused() {
        for glob in ["", ".", "a/../b", "a//b", "/a"] {
            assert!(PathPattern::new(Path::new("/run"), glob).is_err(), "{glob}");
        }
    }

    #[test]
    fn a_deny_rule_about_paths_touches_what_is_no_clean_path() {
        let touches = |paths: &[&str], path: &str| {
            let paths = paths
                .iter()
                .map(|path| PathPattern::absolute(path).unwrap());
            let pattern = UnixPattern {
                paths: paths.collect(),
                ..UnixPattern::default()
            };
            pattern.touches(&UnixAddress::Pathname(path.into()))
        };
        for path in ["/run/../srv/x", "srv/x", "/srv/x"] {
            assert!(touches(&["/srv/*"], path), "{path}");
            assert!(!touches(&[], path), "{path}");
        }
        assert!(!touches(&["/srv/*"], "/run/x"));
    }

    #[test]
    fn bytes_that_are_no_text_match_a_star() {
        let pattern = NamePattern::parse("a*").unwrap();
        assert!(pattern.matches(b"a\xff\n\0"));
        assert!(!pattern.matches(b"b\xff"));
    }

    #[test]
    fn a_root_is_split_off() {
        let pattern = PathPattern::absolute("/run/app/*.sock").unwrap();
        let place = pattern.place_of(b"/run/app/a.sock").unwrap();
        assert_eq!(
            (place.root, place.beneath),
            ("/run/app".into(), "a.sock".into())
        );
        let whole = PathPattern::absolute("/x.sock")
            .unwrap()
            .place_of(b"/x.sock")
            .unwrap();
        assert_eq!((whole.root, whole.beneath), ("/".into(), "x.sock".into()));
    }

    #[test]
    fn unclean_paths_never_match() {
        let pattern = PathPattern::new(Path::new("/run"), "**").unwrap();
        for path in [
            "run/x",
            "/run/../etc/x",
            "/run/./x",
            "/run//x",
            "/run/x/",
            "//run/x",
            "/run",
            "/runx/y",
            "",
            "/",
            "/run/x\0y",
        ] {
            assert!(pattern.place_of(path.as_bytes()).is_none(), "{path:?}");
        }
        assert!(pattern.place_of(b"/run/a/b").is_some());
    }

    proptest! {
        #[test]
        fn a_place_never_leaves_its_root(path in "(/|\\.|\\.\\.|a|\0|run){0,12}") {
            let pattern = PathPattern::new(Path::new("/run"), "**").unwrap();
            if let Some(place) = pattern.place_of(path.as_bytes()) {
                prop_assert!(path.starts_with("/run/"));
                prop_assert!(place.beneath.is_relative());
                let normal = place.beneath.components().all(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert!(normal);
                let joined = place.root.join(&place.beneath);
                prop_assert_eq!(joined.as_os_str().as_bytes(), path.as_bytes());
            }
        }

        #[test]
        fn a_pathological_glob_ends(name in "(a|/){0,400}") {
            let pattern = NamePattern::parse("**/*a*a*a*/**/*a*a*b*/**/c").unwrap();
            prop_assert!(!pattern.matches(name.as_bytes()));
        }
    }
}
