//! The audit file: one JSON object per line, `sockgate run --audit FILE`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Every record of one run, in order.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    records: Vec<Record>,
}

/// One line: what was asked, and how it was judged.
#[derive(Clone, Debug)]
pub struct Record {
    fields: Value,
}

impl Audit {
    /// Reads a file; one that is not there yet is empty, and so is a line that is not whole yet.
    pub fn read(path: &Path) -> Result<Audit> {
        if !path.exists() {
            return Ok(Audit::default());
        }
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Audit::parse(&text)
    }

    fn parse(text: &str) -> Result<Audit> {
        let mut records = Vec::new();
        for (number, line) in text.split_inclusive('\n').enumerate() {
            if !line.ends_with('\n') {
                break;
            }
            let fields = serde_json::from_str(line)
                .with_context(|| format!("audit line {} is no JSON: {line}", number + 1))?;
            records.push(Record { fields });
        }
        Ok(Audit { records })
    }

    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The records of one operation (`connect`, `bind`, ...).
    pub fn of<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a Record> {
        self.records
            .iter()
            .filter(move |record| record.operation() == operation)
    }

    /// The first record of this operation that was refused.
    ///
    /// # Errors
    /// There is none; the error shows what there is.
    pub fn denied(&self, operation: &str) -> Result<&Record> {
        self.judged(operation, Record::is_denied, "refuses")
    }

    /// The first record of this operation that was granted.
    ///
    /// # Errors
    /// There is none; the error shows what there is.
    pub fn granted(&self, operation: &str) -> Result<&Record> {
        self.judged(operation, |record| record.verdict() == "allow", "grants")
    }

    fn judged(
        &self,
        operation: &str,
        wanted: impl Fn(&Record) -> bool,
        verb: &str,
    ) -> Result<&Record> {
        let mut records = self.records.iter();
        match records.find(|record| record.operation() == operation && wanted(record)) {
            Some(record) => Ok(record),
            None => {
                let all: Vec<_> = self.records.iter().map(|r| r.fields.to_string()).collect();
                bail!("no record {verb} `{operation}` in:\n{}", all.join("\n"))
            }
        }
    }
}

impl Record {
    /// The operation's name as the policy writes it.
    pub fn operation(&self) -> &str {
        self.text("operation")
    }

    /// How the policy decided: `allow`, `deny`, `audit`, `limit` or `free`.
    pub fn verdict(&self) -> &str {
        self.text("verdict")
    }

    /// Whether the policy refused it, by its rules or by a limit.
    pub fn is_denied(&self) -> bool {
        matches!(self.verdict(), "deny" | "limit")
    }

    /// The canonical address, or nothing.
    pub fn address(&self) -> &str {
        self.text("address")
    }

    /// The rule that decided, or nothing.
    pub fn rule(&self) -> &str {
        self.text("rule")
    }

    /// Why it was refused, or nothing.
    pub fn reason(&self) -> &str {
        self.text("reason")
    }

    /// What would have granted it, or nothing.
    pub fn grant(&self) -> &str {
        self.text("grant")
    }

    /// The rule that would have granted it, as `--allow` takes it.
    ///
    /// # Errors
    /// What would have granted it is no such line.
    pub fn missing_rule(&self) -> Result<&str> {
        let line = self.grant().strip_prefix("--allow '");
        line.and_then(|rest| rest.strip_suffix('\''))
            .with_context(|| format!("`{}` of {} is no --allow", self.grant(), self.operation()))
    }

    /// The errno's name that the guest got, or nothing.
    pub fn errno(&self) -> &str {
        self.text("errno")
    }

    /// Bytes that went through, where the record has them.
    pub fn bytes(&self) -> Option<u64> {
        self.fields["bytes"].as_u64()
    }

    /// Any other field.
    pub fn field(&self, name: &str) -> &Value {
        &self.fields[name]
    }

    /// A field's text; nothing where it is missing or null.
    fn text(&self, name: &str) -> &str {
        self.fields[name].as_str().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_lines_only() -> Result<()> {
        let audit = Audit::parse(
            "{\"operation\":\"connect\",\"verdict\":\"deny\",\"address\":\"10.0.0.1:22\",\"errno\":\"acces\",\"grant\":\"tcp connect 10.0.0.1:22\"}\n\
             {\"operation\":\"connect\",\"verdict\":\"allow\",\"rule\":\"web\",\"bytes\":7}\n\
             {\"operation\":\"bi",
        )?;
        assert_eq!(audit.records().len(), 2);
        assert_eq!(audit.denied("connect")?.address(), "10.0.0.1:22");
        assert_eq!(audit.denied("connect")?.errno(), "acces");
        assert_eq!(audit.denied("connect")?.grant(), "tcp connect 10.0.0.1:22");
        assert_eq!(audit.granted("connect")?.rule(), "web");
        assert_eq!(audit.granted("connect")?.bytes(), Some(7));
        assert!(audit.denied("bind").is_err());
        assert_eq!(audit.of("connect").count(), 2);
        Ok(())
    }

    #[test]
    fn a_broken_line_is_named() {
        let error = Audit::parse("{}\nnonsense\n").unwrap_err();
        assert!(error.to_string().contains("audit line 2"), "{error}");
    }
}
