//! Load errors: place, message, the line itself with a caret, and the mend.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use unicode_width::UnicodeWidthStr;

use super::rule::Span;

/// Where rules come from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Texts one behind the other, with places in them: a policy's file and what it includes.
    Texts(Vec<Text>),
    /// A builder, or several sources.
    Rust,
}

/// A named text in which places are found by line and column.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Text {
    name: String,
    text: String,
    /// Where the text begins among the others of its origin: places count from the first of them.
    start: usize,
    /// The offset in the text at which each line begins.
    lines: Vec<usize>,
}

impl Text {
    /// A text under the name that errors call it by.
    pub(crate) fn new(name: &str, text: &str, start: usize) -> Text {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Text {
            name: name.to_owned(),
            text: text.to_owned(),
            start,
            lines: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// Where the next text begins.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len() + 1
    }

    /// Line and column, both from 1; the column counts characters.
    fn position(&self, offset: usize) -> (usize, usize) {
        let offset = offset - self.start;
        let line = self.lines.partition_point(|begin| *begin <= offset).max(1);
        let before = self.text.get(self.lines[line - 1]..offset);
        (line, before.map_or(0, |before| before.chars().count()) + 1)
    }

    /// A line by its number, without its end.
    fn line(&self, number: usize) -> &str {
        let begin = self.lines.get(number - 1).copied();
        let rest = begin.and_then(|begin| self.text.get(begin..));
        rest.and_then(|rest| rest.lines().next())
            .unwrap_or_default()
    }
}

impl Origin {
    /// A text under the name that errors call it by.
    pub(crate) fn text(name: &str, text: &str) -> Origin {
        Origin::Texts(vec![Text::new(name, text, 0)])
    }

    /// The text that a place lies in.
    fn text_at(&self, at: &Span) -> Option<(&Text, Range<usize>)> {
        match (self, at) {
            (Origin::Texts(texts), Some(at)) => {
                let behind = texts.partition_point(|text| text.start <= at.start);
                Some((texts.get(behind.checked_sub(1)?)?, at.clone()))
            }
            _ => None,
        }
    }

    /// `policy.toml:12`, as far as that is known.
    pub(crate) fn place(&self, at: &Span) -> String {
        match (self.text_at(at), self) {
            (Some((text, at)), _) if text.lines.len() > 1 => {
                format!("{}:{}", text.name, text.position(at.start).0)
            }
            (Some((text, _)), _) => text.name.clone(),
            (None, Origin::Texts(texts)) => texts
                .first()
                .map_or_else(String::new, |text| text.name.clone()),
            (None, Origin::Rust) => "(in code)".to_owned(),
        }
    }
}

/// One thing that is wrong, before it is known where its text comes from.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) at: Span,
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Fault {
    pub(crate) fn new(at: Span, message: impl Into<String>, help: impl Into<String>) -> Fault {
        Fault {
            at,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// One thing that is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    origin: Arc<Origin>,
    at: Span,
    message: String,
    help: String,
}

impl LoadError {
    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How to mend it.
    #[must_use]
    pub fn help(&self) -> &str {
        &self.help
    }

    /// Line and column, both from 1, if the policy came from a text.
    #[must_use]
    pub fn position(&self) -> Option<(usize, usize)> {
        let (text, at) = self.origin.text_at(&self.at)?;
        Some(text.position(at.start))
    }

    /// The name of the text that it stands in: that of the policy, or of a file that it includes.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        let (text, _) = self.origin.text_at(&self.at)?;
        Some(&text.name)
    }

    /// The line and column behind what the error points at, as [`LoadError::position`] counts them.
    #[must_use]
    pub fn end_position(&self) -> Option<(usize, usize)> {
        let (text, at) = self.origin.text_at(&self.at)?;
        Some(text.position(at.end))
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((text, at)) = self.origin.text_at(&self.at) {
            let (line, column) = text.position(at.start);
            let shown = text.line(line);
            let before: String = shown.chars().take(column - 1).collect();
            let left = shown.width().saturating_sub(before.width()).max(1);
            let within = at.start - text.start..at.end.saturating_sub(text.start);
            let pointed_at = text.text.get(within).unwrap_or("");
            let width = pointed_at.lines().next().unwrap_or("").width();
            writeln!(f, "{}:{line}:{column}: error: {}", text.name, self.message)?;
            let margin = line.to_string();
            writeln!(f, "{margin} | {shown}")?;
            let blank = " ".repeat(margin.len());
            // As wide as what stands above it: a tab is as wide as the terminal says.
            let indent: String = before
                .split_inclusive('\t')
                .map(|piece| match piece.strip_suffix('\t') {
                    Some(piece) => " ".repeat(piece.width()) + "\t",
                    None => " ".repeat(piece.width()),
                })
                .collect();
            writeln!(f, "{blank} | {indent}{}", "^".repeat(width.clamp(1, left)))?;
            return write!(f, "{blank} = help: {}", self.help);
        }
        match &*self.origin {
            Origin::Rust => writeln!(f, "error: {}", self.message)?,
            texts => writeln!(f, "{}: error: {}", texts.place(&None), self.message)?,
        }
        write!(f, "  = help: {}", self.help)
    }
}

/// Everything that is wrong with a policy; at least one error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// The errors in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &LoadError> {
        self.0.iter()
    }

    pub(crate) fn unless_empty<T>(
        origin: &Arc<Origin>,
        mut faults: Vec<Fault>,
        whole: T,
    ) -> Result<T, LoadErrors> {
        if faults.is_empty() {
            return Ok(whole);
        }
        faults.sort_by_key(|fault| fault.at.as_ref().map_or(0, |at| at.start));
        let errors = faults
            .into_iter()
            .map(|Fault { at, message, help }| LoadError {
                origin: origin.clone(),
                at,
                message,
                help,
            })
            .collect();
        Err(LoadErrors(errors))
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, error) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}

/// The known word nearest to a mistyped one, if it is near enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len().div_ceil(2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, in bytes; letters in the wrong order count as one mistake.
fn distance(one: &str, other: &str) -> usize {
    let sorted = |word: &str| {
        let mut letters = word.as_bytes().to_vec();
        letters.sort_unstable();
        letters
    };
    if one != other && sorted(one) == sorted(other) {
        return 1;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, a) in one.bytes().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (place, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

/// `did you mean X?`, or the list of what there is.
pub(crate) fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str> + Clone) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let names: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
            format!("there are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested() {
        assert_eq!(nearest("conect", ["connect", "bind"]), Some("connect"));
        assert_eq!(nearest("dgram", ["datagram", "stream"]), None);
        assert_eq!(nearest("x", ["ip"]), None);
    }
}
