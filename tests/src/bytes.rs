//! Bytes to send, and their hash.

use anyhow::Context;
use sha2::{Digest, Sha256};

/// So many bytes that a seed determines and in which no stretch repeats soon (xorshift64).
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    if state == 0 {
        state = 1;
    }
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// SHA-256 in lower-case hexadecimal, as `sha256sum` prints it.
pub fn sha256(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits, with or without a leading `x`.
///
/// # Errors
/// They are not, or not in pairs.
pub fn from_hex(text: &str) -> anyhow::Result<Vec<u8>> {
    let digits = text.strip_prefix('x').unwrap_or(text);
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            let pair = digits.get(at..at + 2).unwrap_or_default();
            u8::from_str_radix(pair, 16).with_context(|| format!("`{text}` is no bytes"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_fips_180_example() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn patterns_depend_on_the_seed() {
        assert_eq!(pattern(1, 100), pattern(1, 100));
        assert_ne!(pattern(1, 100), pattern(2, 100));
        assert_eq!(pattern(0x9e37_79b9_7f4a_7c15, 3).len(), 3);
    }
}
