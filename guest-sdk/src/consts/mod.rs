//! Linux's numbers: every constant of Python's `socket` module that Linux has, and those of this package's
//! typed sockets. Each group names the header that it comes from.
//!
//! They are for raw options ([`Socket::raw_option`](crate::Socket::raw_option)), raw ancillary data, kernel
//! messages, and programs that take names as text ([`value_of`], [`name_of`]). The package's own calls need
//! none of them. The numbers are those of Linux on 64-bit machines with the generic ABI (x86-64, Arm,
//! RISC-V): the host translates nothing in raw options.
//!
//! ```
//! use sockgate_guest::consts;
//!
//! assert_eq!(consts::SO_KEEPALIVE, 9);
//! assert_eq!(consts::value_of("TCP_NODELAY"), Some(1));
//! assert_eq!(consts::name_of("AF_", 29), Some("AF_CAN"));
//! ```

/// Groups of numbers: where they come from, their type, and the numbers; and all of them as a list.
macro_rules! numbers {
    ($($group:literal: $type:ty { $($name:ident = $value:expr,)* })*) => {
        $($(
            #[doc = concat!($group, ": `", stringify!($name), "`.")]
            #[allow(non_upper_case_globals)]
            pub const $name: $type = $value;
        )*)*

        /// This file's numbers by name.
        pub(super) const NUMBERS: &[(&str, i64)] = &[$($((stringify!($name), $name as i64),)*)*];
    };
}
use numbers;

/// Declares the files, re-exports their constants flat, and joins their lists.
macro_rules! files {
    ($($file:ident)*) => {
        $(mod $file;)*
        $(pub use $file::*;)*

        const FILES: &[&[(&str, i64)]] = &[$($file::NUMBERS,)*];
    };
}

files! { socket message inet transports names can netlink packet bluetooth tipc rds alg vsock }

/// No particular Bluetooth device, as text; [`ANY_DEVICE`](crate::addresses::ANY_DEVICE) is the address.
pub const BDADDR_ANY: &str = "00:00:00:00:00:00";

/// The local Bluetooth device, as text.
pub const BDADDR_LOCAL: &str = "00:00:00:FF:FF:FF";

const COUNT: usize = {
    let mut count = 0;
    let mut file = 0;
    while file < FILES.len() {
        count += FILES[file].len();
        file += 1;
    }
    count
};

static JOINED: [(&str, i64); COUNT] = {
    let mut joined = [("", 0); COUNT];
    let (mut at, mut file) = (0, 0);
    while file < FILES.len() {
        let mut number = 0;
        while number < FILES[file].len() {
            joined[at] = FILES[file][number];
            at += 1;
            number += 1;
        }
        file += 1;
    }
    joined
};

/// Every number of this module by name.
pub static ALL: &[(&str, i64)] = &JOINED;

/// The number that a name stands for, for programs that take names as text.
pub fn value_of(name: &str) -> Option<i64> {
    ALL.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
}

/// The first name that begins with `prefix` and stands for the number: `name_of("AF_", 2)` is `AF_INET`.
pub fn name_of(prefix: &str, value: i64) -> Option<&'static str> {
    ALL.iter()
        .find(|(name, known)| name.starts_with(prefix) && *known == value)
        .map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_name_stands_once_in_the_list() {
        let names: HashSet<&str> = ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(ALL.iter().all(|(name, _)| !name.is_empty()));
    }

    #[test]
    fn names_and_numbers_find_each_other() {
        assert_eq!(value_of("VMADDR_CID_ANY"), Some(i64::from(u32::MAX)));
        assert_eq!(value_of("TIPC_WAIT_FOREVER"), Some(-1));
        assert_eq!(value_of("so_linger"), None);
        assert_eq!(name_of("SOCK_", 5), Some("SOCK_SEQPACKET"));
        assert_eq!(name_of("SHUT_", 9), None);
    }
}
