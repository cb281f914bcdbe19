//! ALG: the kernel's cryptography, Documentation/crypto/userspace-if.rst.

use std::fmt;

use crate::address::write_bytes;

/// sockaddr_alg.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AlgAddress {
    /// `hash`, `skcipher`, `aead`, `rng`, `akcipher`.
    pub alg_type: String,
    /// `sha256`, `gcm(aes)` ...
    pub name: String,
    /// Feature bits of the algorithm, 0 for none.
    pub feature: u32,
    /// Which of them count.
    pub mask: u32,
}

impl fmt::Display for AlgAddress {
    /// `hash sha256`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_bytes(f, self.alg_type.as_bytes())?;
        f.write_str(" ")?;
        write_bytes(f, self.name.as_bytes())
    }
}
