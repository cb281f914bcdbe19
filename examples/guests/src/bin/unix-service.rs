//! A service on a Unix socket: a line is a request, a line is the answer.
//!
//! ```sh
//! sockgate run --allow 'unix listen /tmp/service.sock' \
//!     target/wasm32-wasip2/debug/unix-service.wasm /tmp/service.sock
//! ```
//!
//! `ping`, `upper TEXT`, `reverse TEXT`, `who` and `bye`. With `--clients N` it ends after N connections.

use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::{UnixListener, UnixStream};

fn main() -> ExitCode {
    run(serve)
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let path = arguments.word("UNIX_PATH")?;
    let listener = UnixListener::bind(&path).trying(format_args!("listen on {path}"))?;
    println!("listening on unix {}", listener.local_addr()?);
    for stream in listener.incoming().take(arguments.clients()?) {
        if let Err(error) = talk(&stream.trying("accept")?) {
            eprintln!("a client is lost: {error}");
        }
    }
    Ok(())
}

fn talk(mut stream: &UnixStream) -> io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let (request, text) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match request {
            "ping" => "pong".to_owned(),
            "upper" => text.to_uppercase(),
            "reverse" => text.chars().rev().collect(),
            "who" => format!("{}", stream.peer_addr()?),
            "bye" => return writeln!(stream, "bye"),
            other => format!("unknown request: {other}"),
        };
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}
