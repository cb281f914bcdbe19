//! ALG: the kernel's cryptography, Documentation/crypto/userspace-if.rst.

use std::fmt;

use super::{Given, Group, Key, Shape, Value, uninspected};
use crate::address::{Address, write_bytes};
use crate::kind::{Family, Kind};
use crate::message::AncillaryKind;

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

/// ALG_SET_IV, ALG_SET_OP and ALG_SET_AEAD_ASSOCLEN at SOL_ALG: what an operation consists of, and so carried
/// by the algorithm's grant.
pub(crate) const ANCILLARY: AncillaryKind = AncillaryKind::Algorithm;

pub(crate) static GROUP: Group = Group {
    families: &[Family::Alg],
    address: from_keys,
    raw_only: false,
    keys: &[
        Key::address("alg-type", Shape::Names, "[\"hash\"]"),
        Key::address("name", Shape::Names, "[\"sha256\"]"),
    ],
    one_place: true,
    naming: &["alg-type", "name"],
    value,
    inspector: uninspected,
};

fn from_keys(_: Kind, given: &Given<'_>) -> Result<Address, &'static str> {
    Ok(Address::Alg(AlgAddress {
        alg_type: given.text("alg-type").ok_or("alg-type")?,
        name: given.text("name").ok_or("name")?,
        feature: 0,
        mask: 0,
    }))
}

fn value(address: &Address, key: &str) -> Option<Value> {
    let Address::Alg(alg) = address else {
        return None;
    };
    // The kernel reads both up to the first NUL, so that what follows would be judged and never used.
    if alg.alg_type.contains('\0') || alg.name.contains('\0') {
        return None;
    }
    match key {
        "alg-type" => Some(Value::Text(alg.alg_type.clone().into_bytes())),
        "name" => Some(Value::Text(alg.name.clone().into_bytes())),
        _ => None,
    }
}
