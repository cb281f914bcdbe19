//! Mutants that no input can tell from the original, with the reasons.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// `tests/mutants/equivalents.toml`.
pub struct Equivalents(Vec<Entry>);

struct Entry {
    file: String,
    function: String,
    mutation: String,
    reason: String,
    used: bool,
}

impl Equivalents {
    /// Reads the list.
    pub fn read(path: &Path) -> Result<Equivalents> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Equivalents::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Equivalents> {
        let table: toml::Table = text.parse()?;
        let entries = match table.get("equivalent") {
            None => &Vec::new(),
            Some(entries) => entries.as_array().context("`equivalent` is no list")?,
        };
        let entries = entries.iter().map(|entry| {
            let word = |key: &str| {
                let word = entry.get(key).and_then(toml::Value::as_str);
                word.filter(|word| !word.trim().is_empty())
                    .map(str::to_owned)
                    .with_context(|| format!("an entry has no `{key}`: {entry:?}"))
            };
            Ok(Entry {
                file: word("file")?,
                function: word("function")?,
                mutation: word("mutation")?,
                reason: word("reason")?,
                used: false,
            })
        });
        Ok(Equivalents(entries.collect::<Result<_>>()?))
    }

    /// The reason why the mutant that survived is the same as the original.
    pub fn reason(&mut self, file: &str, function: &str, mutation: &str) -> Option<&str> {
        let entry = self.0.iter_mut().find(|entry| {
            entry.file == file && entry.function == function && entry.mutation == mutation
        })?;
        entry.used = true;
        Some(&entry.reason)
    }

    /// An error where an entry is about no mutant that survived.
    pub fn check(&self) -> Result<()> {
        let idle: Vec<String> = self
            .0
            .iter()
            .filter(|entry| !entry.used)
            .map(|entry| format!("  {} {}: {}", entry.file, entry.function, entry.mutation))
            .collect();
        if !idle.is_empty() {
            bail!(
                "tests/mutants/equivalents.toml lists what is caught, or does not exist:\n{}",
                idle.join("\n")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_a_reason_and_a_survivor() {
        let with = |reason: &str| {
            format!("[[equivalent]]\nfile='a.rs'\nfunction='f'\nmutation='a < b -> true'\n{reason}")
        };
        assert!(Equivalents::parse(&with("")).is_err());
        assert!(Equivalents::parse(&with("reason = ' '")).is_err());
        let mut list = Equivalents::parse(&with("reason = 'b is the largest'")).unwrap();
        assert!(list.check().is_err());
        assert_eq!(list.reason("a.rs", "f", "a < b -> false"), None);
        let reason = list.reason("a.rs", "f", "a < b -> true");
        assert_eq!(reason, Some("b is the largest"));
        assert!(list.check().is_ok());
    }
}
