//! Computes with the kernel's algorithms by the SDK's types, and prints what comes out in hexadecimal:
//! `hash NAME SIZES`, `hmac NAME KEY SIZES`, `encrypt|decrypt NAME KEY IV`, `seal|open NAME KEY TAG IV ASSOCIATED`,
//! `rng NAME LENGTH [SEED]`; keys, vectors and associated data in hexadecimal too (`-` for none). What is
//! computed on comes on stdin; sizes (`0,1,64`) say how much of it each line is about.

use std::io::{self, Read};

use sockgate_guest::alg::{AlgAead, AlgCipher, AlgHash, AlgHmac, AlgRng};
use sockgate_test_guests::{word, words};

fn main() -> io::Result<()> {
    let mut words = words();
    let what = word(&mut words, "WHAT")?;
    let name = word(&mut words, "NAME")?;
    let mut data = Vec::new();
    io::stdin().read_to_end(&mut data)?;
    let mut next = |what| from_hex(&word(&mut words, what)?);
    let result = match what.as_str() {
        "hash" => return digests(&AlgHash::new(&name)?, &data, &word(&mut words, "SIZES")?),
        "hmac" => {
            let hash = AlgHmac::keyed(&name, &next("KEY")?)?;
            return digests(&hash, &data, &word(&mut words, "SIZES")?);
        }
        "encrypt" => AlgCipher::new(&name, &next("KEY")?)?.encrypt(&next("IV")?, &data)?,
        "decrypt" => AlgCipher::new(&name, &next("KEY")?)?.decrypt(&next("IV")?, &data)?,
        "seal" | "open" => {
            let key = next("KEY")?;
            let tag = next("TAG")?.first().copied().unwrap_or_default();
            let cipher = AlgAead::new(&name, &key, tag.into())?;
            let (iv, associated) = (next("IV")?, next("ASSOCIATED")?);
            match what.as_str() {
                "seal" => cipher.encrypt(&iv, &associated, &data)?,
                _ => cipher.decrypt(&iv, &associated, &data)?,
            }
        }
        "rng" => {
            let length = word(&mut words, "LENGTH")?;
            let mut random = vec![0; length.parse().map_err(io::Error::other)?];
            match words.next() {
                Some(seed) => AlgRng::seeded(&name, &from_hex(&seed)?)?,
                None => AlgRng::new(&name)?,
            }
            .fill(&mut random)?;
            random
        }
        other => return Err(io::Error::other(format!("nothing is called {other}"))),
    };
    show(&result);
    Ok(())
}

fn show(result: &[u8]) {
    let shown: String = result.iter().map(|byte| format!("{byte:02x}")).collect();
    println!("{shown}");
}

/// The digest of each first part of the data, whole and in pieces: one socket computes them all.
fn digests(hash: &AlgHash, data: &[u8], sizes: &str) -> io::Result<()> {
    for size in sizes.split(',') {
        let size: usize = size.parse().map_err(io::Error::other)?;
        let data = data
            .get(..size)
            .ok_or_else(|| io::Error::other("not so much came"))?;
        let whole = hash.digest(data)?;
        for piece in data.chunks(1 + size / 3) {
            hash.update(piece)?;
        }
        assert_eq!(hash.finish()?, whole);
        show(&whole);
    }
    Ok(())
}

fn from_hex(digits: &str) -> io::Result<Vec<u8>> {
    if digits == "-" {
        return Ok(Vec::new());
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(io::Error::other)?;
            u8::from_str_radix(pair, 16).map_err(io::Error::other)
        })
        .collect()
}
