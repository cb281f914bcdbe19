//! Flags of look-ups by Linux's numbers, netdb.h: for programs that have them as such.

use super::{LookupFlags, NameFlags};
use crate::consts;

const LOOKUP: [(LookupFlags, i32); 7] = [
    (LookupFlags::PASSIVE, consts::AI_PASSIVE),
    (LookupFlags::CANONICAL_NAME, consts::AI_CANONNAME),
    (LookupFlags::NUMERIC_HOST, consts::AI_NUMERICHOST),
    (LookupFlags::V4_MAPPED, consts::AI_V4MAPPED),
    (LookupFlags::ALL, consts::AI_ALL),
    (LookupFlags::ADDRESS_CONFIG, consts::AI_ADDRCONFIG),
    (LookupFlags::NUMERIC_SERVICE, consts::AI_NUMERICSERV),
];

const NAME: [(NameFlags, i32); 6] = [
    (NameFlags::NUMERIC_HOST, consts::NI_NUMERICHOST),
    (NameFlags::NUMERIC_SERVICE, consts::NI_NUMERICSERV),
    (NameFlags::NO_FQDN, consts::NI_NOFQDN),
    (NameFlags::NAME_REQUIRED, consts::NI_NAMEREQD),
    (NameFlags::DATAGRAM, consts::NI_DGRAM),
    (NameFlags::INTERNATIONAL, consts::NI_IDN),
];

/// Both directions, for one type of flags.
macro_rules! numbers {
    ($flags:ty, $table:ident, $prefix:literal) => {
        impl $flags {
            #[doc = concat!("The flags of these `", $prefix, "` numbers of Linux's; none where one of the bits has no name here.")]
            #[must_use]
            pub fn from_number(number: i32) -> Option<Self> {
                let known = $table.iter().fold(0, |sum, (_, bit)| sum | bit);
                let set = $table.iter().filter(|(_, bit)| number & bit != 0);
                (number & !known == 0).then(|| set.fold(Self::empty(), |sum, (flag, _)| sum | *flag))
            }

            #[doc = concat!("Linux's `", $prefix, "` bits.")]
            #[must_use]
            pub fn number(self) -> i32 {
                let set = $table.iter().filter(|(flag, _)| self.contains(*flag));
                set.fold(0, |sum, (_, bit)| sum | bit)
            }
        }
    };
}

numbers! { LookupFlags, LOOKUP, "AI_*" }
numbers! { NameFlags, NAME, "NI_*" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_flags_go_both_ways() {
        for (flag, bit) in LOOKUP {
            assert_eq!(LookupFlags::from_number(bit), Some(flag));
            assert_eq!(flag.number(), bit);
        }
        for (flag, bit) in NAME {
            assert_eq!(NameFlags::from_number(bit), Some(flag));
            assert_eq!(flag.number(), bit);
        }
        assert_eq!(LookupFlags::from_number(0), Some(LookupFlags::empty()));
        assert_eq!(LookupFlags::from_number(0x40), None);
        assert_eq!(NameFlags::from_number(-1), None);
    }
}
