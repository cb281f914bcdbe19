//! A challenge before anybody may talk, as in Python's multiprocessing: the server sends random bytes, the
//! client answers their HMAC-SHA256 under the key that both know. Messages have their length before them
//! (4 bytes, big-endian).

use std::io::{self, Read, Write};

use hmac::{Hmac, Mac};
use sha2::Sha256;

const CHALLENGE: &[u8] = b"#CHALLENGE#";
const DIGEST: &[u8] = b"{sha256}";
const WELCOME: &[u8] = b"#WELCOME#";
const FAILURE: &[u8] = b"#FAILURE#";
/// No message of the handshake is longer.
const LONGEST: u32 = 256;

/// Challenges the other side: whether it knows the key. `nonce` must never have been used before.
pub fn deliver(mut stream: impl Read + Write, key: &[u8], nonce: &[u8]) -> io::Result<()> {
    let message = [DIGEST, nonce].concat();
    send(&mut stream, &[CHALLENGE, &message].concat())?;
    let answer = receive(&mut stream)?;
    let known = answer
        .strip_prefix(DIGEST)
        .is_some_and(|digest| mac(key, &message).verify_slice(digest).is_ok());
    send(&mut stream, if known { WELCOME } else { FAILURE })?;
    if known {
        Ok(())
    } else {
        Err(refused("the client does not know the key"))
    }
}

/// Answers the other side's challenge.
pub fn answer(mut stream: impl Read + Write, key: &[u8]) -> io::Result<()> {
    let challenge = receive(&mut stream)?;
    let Some(message) = challenge.strip_prefix(CHALLENGE) else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the server sent no challenge",
        ));
    };
    let digest = mac(key, message).finalize().into_bytes();
    send(&mut stream, &[DIGEST, &digest[..]].concat())?;
    match receive(&mut stream)? == WELCOME {
        true => Ok(()),
        false => Err(refused("the server refused the answer")),
    }
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key)
        .expect("HMAC takes keys of any length")
        .chain_update(message)
}

fn refused(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn send(stream: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = (message.len() as u32).to_be_bytes();
    stream.write_all(&[&length, message].concat())
}

fn receive(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        let text = format!("a message of {length} bytes in the handshake");
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let mut message = vec![0; length as usize];
    stream.read_exact(&mut message)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// Both sides over a real connection: what each of them says.
    fn handshake(server_key: &[u8], client_key: &'static [u8]) -> (io::Result<()>, io::Result<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client =
            std::thread::spawn(move || answer(TcpStream::connect(address).unwrap(), client_key));
        let server = deliver(
            listener.accept().unwrap().0,
            server_key,
            b"a nonce of this test",
        );
        (server, client.join().unwrap())
    }

    #[test]
    fn who_knows_the_key_is_welcome() {
        let (server, client) = handshake(b"secret", b"secret");
        server.unwrap();
        client.unwrap();
    }

    #[test]
    fn who_does_not_know_it_is_refused() {
        let (server, client) = handshake(b"secret", b"guess");
        assert_eq!(server.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(client.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
