//! Looks a name up: `embed_names NAME COUNT`, and prints what came of each.

use std::env;
use std::io;

use sockgate_guest::NameError;
use sockgate_guest::names::{Hints, look_up};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, count] = arguments.as_slice() else {
        return Err(io::Error::other("give NAME COUNT"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    for _ in 0..count {
        println!("ready");
        match look_up(Some(name), None, &Hints::default()) {
            Ok(found) => println!("found {}", found.len()),
            Err(NameError::System(errno)) => println!("{}", errno.name()),
            Err(error) => println!("{error:?}"),
        }
    }
    println!("done");
    Ok(())
}
