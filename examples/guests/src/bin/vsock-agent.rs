//! An agent that a virtual machine's host asks over vsock, without any network: what the guest agents of
//! hypervisors do.
//!
//! ```sh
//! sockgate run --policy examples/policies/vsock-agent.toml \
//!     target/wasm32-wasip2/debug/vsock-agent.wasm 5000
//! socat - VSOCK-CONNECT:3:5000                            # on the host, to the machine with CID 3
//! ```
//!
//! One line is one question: `ping`, `time` (seconds since 1970), `cid`, `echo TEXT`. With `--clients N` it
//! ends after N connections.

use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::SystemTime;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::vsock::{VsockAddress, VsockListener, VsockStream, local_cid};

/// Longer questions are none.
const LINE: u64 = 4096;

fn main() -> ExitCode {
    run(serve)
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let port: u32 = arguments.word("PORT")?.parse().map_err(io::Error::other)?;
    let address = VsockAddress::any(port);
    let listener = VsockListener::bind(address).trying(format_args!("listen on {address}"))?;
    println!("listening on vsock {}", listener.local_addr()?);
    for _ in 0..arguments.clients()? {
        let (stream, peer) = listener.accept().trying("accept")?;
        println!("asked by {peer}");
        if let Err(error) = answer(&stream) {
            eprintln!("{peer}: {error}");
        }
    }
    Ok(())
}

fn answer(stream: &VsockStream) -> io::Result<()> {
    let mut questions = BufReader::new(stream);
    let mut replies = stream;
    loop {
        let mut line = String::new();
        if io::Read::take(&mut questions, LINE).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let reply = match line.trim_end().split_once(' ') {
            None if line.trim_end() == "ping" => "pong".to_owned(),
            None if line.trim_end() == "time" => SystemTime::UNIX_EPOCH
                .elapsed()
                .map_err(io::Error::other)?
                .as_secs()
                .to_string(),
            None if line.trim_end() == "cid" => local_cid().trying("ask for the CID")?.to_string(),
            Some(("echo", text)) => text.to_owned(),
            _ => "what?".to_owned(),
        };
        replies.write_all(format!("{reply}\n").as_bytes())?;
    }
}
