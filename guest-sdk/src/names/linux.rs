//! Flags of look-ups by Linux's numbers, netdb.h: for programs that have them as such.

use super::{LookupFlags, NameFlags};
use crate::error::NameError;

const LOOKUP: [(LookupFlags, i32); 7] = [
    (LookupFlags::PASSIVE, 0x1),
    (LookupFlags::CANONICAL_NAME, 0x2),
    (LookupFlags::NUMERIC_HOST, 0x4),
    (LookupFlags::V4_MAPPED, 0x8),
    (LookupFlags::ALL, 0x10),
    (LookupFlags::ADDRESS_CONFIG, 0x20),
    (LookupFlags::NUMERIC_SERVICE, 0x400),
];

const NAME: [(NameFlags, i32); 6] = [
    (NameFlags::NUMERIC_HOST, 1),
    (NameFlags::NUMERIC_SERVICE, 2),
    (NameFlags::NO_FQDN, 4),
    (NameFlags::NAME_REQUIRED, 8),
    (NameFlags::DATAGRAM, 16),
    (NameFlags::INTERNATIONAL, 32),
];

/// Both directions, for one type of flags.
macro_rules! linux_numbers {
    ($flags:ty, $table:ident, $prefix:literal) => {
        impl $flags {
            #[doc = concat!("The flags of these `", $prefix, "` numbers of [`consts`](crate::consts).")]
            ///
            /// # Errors
            /// [`NameError::BadFlags`] for a bit that has no flag.
            pub fn from_linux(number: i32) -> Result<Self, NameError> {
                let known = $table.iter().fold(0, |sum, (_, bit)| sum | bit);
                if number & !known != 0 {
                    return Err(NameError::BadFlags);
                }
                let set = $table.iter().filter(|(_, bit)| number & bit != 0);
                Ok(set.fold(Self::empty(), |sum, (flag, _)| sum | *flag))
            }

            #[doc = concat!("The `", $prefix, "` numbers of these flags.")]
            pub fn to_linux(self) -> i32 {
                let set = $table.iter().filter(|(flag, _)| self.contains(*flag));
                set.fold(0, |sum, (_, bit)| sum | bit)
            }
        }
    };
}

linux_numbers! { LookupFlags, LOOKUP, "AI_*" }
linux_numbers! { NameFlags, NAME, "NI_*" }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_flags_go_both_ways() {
        for (flag, bit) in LOOKUP {
            assert_eq!(LookupFlags::from_linux(bit), Ok(flag));
            assert_eq!(flag.to_linux(), bit);
        }
        for (flag, bit) in NAME {
            assert_eq!(NameFlags::from_linux(bit), Ok(flag));
            assert_eq!(flag.to_linux(), bit);
        }
        assert_eq!(LookupFlags::from_linux(0), Ok(LookupFlags::empty()));
        assert_eq!(LookupFlags::from_linux(0x40), Err(NameError::BadFlags));
        assert_eq!(NameFlags::from_linux(-1), Err(NameError::BadFlags));
    }
}
