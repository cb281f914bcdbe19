//! Addresses as text and as bytes, inet(3); byte order, byteorder(3). Pure: nobody is asked, and no grant
//! is needed.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::Errno;
use crate::types::Family;

/// inet_aton(3): an IPv4 address in any of its old notations, as glibc takes them. One to four parts
/// (`127.1` is 127.0.0.1, the last part fills what is left), each decimal, octal (`0177`) or hexadecimal
/// (`0x7f`); what follows white space is ignored.
///
/// ```
/// use sockgate_guest::names::inet_aton;
///
/// assert_eq!(inet_aton("127.1").unwrap(), [127, 0, 0, 1]);
/// assert_eq!(inet_aton("0x7f.0377").unwrap(), [127, 0, 0, 255]);
/// assert!(inet_aton("1.2.3.256").is_err());
/// ```
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) for anything else. [`inet_pton`] takes the modern form alone.
pub fn inet_aton(text: &str) -> io::Result<[u8; 4]> {
    parts(text.as_bytes()).ok_or_else(|| illegal(text))
}

fn parts(text: &[u8]) -> Option<[u8; 4]> {
    let mut leading = [0u8; 4];
    let mut count = 0;
    let mut rest = text;
    let last = loop {
        let (value, after) = number(rest)?;
        match after {
            [b'.', after @ ..] => {
                // At most three parts stand before the last.
                if count == 3 {
                    return None;
                }
                leading[count] = u8::try_from(value).ok()?;
                count += 1;
                rest = after;
            }
            [] => break value,
            // C's isspace, which unlike Rust's knows the vertical tab.
            [b' ' | b'\t'..=b'\r', ..] => break value,
            _ => return None,
        }
    };
    let room = 32 - 8 * u32::try_from(count).ok()?;
    if u64::from(last) >> room != 0 {
        return None;
    }
    let octets = u32::from_be_bytes(leading) | last;
    Some(octets.to_be_bytes())
}

/// One part, as strtoul(3) reads it with base 0, and what follows it.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    if !text.first()?.is_ascii_digit() {
        return None;
    }
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] if digits.first().is_some_and(u8::is_ascii_hexdigit) => {
            (16, digits)
        }
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let mut value = 0u32;
    let mut length = 0;
    for digit in digits {
        let Some(digit) = char::from(*digit).to_digit(radix) else {
            break;
        };
        value = value.checked_mul(radix)?.checked_add(digit)?;
        length += 1;
    }
    Some((value, &digits[length..]))
}

/// inet_ntoa(3): four bytes as `127.0.0.1`.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) where there are not four.
pub fn inet_ntoa(packed: &[u8]) -> io::Result<String> {
    let octets: [u8; 4] = packed.try_into().map_err(|_| wrong_length(packed, 4))?;
    Ok(Ipv4Addr::from(octets).to_string())
}

/// inet_pton(3): the bytes of an address in its one modern notation, 4 of them for [`Family::Inet`], 16 for
/// [`Family::Inet6`]. `127.1`, leading zeros and scopes are none.
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) for text that is no address of the family,
/// [`Errno::AFNOSUPPORT`] for another family.
pub fn inet_pton(family: Family, text: &str) -> io::Result<Vec<u8>> {
    let packed = match family {
        Family::Inet => text.parse::<Ipv4Addr>().map(|ip| ip.octets().to_vec()),
        Family::Inet6 => text.parse::<Ipv6Addr>().map(|ip| ip.octets().to_vec()),
        _ => return Err(Errno::AFNOSUPPORT.into()),
    };
    packed.map_err(|_| illegal(text))
}

/// inet_ntop(3): the text of an address's bytes. As glibc writes it: the first longest run of zeros is `::`,
/// and mapped and compatible addresses end like an IPv4 one (`::ffff:127.0.0.1`, `::127.0.0.1`).
///
/// # Errors
/// [`InvalidInput`](ErrorKind::InvalidInput) where there are not 4 or 16 bytes, as the family has them,
/// [`Errno::AFNOSUPPORT`] for another family.
pub fn inet_ntop(family: Family, packed: &[u8]) -> io::Result<String> {
    match family {
        Family::Inet => inet_ntoa(packed),
        Family::Inet6 => {
            let octets: [u8; 16] = packed.try_into().map_err(|_| wrong_length(packed, 16))?;
            Ok(v6_text(Ipv6Addr::from(octets)))
        }
        _ => Err(Errno::AFNOSUPPORT.into()),
    }
}

