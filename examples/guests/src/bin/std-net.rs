//! A program on plain `std::net`: nothing of sockgate in it, and the same policy holds for it.
//!
//! ```sh
//! sockgate run --allow 'tcp connect 127.0.0.1:7007' \
//!     target/wasm32-wasip2/debug/std-net.wasm connect 127.0.0.1:7007 bind 127.0.0.1:7008
//! ```
//!
//! `connect ADDRESS`, `bind ADDRESS`, `serve ADDRESS` and `udp ADDRESS`, as many as you like; each says
//! what became of it. `std-net-twin` is the same program on the SDK: only its `use` differs.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut status = ExitCode::SUCCESS;
    for pair in words.chunks(2) {
        let [action, address] = pair else {
            eprintln!("an address is missing after {}", pair[0]);
            return ExitCode::FAILURE;
        };
        let result = match action.as_str() {
            "connect" => connect(address),
            "bind" => bind(address),
            "serve" => serve(address),
            "udp" => datagram(address),
            other => Err(io::Error::other(format!("no such action: {other}"))),
        };
        match result {
            Ok(text) => println!("{action} {address}: {text}"),
            Err(error) => {
                println!("{action} {address}: {:?}", error.kind());
                eprintln!("{action} {address}: {error}");
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

/// Connects, says hello, and answers what comes back.
fn connect(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"hello")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(format!("answered {answer:?}"))
}

/// Binds and listens, and ends.
fn bind(address: &str) -> io::Result<String> {
    TcpListener::bind(address)?;
    Ok("bound".to_owned())
}

/// Serves one client: what it sends comes back in capitals.
fn serve(address: &str) -> io::Result<String> {
    let listener = TcpListener::bind(address)?;
    println!("listening on tcp {}", listener.local_addr()?);
    let (mut stream, _) = listener.accept()?;
    let mut request = String::new();
    stream.read_to_string(&mut request)?;
    stream.write_all(request.to_uppercase().as_bytes())?;
    Ok(format!("was asked {request:?}"))
}

/// Sends a datagram from a socket of the same family, and answers what comes back.
fn datagram(address: &str) -> io::Result<String> {
    let any = if address.starts_with('[') {
        "[::]:0"
    } else {
        "0.0.0.0:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.send(b"hello")?;
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    Ok(format!(
        "answered {:?}",
        String::from_utf8_lossy(&answer[..length])
    ))
}
