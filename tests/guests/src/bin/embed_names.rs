//! Looks a name up: `embed_names NAME COUNT [MILLISECONDS]`, and prints what came of each. The first waits no
//! longer than this, the others as long as it takes.

use std::env;
use std::io;
use std::time::Duration;

use sockgate_guest::names::{Hints, look_up};
use sockgate_guest::{NameError, Timeout};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, count, limit @ ..] = arguments.as_slice() else {
        return Err(io::Error::other("give NAME COUNT"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    let mut hints = Hints::default();
    if let Some(limit) = limit.first() {
        let limit = limit.parse().map_err(io::Error::other)?;
        hints.timeout = Duration::from_millis(limit).into();
    }
    for _ in 0..count {
        println!("ready");
        let found = look_up(Some(name), None, &hints);
        hints.timeout = Timeout::Blocking;
        match found {
            Ok(found) => println!("found {}", found.len()),
            Err(NameError::System(errno)) => println!("{}", errno.name()),
            Err(error) => println!("{error:?}"),
        }
    }
    println!("done");
    Ok(())
}