fn v6_text(ip: Ipv6Addr) -> String {
    match ip.segments() {
        // std writes the compatible ones, which are obsolete, like any other.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
            let v4 = Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
            format!("::{v4}")
        }
        _ => ip.to_string(),
    }
}

/// A number of 32 bits from network byte order to the machine's, byteorder(3).
pub const fn ntohl(number: u32) -> u32 {
    u32::from_be(number)
}

/// A number of 16 bits from network byte order to the machine's, byteorder(3).
pub const fn ntohs(number: u16) -> u16 {
    u16::from_be(number)
}

/// A number of 32 bits from the machine's byte order to that of the network, byteorder(3).
pub const fn htonl(number: u32) -> u32 {
    number.to_be()
}

/// A number of 16 bits from the machine's byte order to that of the network, byteorder(3).
pub const fn htons(number: u16) -> u16 {
    number.to_be()
}

fn illegal(text: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidInput,
        format!("{text:?} is no IP address"),
    )
}

fn wrong_length(packed: &[u8], wanted: usize) -> io::Error {
    let text = format!("{} bytes where the address has {wanted}", packed.len());
    io::Error::new(ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_notations_are_read_as_glibc_reads_them() {
        for (text, packed) in [
            ("127.0.0.1", [127, 0, 0, 1]),
            ("127.1", [127, 0, 0, 1]),
            ("127.65535", [127, 0, 255, 255]),
            ("1.2.772", [1, 2, 3, 4]),
            ("2130706433", [127, 0, 0, 1]),
            ("0x7f.1", [127, 0, 0, 1]),
            ("0X7F000001", [127, 0, 0, 1]),
            ("0177.0.0.01", [127, 0, 0, 1]),
            ("00", [0; 4]),
            ("4294967295", [255; 4]),
            ("1.2.3.4 and more", [1, 2, 3, 4]),
            ("1.2.3.4\u{b}", [1, 2, 3, 4]),
        ] {
            assert_eq!(inet_aton(text).unwrap(), packed, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            " ",
            " 1.2.3.4",
            ".",
            "1.",
            "1..2",
            "1.2.3.4.",
            "1.2.3.4.5",
            "256.1",
            "1.2.3.256",
            "1.2.65536",
            "1.16777216",
            "4294967296",
            "0x",
            "0x.1",
            "08",
            "1.2.3.4x",
            "-1",
            "+1",
            "1.2.3.4\u{a0}",
            "99999999999999999999",
            "1_0",
            "1,2",
        ] {
            assert!(inet_aton(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn text_and_bytes_go_both_ways() {
        let v6 = |text: &str| inet_pton(Family::Inet6, text).unwrap();
        assert_eq!(v6("::1")[15], 1);
        for text in [
            "::",
            "::1",
            "::1.2.3.4",
            "::ffff:1.2.3.4",
            "1:0:0:2::",
            "::1:0:0:0:0",
        ] {
            let again = inet_ntop(Family::Inet6, &v6(text)).unwrap();
            assert_eq!(v6(&again), v6(text), "{text}");
        }
        assert_eq!(inet_ntop(Family::Inet6, &v6("::1:0")).unwrap(), "::0.1.0.0");
        assert_eq!(inet_ntop(Family::Inet6, &v6("::2")).unwrap(), "::2");
        assert_eq!(inet_ntoa(&[10, 0, 0, 1]).unwrap(), "10.0.0.1");
        assert!(inet_ntoa(&[10, 0, 0]).is_err());
        assert!(inet_ntop(Family::Inet6, &[0; 4]).is_err());
        assert!(inet_pton(Family::Inet, "127.1").is_err());
        assert!(inet_pton(Family::Inet6, "fe80::1%1").is_err());
        let other = inet_pton(Family::Unix, "127.0.0.1").unwrap_err();
        assert_eq!(Errno::of(&other), Some(Errno::AFNOSUPPORT));
    }

    #[test]
    fn the_network_s_byte_order_is_big_endian() {
        assert_eq!(htons(0x1234).to_ne_bytes(), [0x12, 0x34]);
        assert_eq!(htonl(0x1234_5678).to_ne_bytes(), [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(ntohs(htons(7)), 7);
        assert_eq!(ntohl(htonl(7)), 7);
    }
}
