//! Mutants that no input can tell from the original, with the reasons.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// The lists in a folder, each a TOML file about one source file:
///
/// ```toml
/// file = "host/policy/src/class.rs"
///
/// [[equivalent]]
/// function = "Class::of"
/// mutation = "the text that the check prints"
/// reason = "why no input can tell"
/// ```
pub struct Equivalents(Vec<Entry>);

struct Entry {
    file: String,
    function: String,
    mutation: String,
    reason: String,
    used: bool,
}

impl Equivalents {
    /// Reads every list of the folder.
    pub fn read(folder: &Path) -> Result<Equivalents> {
        let mut entries = Vec::new();
        let listed =
            fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for list in listed {
            let path = list?.path();
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            entries.extend(parse(&text).with_context(|| path.display().to_string())?);
        }
        Ok(Equivalents(entries))
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
                "tests/mutants lists what is caught, or does not exist:\n{}",
                idle.join("\n")
            );
        }
        Ok(())
    }
}

fn parse(text: &str) -> Result<Vec<Entry>> {
    let table: toml::Table = text.parse()?;
    let file = word(&table, "file")?;
    let entries = match table.get("equivalent") {
        None => &Vec::new(),
        Some(entries) => entries.as_array().context("`equivalent` is no list")?,
    };
    let entries = entries.iter().map(|entry| {
        let entry = entry.as_table().context("`equivalent` is no list")?;
        Ok(Entry {
            file: file.clone(),
            function: word(entry, "function")?,
            mutation: word(entry, "mutation")?,
            reason: word(entry, "reason")?,
            used: false,
        })
    });
    entries.collect()
}

fn word(table: &toml::Table, key: &str) -> Result<String> {
    let word = table.get(key).and_then(toml::Value::as_str);
    word.filter(|word| !word.trim().is_empty())
        .map(str::to_owned)
        .with_context(|| format!("there is no `{key}` in {table:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_needs_a_reason_and_a_survivor() {
        let with = |reason: &str| {
            parse(&format!(
                "file='a.rs'\n[[equivalent]]\nfunction='f'\nmutation='a < b -> true'\n{reason}"
            ))
        };
        assert!(with("").is_err());
        assert!(with("reason = ' '").is_err());
        let mut list = Equivalents(with("reason = 'b is the largest'").unwrap());
        assert!(list.check().is_err());
        assert_eq!(list.reason("a.rs", "f", "a < b -> false"), None);
        let reason = list.reason("a.rs", "f", "a < b -> true");
        assert_eq!(reason, Some("b is the largest"));
        assert!(list.check().is_ok());
    }
}
