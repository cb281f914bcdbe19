//! Addresses that are two numbers or two names: the kernel's ciphers, Qualcomm's router, and the kinds
//! that other systems have.

use std::fmt;

use super::{
    AlgAddress, Guid, HypervAddress, OtherAddress, QipcrtrAddress, SystemAddress, family_address,
};

impl AlgAddress {
    /// A type (`hash`, `skcipher`, `aead`, `rng`) and an algorithm of it (`sha256`, `gcm(aes)`), as
    /// /proc/crypto names them; Documentation/crypto/userspace-if.rst.
    pub fn new(algorithm_type: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            type_: algorithm_type.into(),
            name: name.into(),
            feature: 0,
            mask: 0,
        }
    }
}

impl fmt::Display for AlgAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.type_, self.name)
    }
}

impl QipcrtrAddress {
    /// A port of a node: include/uapi/linux/qrtr.h.
    pub const fn new(node: u32, port: u32) -> Self {
        Self { node, port }
    }
}

impl fmt::Display for QipcrtrAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.node, self.port)
    }
}

impl HypervAddress {
    /// A service of a virtual machine, both by GUID.
    pub const fn new(vm: Guid, service: Guid) -> Self {
        Self { vm, service }
    }
}

/// A GUID in its usual text: the two numbers are its 16 bytes in the order of the text.
fn write_guid(f: &mut fmt::Formatter<'_>, guid: Guid) -> fmt::Result {
    let (high, low) = guid;
    write!(
        f,
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

impl fmt::Display for HypervAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_guid(f, self.vm)?;
        f.write_str(" ")?;
        write_guid(f, self.service)
    }
}

impl SystemAddress {
    /// A kernel control by name and unit; unit 0 is any.
    pub fn control(name: impl Into<String>, unit: u32) -> Self {
        Self::Named((name.into(), unit))
    }
}

impl fmt::Display for SystemAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named((name, unit)) => write!(f, "{name} unit={unit}"),
            Self::Id((id, unit)) => write!(f, "id={id} unit={unit}"),
        }
    }
}

impl OtherAddress {
    /// The host system's number of a family, and what follows it in the sockaddr.
    pub fn new(family: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            family,
            bytes: bytes.into(),
        }
    }
}

impl fmt::Display for OtherAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "family={} ", self.family)?;
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

family_address! { AlgAddress, Alg, as_alg, "ALG" }
family_address! { QipcrtrAddress, Qipcrtr, as_qipcrtr, "QRTR" }
family_address! { HypervAddress, Hyperv, as_hyperv, "Hyper-V" }
family_address! { SystemAddress, System, as_system, "kernel control" }
family_address! { OtherAddress, Other, as_other, "opaque" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_show_what_they_hold() {
        assert_eq!(AlgAddress::new("hash", "sha256").to_string(), "hash sha256");
        assert_eq!(OtherAddress::new(5, [1, 0xff]).to_string(), "family=5 01ff");
        let guid = (0x0011_2233_4455_6677, 0x8899_aabb_ccdd_eeff);
        assert_eq!(
            HypervAddress::new(guid, (0, 1)).to_string(),
            "00112233-4455-6677-8899-aabbccddeeff 00000000-0000-0000-0000-000000000001"
        );
    }
}
