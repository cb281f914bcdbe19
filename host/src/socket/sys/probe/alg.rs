//! The kernel's ciphers: Documentation/crypto/userspace-if.rst.

use std::os::fd::AsFd;

use libc::c_int;

use super::super::{EncodedAddress, Errno, Result, life};
use super::ProbeStatus;
use super::find::{Finding, built};
use super::look::{Kind, Look, Place, open, or_exhausted};

/// `sockaddr_alg`: the lengths of the type's and of the algorithm's name.
const TYPE_LENGTH: usize = 14;
const NAME_LENGTH: usize = 64;
const STYLE: c_int = libc::SOCK_SEQPACKET;

const SOCKET: Kind = Kind::new(
    "seqpacket",
    None,
    (libc::AF_ALG, STYLE, 0),
    // The family comes with any of its types.
    built("CONFIG_CRYPTO_USER_API_HASH", "af_alg"),
);

/// A type, an algorithm of it that kernels have where they have the type, and where the type is from.
struct Algorithm {
    kind: &'static str,
    name: &'static str,
    config: &'static str,
    module: &'static str,
}

const ALGORITHMS: &[Algorithm] = &[
    Algorithm {
        kind: "hash",
        name: "sha256",
        config: "CONFIG_CRYPTO_USER_API_HASH",
        module: "algif_hash",
    },
    Algorithm {
        kind: "skcipher",
        name: "cbc(aes)",
        config: "CONFIG_CRYPTO_USER_API_SKCIPHER",
        module: "algif_skcipher",
    },
    Algorithm {
        kind: "aead",
        name: "gcm(aes)",
        config: "CONFIG_CRYPTO_USER_API_AEAD",
        module: "algif_aead",
    },
    Algorithm {
        kind: "rng",
        name: "stdrng",
        config: "CONFIG_CRYPTO_USER_API_RNG",
        module: "algif_rng",
    },
];

pub(super) fn look(look: &mut Look<'_>) -> Result<()> {
    let there = look.kind("alg", &SOCKET)?.is_some();
    for algorithm in ALGORITHMS {
        let finding = match there {
            false => without_family(look, algorithm),
            true => try_algorithm(look, algorithm)?,
        };
        let place = Place {
            protocol: Some(algorithm.kind),
            ..SOCKET.place("alg", algorithm.name)
        };
        look.tell(place, finding);
    }
    Ok(())
}

/// A kernel without the family lacks the type as well, which brings the family with it.
fn without_family(look: &Look<'_>, algorithm: &Algorithm) -> Finding {
    let mut finding = look.without_socket();
    if finding.status == ProbeStatus::Absent {
        let source = built(algorithm.config, algorithm.module);
        finding.mend = look.kernel.missing(&source);
    }
    finding
}

/// bind(2) finds the algorithm, and answers `noent` both where the type and where the algorithm is missing.
fn try_algorithm(look: &Look<'_>, algorithm: &Algorithm) -> Result<Finding> {
    Ok(match or_exhausted(bind(algorithm))? {
        Ok(()) => Finding::works(""),
        Err(error @ Errno::NOENT) if look.kernel.has_built_in(algorithm.config) => Finding::absent(
            format!("bind(2): {error}"),
            format!(
                "a kernel with the algorithm {}; /proc/crypto lists those of this one",
                algorithm.name
            ),
        ),
        Err(error) => {
            let source = built(algorithm.config, algorithm.module);
            look.kernel.refused("bind(2)", error, &source, None)
        }
    })
}

fn bind(algorithm: &Algorithm) -> Result<()> {
    let socket = open(libc::AF_ALG, STYLE, 0)?;
    life::bind(socket.as_fd(), &address(algorithm))
}

/// `sockaddr_alg`: family, type, feature, mask, name.
fn address(algorithm: &Algorithm) -> EncodedAddress {
    let kind: [u8; TYPE_LENGTH] = padded(algorithm.kind);
    let name: [u8; NAME_LENGTH] = padded(algorithm.name);
    EncodedAddress::new(libc::AF_ALG, &[&kind, &[0; 8], &name])
}

/// A name that ends in NUL.
fn padded<const N: usize>(name: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (byte, character) in bytes[..N - 1].iter_mut().zip(name.bytes()) {
        *byte = character;
    }
    bytes
}
