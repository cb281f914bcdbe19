//! How far rules go beyond what was seen.

/// Which ports rules name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ports {
    /// Every port that was seen; of a peer that called or wrote, the first 64.
    Exact,
    /// Those that somebody chose; not the ones that the kernel chose for a peer who called or wrote first.
    #[default]
    Ephemeral,
    /// None of a peer's: a rule names addresses alone.
    Any,
}

/// How far learnt rules go beyond what was seen. By default no further than a second run of the same guest
/// needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generalise {
    /// Which ports rules name.
    pub ports: Ports,
    /// The lengths of the prefixes, of IPv4 and of IPv6, to which a peer's address is widened; `None` names
    /// addresses as they were seen.
    pub networks: Option<(u8, u8)>,
}
