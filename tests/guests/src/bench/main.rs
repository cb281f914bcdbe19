//! What both guests of the benchmark are called with: `CASE WARM-UP MEASURED ADDRESS...`. They print how
//! many nanoseconds the measured operations took.

use std::io;
use std::time::Duration;

use super::ip::Times;

/// Reads the arguments, runs the case, prints the time.
pub fn run(
    case: impl FnOnce(&str, &[String], Times) -> io::Result<Option<Duration>>,
) -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, warm_up, measured, addresses @ ..] = words.as_slice() else {
        return Err(io::Error::other(
            "call it as CASE WARM-UP MEASURED ADDRESS...",
        ));
    };
    let times = Times {
        warm_up: number(warm_up)?,
        measured: number(measured)?,
    };
    match case(name, addresses, times)? {
        Some(took) => println!("{}", took.as_nanos()),
        None => {
            return Err(io::Error::other(format!(
                "no case {name} {addresses:?} here"
            )));
        }
    }
    Ok(())
}

fn number(word: &str) -> io::Result<u32> {
    word.parse()
        .map_err(|error| io::Error::other(format!("`{word}` is no number of times: {error}")))
}
