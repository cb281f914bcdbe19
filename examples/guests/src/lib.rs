//! What the example guests share: their command line, and how they end. Only std, since some of them use
//! nothing else.

pub mod challenge;

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;
use std::str::FromStr;

/// A guest's command line: words in their order, and options (`--name value`).
pub struct Arguments {
    words: VecDeque<String>,
    options: Vec<(String, String)>,
}

impl Arguments {
    fn parse(mut raw: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut arguments = Self {
            words: VecDeque::new(),
            options: Vec::new(),
        };
        while let Some(word) = raw.next() {
            match word.strip_prefix("--") {
                None => arguments.words.push_back(word),
                Some(name) => {
                    let value = raw
                        .next()
                        .ok_or_else(|| usage(format!("--{name} needs a value")))?;
                    arguments.options.push((name.to_owned(), value));
                }
            }
        }
        Ok(arguments)
    }

    /// The next word, or what stands for it in the environment (`NAME` in capitals).
    pub fn word(&mut self, name: &str) -> io::Result<String> {
        let given = self.words.pop_front().or_else(|| std::env::var(name).ok());
        given.ok_or_else(|| usage(format!("{name} is missing: give it as an argument")))
    }

    /// The next word, if there is one.
    pub fn next_word(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    /// The value of an option, if it was given.
    pub fn option<T: FromStr<Err: Display>>(&self, name: &str) -> io::Result<Option<T>> {
        let Some((_, value)) = self.options.iter().find(|(given, _)| given == name) else {
            return Ok(None);
        };
        let value = value
            .parse()
            .map_err(|error| usage(format!("--{name} {value}: {error}")))?;
        Ok(Some(value))
    }

    /// `--clients N`: after how many clients (or messages) the guest ends by itself; otherwise never.
    pub fn clients(&self) -> io::Result<usize> {
        Ok(self.option("clients")?.unwrap_or(usize::MAX))
    }
}

fn usage(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Runs a guest with its arguments: status 0, or 1 and what went wrong on stderr.
pub fn run(guest: impl FnOnce(Arguments) -> io::Result<()>) -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)).and_then(guest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what was tried when it failed: `connect to 192.0.2.1:80: Connection refused (ECONNREFUSED)`.
pub trait Trying<T> {
    /// Puts `what` before the error's text and keeps its kind.
    fn trying(self, what: impl Display) -> io::Result<T>;
}

impl<T, E: Into<io::Error>> Trying<T> for Result<T, E> {
    fn trying(self, what: impl Display) -> io::Result<T> {
        self.map_err(|error| {
            let error = error.into();
            io::Error::new(error.kind(), format!("{what}: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything from `main` on.
    fn body(source: &str) -> &str {
        &source[source.find("fn main()").expect("a guest has a main")..]
    }

    #[test]
    fn the_twin_differs_in_its_use_alone() {
        let std = include_str!("bin/std-net.rs");
        assert!(
            !std.contains("sockgate_guest"),
            "std-net shall be a program on plain std"
        );
        assert_eq!(body(std), body(include_str!("bin/std-net-twin.rs")));
    }

    #[test]
    fn words_and_options_are_told_apart() {
        let line = ["a", "--clients", "3", "b"].map(str::to_owned);
        let mut arguments = Arguments::parse(line.into_iter()).unwrap();
        assert_eq!(arguments.clients().unwrap(), 3);
        assert_eq!(arguments.word("FIRST").unwrap(), "a");
        assert_eq!(arguments.next_word().as_deref(), Some("b"));
        assert!(arguments.word("SURELY_NOT_IN_THE_ENVIRONMENT").is_err());
        assert!(Arguments::parse(["--clients".to_owned()].into_iter()).is_err());
        let line = ["--clients", "many"].map(str::to_owned);
        assert!(
            Arguments::parse(line.into_iter())
                .unwrap()
                .clients()
                .is_err()
        );
    }
}
