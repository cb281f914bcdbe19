//! `sockaddr_un`, unix(7).

use sockgate_policy::UnixAddress;

use super::address::EncodedAddress;
use super::{Errno, Result};

/// Bytes of `sun_path`.
pub(super) const PATH_CAPACITY: usize = 108;

/// The kernel's form. A path ends in a NUL where there is room for one (108 bytes fit without); an
/// abstract name begins with one, may hold others, and is as long as it is; an unnamed address is the
/// family alone, which `bind` takes as a request for an automatic name.
pub(super) fn encode(address: &UnixAddress) -> Result<EncodedAddress> {
    match address {
        UnixAddress::Unnamed => Ok(EncodedAddress::new(libc::AF_UNIX, &[])),
        UnixAddress::Abstract(name) if name.len() < PATH_CAPACITY => {
            Ok(EncodedAddress::new(libc::AF_UNIX, &[&[0], name]))
        }
        UnixAddress::Abstract(_) => Err(Errno::NAMETOOLONG),
        UnixAddress::Pathname(path) => encode_path(path),
    }
}

/// A filesystem path.
pub(super) fn encode_path(path: &[u8]) -> Result<EncodedAddress> {
    // An empty path would turn into the unnamed address, one with a NUL into a shorter path.
    if path.is_empty() || path.contains(&0) {
        return Err(Errno::INVAL);
    }
    let end: &[u8] = match path.len() {
        ..PATH_CAPACITY => &[0],
        PATH_CAPACITY => &[],
        _ => return Err(Errno::NAMETOOLONG),
    };
    Ok(EncodedAddress::new(libc::AF_UNIX, &[path, end]))
}

/// The body (what follows the family) of a `sockaddr_un`.
pub(super) fn decode(body: &[u8]) -> UnixAddress {
    match body {
        [] => UnixAddress::Unnamed,
        [0, name @ ..] => UnixAddress::Abstract(name.to_vec()),
        path => {
            let end = path
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(path.len());
            UnixAddress::Pathname(path[..end].to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use sockgate_policy::Address;

    use super::*;

    fn round_trip(address: UnixAddress) -> usize {
        let encoded = encode(&address).expect("fits");
        assert_eq!(encoded.decode_by_family(), Ok(Some(Address::Unix(address))));
        encoded.as_bytes().len()
    }

    #[test]
    fn every_form_survives_the_round_trip() {
        assert_eq!(round_trip(UnixAddress::Unnamed), 2);
        assert_eq!(round_trip(UnixAddress::Abstract(vec![])), 3);
        assert_eq!(round_trip(UnixAddress::Abstract(b"a\0b\0".to_vec())), 7);
        assert_eq!(round_trip(UnixAddress::Abstract(vec![b'x'; 107])), 110);
        assert_eq!(round_trip(UnixAddress::Pathname(b"/run/x".to_vec())), 9);
        assert_eq!(round_trip(UnixAddress::Pathname(vec![b'p'; 107])), 110);
        assert_eq!(round_trip(UnixAddress::Pathname(vec![b'p'; 108])), 110);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let path = |length: usize| UnixAddress::Pathname(vec![b'p'; length]);
        assert_eq!(encode(&path(109)).unwrap_err(), Errno::NAMETOOLONG);
        assert_eq!(encode(&path(100_000)).unwrap_err(), Errno::NAMETOOLONG);
        let name = UnixAddress::Abstract(vec![b'n'; 108]);
        assert_eq!(encode(&name).unwrap_err(), Errno::NAMETOOLONG);
        assert_eq!(encode(&path(0)).unwrap_err(), Errno::INVAL);
        let nul = UnixAddress::Pathname(b"/run/a\0b".to_vec());
        assert_eq!(encode(&nul).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn bytes_after_a_paths_nul_do_not_count() {
        assert_eq!(
            decode(b"/a\0garbage"),
            UnixAddress::Pathname(b"/a".to_vec())
        );
    }
}
