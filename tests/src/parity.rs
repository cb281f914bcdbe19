//! The tables of Python's names, below tests/parity.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::place::root;

/// One name of Python's modules, and what answers for it here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Name {
    /// As Python writes it; a method of the socket object plainly, one of socketserver's as `Class.method`.
    pub name: String,
    /// `func`, `class`, `method` or `const`; empty in tables that do not sort.
    pub kind: String,
    /// Linux's number, where the name is a constant that Linux has.
    pub value: String,
    /// Where Python has the name.
    pub platform: String,
    /// Paths of items of `sockgate_guest`, separated by `, `; empty where the name does not apply.
    pub item: String,
    /// Why it does not apply; empty where it does.
    pub reason: String,
}

/// The rows of `tests/parity/TABLE.tsv`: either every column, or name, item and reason.
pub fn names(table: &str) -> Result<Vec<Name>> {
    let path = root().join("tests/parity").join(format!("{table}.tsv"));
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    read(&text).with_context(|| format!("in {}", path.display()))
}

fn read(text: &str) -> Result<Vec<Name>> {
    let mut names = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split('\t').collect();
        if line.trim().is_empty() || line.starts_with('#') || fields[0] == "name" {
            continue;
        }
        let fields = fields.into_iter().map(|field| field.trim().to_owned());
        let fields: Vec<String> = fields.collect();
        let name = match <[String; 6]>::try_from(fields) {
            Ok([name, kind, value, platform, item, reason]) => Name {
                name,
                kind,
                value,
                platform,
                item,
                reason,
            },
            Err(fields) => match <[String; 3]>::try_from(fields) {
                Ok([name, item, reason]) => Name {
                    name,
                    item,
                    reason,
                    ..Name::default()
                },
                Err(fields) => bail!(
                    "line {}: {} columns; a row has name, kind, value, platform, item and reason, or name, \
                     item and reason, separated by one tab each",
                    index + 1,
                    fields.len()
                ),
            },
        };
        names.push(name);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_six_columns_or_three() -> Result<()> {
        let names =
            read("name\titem\treason\n\n# why\na\tB::c\t\nd\tconst\t1\tlinux\t\tof others\n")?;
        assert_eq!(names.len(), 2);
        assert_eq!(
            (names[0].item.as_str(), names[0].reason.as_str()),
            ("B::c", "")
        );
        assert_eq!(
            (names[1].value.as_str(), names[1].reason.as_str()),
            ("1", "of others")
        );
        let error = read("a\tb\n").unwrap_err().to_string();
        assert!(error.starts_with("line 1: 2 columns"), "{error}");
        Ok(())
    }
}
