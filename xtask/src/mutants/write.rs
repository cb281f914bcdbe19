//! A copy of the tree in which every mutation is built in, and a switch that turns one of them on.
//!
//! A mutation is put around what it is about, on the same line, and asks the switch each time. So one build
//! holds them all, and nothing of it is in the tree itself.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::find::{Change, Passage, Point};

/// A point with its number, by which the switch knows it.
pub struct Numbered<'a> {
    pub number: usize,
    pub point: &'a Point,
}

/// A file's text with its mutations, and where each of them came to lie in it.
pub struct Written {
    pub text: String,
    pub places: Vec<(usize, Range<usize>)>,
}

/// Puts the points into the source, and what lets refusals pass. `switch` is the path of the switch's module.
pub fn mutated(
    source: &str,
    points: &[Numbered<'_>],
    passages: &[Passage],
    switch: &str,
) -> Written {
    let mut pieces: Vec<Piece> = passages
        .iter()
        .map(|passage| Piece {
            at: passage.at,
            rank: (2, 0, 0),
            number: None,
            text: format!(" if {switch}::grants() {{ return {}; }}", passage.answer),
        })
        .collect();
    for (order, Numbered { number, point }) in points.iter().enumerate() {
        let (before, after) = around(point, *number, switch);
        pieces.push(Piece {
            at: point.range.start,
            // What ends here stands before what begins here; of those that begin, the longer first.
            rank: (1, usize::MAX - point.range.end, order),
            number: Some(*number),
            text: before,
        });
        pieces.push(Piece {
            at: point.range.end,
            rank: match point.range.is_empty() {
                true => (1, usize::MAX - point.range.end, order),
                // The last to begin ends first.
                false => (0, usize::MAX - point.range.start, usize::MAX - order),
            },
            number: Some(*number),
            text: after,
        });
    }
    pieces.sort_by_key(|piece| (piece.at, piece.rank));
    let mut text = String::with_capacity(source.len() * 4);
    let mut places: Vec<(usize, Range<usize>)> = Vec::new();
    let mut done = 0;
    for piece in pieces {
        text.push_str(&source[done..piece.at]);
        done = piece.at;
        let start = text.len();
        text.push_str(&piece.text);
        let Some(number) = piece.number else { continue };
        match places.iter_mut().find(|(known, _)| *known == number) {
            Some((_, place)) => place.end = text.len(),
            None => places.push((number, start..text.len())),
        }
    }
    text.push_str(&source[done..]);
    Written { text, places }
}

struct Piece {
    at: usize,
    rank: (usize, usize, usize),
    number: Option<usize>,
    text: String,
}

/// What comes before and after the text that a point is about.
fn around(point: &Point, number: usize, switch: &str) -> (String, String) {
    let on = format!("{switch}::on({number})");
    match &point.change {
        Change::True => (format!("({on} || ("), "))".to_owned()),
        Change::False => (format!("(!{on} && ("), "))".to_owned()),
        Change::NeverLet => (format!("!{on} && "), String::new()),
        Change::Inverted => (format!("({on} != ("), "))".to_owned()),
        Change::Instead { code, .. } => instead(&on, code),
        Change::Passed(code) => instead(&on, code),
        Change::LeftOut => (format!("if !{on} {{ "), " }".to_owned()),
        Change::ArmLeftOut => (format!(" if !{on}"), String::new()),
        Change::Answers(truth) => (format!(" if {on} {{ return {truth}; }}"), String::new()),
        Change::Granted => (
            format!("({{ let _granting = {switch}::granting({number}); "),
            " })".to_owned(),
        ),
    }
}

/// Code that takes the text's place where the mutation is on.
fn instead(on: &str, code: &str) -> (String, String) {
    (format!("(if {on} {{ {code} }} else {{ "), " })".to_owned())
}

/// The module of the switch.
pub const SWITCH: &str = r#"//! Which mutation is on: `SOCKGATE_MUTANT`. With `SOCKGATE_MUTANTS_REACHED` each process notes in a file of that
//! folder which ones it came by.
#![allow(missing_docs)]

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

const COUNT: usize = {COUNT};
static REACHED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];
static CHOSEN: OnceLock<(usize, Option<Mutex<File>>)> = OnceLock::new();

thread_local! {
    static GRANTING: Cell<bool> = const { Cell::new(false) };
}

fn read() -> (usize, Option<Mutex<File>>) {
    let chosen = std::env::var("SOCKGATE_MUTANT").ok().and_then(|number| number.parse().ok());
    let file = std::env::var_os("SOCKGATE_MUTANTS_REACHED").and_then(|folder| {
        let path = std::path::Path::new(&folder).join(std::process::id().to_string());
        File::options().create(true).append(true).open(path).ok()
    });
    (chosen.unwrap_or(usize::MAX), file.map(Mutex::new))
}

pub fn on(number: usize) -> bool {
    let (chosen, file) = CHOSEN.get_or_init(read);
    if let Some(file) = file
        && !REACHED[number].swap(true, Ordering::Relaxed)
        && let Ok(mut file) = file.lock()
    {
        let _ = file.write_all(format!("{number}\n").as_bytes());
    }
    number == *chosen
}

pub struct Granting(bool);

pub fn granting(number: usize) -> Granting {
    let on = on(number);
    Granting(GRANTING.replace(on || GRANTING.get()))
}

impl Drop for Granting {
    fn drop(&mut self) {
        GRANTING.set(self.0);
    }
}

pub fn grants() -> bool {
    GRANTING.get()
}
"#;

/// Copies a tree without what is built or versioned, with other texts for some of its files and some files more.
/// What is the same already is left as it is, so that cargo does not build it again; what is gone, goes.
pub fn copy_tree(from: &Path, to: &Path, texts: &BTreeMap<PathBuf, String>) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        let left_out = entry.file_name() == "target" || entry.file_name() == ".git";
        if kind.is_dir() && !left_out {
            copy_tree(&source, &place, texts)?;
        } else if kind.is_file() && !left_out && !texts.contains_key(&source) {
            write(&place, &fs::read(&source)?)?;
        }
    }
    for (file, text) in texts.iter().filter(|(file, _)| file.parent() == Some(from)) {
        if let Some(name) = file.file_name() {
            write(&to.join(name), text.as_bytes())?;
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        let source = from.join(entry.file_name());
        if source.exists() || texts.contains_key(&source) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a file unless it holds the same already.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
