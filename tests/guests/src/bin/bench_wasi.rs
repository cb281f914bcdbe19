//! The benchmark's guest on `wasi:sockets`: plain `std::net`. Unix sockets and batches are not there.

use std::{io, net};

#[path = "../bench/ip.rs"]
mod ip;
#[path = "../bench/main.rs"]
mod main;

fn main() -> io::Result<()> {
    main::run(ip::run)
}
