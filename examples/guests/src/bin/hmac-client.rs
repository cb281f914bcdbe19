//! A client that must answer a challenge (HMAC-SHA256 over random bytes) before it may talk.
//!
//! ```sh
//! sockgate run --allow 'tcp connect 127.0.0.1:7007' --env KEY=secret \
//!     target/wasm32-wasip2/debug/hmac-client.wasm 127.0.0.1:7007 'hello there'
//! ```

use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, challenge, run};
use sockgate_guest::create_connection;

fn main() -> ExitCode {
    run(talk)
}

fn talk(mut arguments: Arguments) -> io::Result<()> {
    let address = arguments.word("ADDRESS")?;
    let message = arguments.next_word().unwrap_or_else(|| "hello".to_owned());
    let key = std::env::var("KEY")
        .map_err(io::Error::other)
        .trying("the key in KEY")?;

    let stream = create_connection(&address, Some(Duration::from_secs(10)))
        .trying(format_args!("connect to {address}"))?;
    challenge::answer(&stream, key.as_bytes()).trying("the challenge")?;
    println!("the server let us in");
    writeln!(&stream, "{message}").trying("send")?;
    let mut answer = String::new();
    BufReader::new(&stream)
        .read_line(&mut answer)
        .trying("receive")?;
    println!("answer: {}", answer.trim_end());
    Ok(())
}
