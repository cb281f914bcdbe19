//! Checksums and sealed files with the kernel's ciphers, which a machine may have in hardware: AF_ALG.
//!
//! ```sh
//! sockgate run --policy examples/policies/kernel-crypto.toml --dir .::/ \
//!     target/wasm32-wasip2/debug/kernel-crypto.wasm sum /Cargo.toml
//! ```
//!
//! `sum FILE...` prints what sha256sum(1) prints. `seal KEY FROM TO` encrypts a file with AES-GCM under the
//! 16, 24 or 32 bytes in the file KEY; `open KEY FROM TO` verifies and decrypts it. A sealed file is 8 random
//! bytes, then pieces of 32 KiB with a tag of 16 bytes each. A piece's nonce is those 8 bytes and its number;
//! authenticated with it is one byte: 1 for the last piece, else 0, so that none can be cut off.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::alg::{AlgAead, AlgHash};

const PIECE: usize = 32 * 1024;
const TAG: usize = 16;

fn main() -> ExitCode {
    run(|mut arguments| match arguments.word("WHAT")?.as_str() {
        "sum" => sum(arguments),
        "seal" => translate(arguments, seal),
        "open" => translate(arguments, open),
        other => Err(io::Error::other(format!(
            "{other} is none of sum, seal and open"
        ))),
    })
}

fn sum(mut files: Arguments) -> io::Result<()> {
    let hash = AlgHash::new("sha256").trying("use hash sha256")?;
    while let Some(name) = files.next_word() {
        let mut file = File::open(&name).trying(format_args!("open {name}"))?;
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece)? {
                0 => break,
                length => hash.update(&piece[..length])?,
            }
        }
        let digest: String = hash.finish()?.iter().map(|b| format!("{b:02x}")).collect();
        println!("{digest}  {name}");
    }
    Ok(())
}

/// Opens the key and both files.
fn translate(
    mut arguments: Arguments,
    work: fn(&AlgAead, &mut dyn Read, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let [key, from, to] = ["KEY", "FROM", "TO"].map(|name| arguments.word(name));
    let (key, from, to) = (key?, from?, to?);
    let key = std::fs::read(&key).trying(format_args!("read {key}"))?;
    let cipher = AlgAead::new("gcm(aes)", &key, TAG as u32).trying("use aead gcm(aes)")?;
    let source = File::open(&from).trying(format_args!("open {from}"))?;
    let target = File::create(&to).trying(format_args!("make {to}"))?;
    let mut target = BufWriter::new(target);
    work(&cipher, &mut BufReader::new(source), &mut target).trying(&from)?;
    target.flush()
}

fn nonce(start: [u8; 8], number: u32) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&start);
    nonce[8..].copy_from_slice(&number.to_be_bytes());
    nonce
}

fn seal(cipher: &AlgAead, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut start = [0; 8];
    getrandom::fill(&mut start).map_err(io::Error::other)?;
    to.write_all(&start)?;
    pieces(from, PIECE, |number, last, plain| {
        to.write_all(&cipher.encrypt(&nonce(start, number), &[last.into()], plain)?)
    })
}

fn open(cipher: &AlgAead, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<()> {
    let mut start = [0; 8];
    from.read_exact(&mut start)?;
    pieces(from, PIECE + TAG, |number, last, sealed| {
        to.write_all(&cipher.decrypt(&nonce(start, number), &[last.into()], sealed)?)
    })
}

/// Reads pieces of this size, and says of each its number and whether it is the last; there is always one.
fn pieces(
    from: &mut dyn Read,
    size: usize,
    mut each: impl FnMut(u32, bool, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = Vec::with_capacity(size);
    from.take(size as u64).read_to_end(&mut piece)?;
    for number in 0.. {
        let mut next = Vec::with_capacity(size);
        from.take(size as u64).read_to_end(&mut next)?;
        each(number, next.is_empty(), &piece)?;
        if next.is_empty() {
            break;
        }
        piece = next;
    }
    Ok(())
}
