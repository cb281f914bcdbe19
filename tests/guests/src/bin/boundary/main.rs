//! Random calls with random arguments: `boundary model SEED STEPS` compares each with a model of a socket,
//! `boundary wild SEED STEPS` asks for the strangest that the interface can say and takes any answer.
//!
//! Ends with `steps N`; a step that the model did not expect ends it before.

mod model;
mod wild;

use std::io;

use sockgate_test_guests::word;

fn main() -> io::Result<()> {
    let mut words = sockgate_test_guests::words();
    let way = word(&mut words, "the way")?;
    let seed: u64 = word(&mut words, "the seed")?
        .parse()
        .map_err(io::Error::other)?;
    let steps: u64 = word(&mut words, "the steps")?
        .parse()
        .map_err(io::Error::other)?;
    let mut random = Random::new(seed);
    match way.as_str() {
        "model" => model::walk(&mut random, steps)?,
        _ => wild::walk(&mut random, steps),
    }
    println!("steps {steps}");
    Ok(())
}

/// A small generator: the same numbers for the same seed.
pub(crate) struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 11) % end.max(1) as u64) as usize
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
