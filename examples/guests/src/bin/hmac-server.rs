//! A server that lets nobody talk who does not answer its challenge (HMAC-SHA256 over random bytes). Then
//! it answers each line in capitals.
//!
//! ```sh
//! sockgate run --policy examples/policies/hmac-server.toml --var port=7007 --env KEY=secret \
//!     target/wasm32-wasip2/debug/hmac-server.wasm 127.0.0.1:7007
//! ```
//!
//! With `--clients N` it ends after N connections.

use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, challenge, run};
use sockgate_guest::{TcpListener, TcpStream};

fn main() -> ExitCode {
    run(serve)
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("ADDRESS")?;
    let key = std::env::var("KEY")
        .map_err(io::Error::other)
        .trying("the key in KEY")?;
    let listener = TcpListener::bind(&address).trying(format_args!("listen on {address}"))?;
    println!("listening on tcp {}", listener.local_addr()?);
    for _ in 0..arguments.clients()? {
        let (stream, peer) = listener.accept().trying("accept")?;
        match talk(&stream, key.as_bytes()) {
            Ok(lines) => println!("{peer}: {lines} lines"),
            Err(error) => println!("{peer}: {error}"),
        }
    }
    Ok(())
}

fn talk(mut stream: &TcpStream, key: &[u8]) -> io::Result<usize> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut nonce = [0; 40];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    challenge::deliver(stream, key, &nonce)?;
    let mut count = 0;
    for line in BufReader::new(stream).lines() {
        writeln!(stream, "{}", line?.to_uppercase())?;
        count += 1;
    }
    Ok(count)
}
