//! A policy's file and those that it includes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Fault, Origin, Text};
use super::groups::Groups;
use super::reader::{Read, Reader};
use super::rule::{self, Listing, Rule};
use super::{Settings, Source};

/// How deep files may include others.
const DEEPEST: usize = 8;
/// The most files that belong to one policy.
const MOST_FILES: usize = 64;

/// Reads the text of an included file; the error says why it cannot be read.
pub(super) type ReadFile<'r> = dyn FnMut(&Path) -> Result<String, String> + 'r;

/// Everything that a policy's files say.
pub(super) struct Files {
    pub(super) settings: Settings,
    pub(super) rules: Vec<Rule>,
    pub(super) groups: Arc<Groups>,
    pub(super) used_variables: std::collections::BTreeSet<String>,
    pub(super) faults: Vec<Fault>,
    pub(super) origin: Origin,
}

/// A file on its way to being read.
struct File {
    name: PathBuf,
    path: PathBuf,
}

struct Including<'s, 'r> {
    reader: Reader<'s>,
    read: &'r mut ReadFile<'r>,
    settings: Settings,
    rules: Vec<Rule>,
    texts: Vec<Text>,
    /// Every file that belongs to the policy.
    known: Vec<PathBuf>,
    /// The files that include each other down to the one that is being read.
    open: Vec<PathBuf>,
}

/// Reads the source and what it includes.
pub(super) fn read<'r>(source: &Source, read: &'r mut ReadFile<'r>) -> Files {
    let name = PathBuf::from(&source.name);
    let path = source.base.join(name.file_name().unwrap_or_default());
    let mut including = Including {
        reader: Reader::new(&source.variables),
        read,
        settings: Settings::default(),
        rules: Vec::new(),
        texts: Vec::new(),
        known: vec![path.clone()],
        open: Vec::new(),
    };
    including.file(&File { name, path }, &source.text);
    let (groups, used_variables, faults) = including.reader.finish();
    let groups = Arc::new(groups);
    for rule in &mut including.rules {
        rule.groups = groups.clone();
    }
    Files {
        settings: including.settings,
        rules: including.rules,
        groups,
        used_variables,
        faults,
        origin: Origin::Texts(including.texts),
    }
}

impl Including<'_, '_> {
    fn file(&mut self, file: &File, text: &str) {
        let start = self.texts.last().map_or(0, Text::end);
        let name = file.name.display().to_string();
        self.texts.push(Text::new(&name, text, start));
        self.reader.start = start;
        let Read {
            settings,
            rules,
            includes,
        } = self.reader.text_of_policy(text);
        self.settings = std::mem::take(&mut self.settings).merge(settings);
        let base: Option<Arc<Path>> = file.path.parent().map(Arc::from);
        self.rules.extend(rules.into_iter().map(|rule| Rule {
            base: base.clone(),
            ..rule
        }));
        self.open.push(file.path.clone());
        self.includes(file, &includes.unwrap_or_default());
        self.open.pop();
    }

    fn includes(&mut self, by: &File, list: &Listing) {
        for item in &list.items {
            let Some(file) = self.included(by, item) else {
                continue;
            };
            // Named by several files, it belongs to the policy once.
            if self.known.contains(&file.path) {
                continue;
            }
            self.known.push(file.path.clone());
            match (self.read)(&file.path) {
                Ok(text) => self.file(&file, &text),
                Err(problem) => {
                    let message = format!("`{}` cannot be read: {problem}", item.value);
                    let help = format!("it was looked for at {}", file.path.display());
                    self.fault(item, message, help);
                }
            }
        }
    }

    /// The file that a member of `include` names.
    fn included(&mut self, by: &File, item: &rule::Text) -> Option<File> {
        let word = item.value.as_str();
        if word.starts_with('/') || word.split('/').any(|part| matches!(part, "" | "." | "..")) {
            self.fault(
                item,
                format!("`{word}` does not lie beside this file, nor in a folder beside it"),
                "name a file from here without `/` at its start, `.` and `..`: `common.toml`, `rules/lan.toml`",
            );
            return None;
        }
        let beside = |file: &Path| file.parent().unwrap_or(Path::new("")).join(word);
        let file = File {
            name: beside(&by.name),
            path: beside(&by.path),
        };
        if self.open.contains(&file.path) {
            let message = match file.path == by.path {
                true => format!("`{word}` includes itself"),
                false => format!("`{word}` includes this file, directly or by others"),
            };
            self.fault(item, message, "take one of the two out of its `include`");
            return None;
        }
        let limit = if self.open.len() >= DEEPEST {
            Some(format!("files include each other more than {DEEPEST} deep"))
        } else if self.known.len() >= MOST_FILES && !self.known.contains(&file.path) {
            Some(format!("the policy has more than {MOST_FILES} files"))
        } else {
            None
        };
        if let Some(message) = limit {
            self.fault(item, message, "put some of them together");
            return None;
        }
        Some(file)
    }

    fn fault(&mut self, item: &rule::Text, message: String, help: impl Into<String>) {
        let fault = Fault::new(item.at.clone(), message, help);
        self.reader.faults.push(fault);
    }
}
