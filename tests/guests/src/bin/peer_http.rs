//! A server for curl: GET answers so many bytes, PUT answers the hash of what was put.
//! `ADDRESS BYTES REQUESTS`.

use std::io::{self, BufRead, BufReader, Read, Write};

use sockgate_guest::{Socket, SocketType};
use sockgate_test_guests::{address, pattern, sha256, socket_for, tell, word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let here = address(&word(&mut words, "ADDRESS")?)?;
    let bytes: usize = word(&mut words, "BYTES")?
        .parse()
        .map_err(io::Error::other)?;
    let requests: usize = word(&mut words, "REQUESTS")?
        .parse()
        .map_err(io::Error::other)?;
    let listener = socket_for(&here, SocketType::Stream)?;
    listener.bind(&here)?;
    listener.listen(16)?;
    println!("listening on {}", listener.local_address()?);
    for _ in 0..requests {
        let (client, _) = listener.accept()?;
        answer(&client, bytes)?;
    }
    Ok(())
}

fn answer(mut client: &Socket, bytes: usize) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().map_err(io::Error::other)?;
            }
            Some(_) => {}
            None => break,
        }
    }
    let body = if request.starts_with("PUT ") {
        let mut data = vec![0; length];
        reader.read_exact(&mut data)?;
        tell("received", &data);
        sha256(&data).into_bytes()
    } else {
        let data = pattern(3, bytes);
        tell("sent", &data);
        data
    };
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if body.is_empty() {
        // curl has what it waits for and may be gone, which even a send of nothing would notice.
        return Ok(());
    }
    client.send_all(&body)
}
