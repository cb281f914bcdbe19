//! Targets for libFuzzer: what reads bytes, texts and questions from outside, each beside a reading that is
//! slow, obvious and shares no code with it.
//!
//! A target takes any bytes and panics where it finds something. `cargo xtask test --long --only fuzz` runs each
//! for ten minutes of processor time; the test `replay` runs the corpus and some random inputs every time.

use arbitrary::Unstructured;

mod address;
mod ancillary;
mod content;
mod matcher;
mod policy;
mod question;
mod socket;
mod suggestion;

/// One thing to be fuzzed.
pub struct Target {
    /// Its name, and that of its folder in `corpus`.
    pub name: &'static str,
    run: fn(&mut Unstructured<'_>) -> arbitrary::Result<()>,
}

impl Target {
    /// Runs one input. Panics where it shows a mistake.
    pub fn run(&self, data: &[u8]) {
        // An input that ends too early says nothing.
        let _ = (self.run)(&mut Unstructured::new(data));
    }

    /// The target with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "policy",
        run: policy::file,
    },
    Target {
        name: "line",
        run: policy::line,
    },
    Target {
        name: "suggestion",
        run: suggestion::run,
    },
    Target {
        name: "matcher",
        run: matcher::run,
    },
    Target {
        name: "address",
        run: address::run,
    },
    Target {
        name: "ancillary",
        run: ancillary::run,
    },
    Target {
        name: "content",
        run: content::run,
    },
];
