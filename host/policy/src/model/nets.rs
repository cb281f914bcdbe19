//! Which of many networks hold an address, in the time of a binary search.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;
use smallvec::SmallVec;

/// Where clauses stand among those of a policy; seldom more than a few that could matter.
pub(super) type Places = SmallVec<[u32; 16]>;

/// Places of clauses by the networks that they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetIndex {
    four: Nest<u32>,
    six: Nest<u128>,
}

impl NetIndex {
    /// An index of clauses by their places, each with a network that it names.
    pub(crate) fn new(named: Vec<(IpNet, u32)>) -> NetIndex {
        let (mut four, mut six) = (Vec::new(), Vec::new());
        for (net, place) in named {
            match net {
                IpNet::V4(net) => {
                    four.push((net.network().to_bits(), net.broadcast().to_bits(), place))
                }
                IpNet::V6(net) => {
                    six.push((net.network().to_bits(), net.broadcast().to_bits(), place))
                }
            }
        }
        NetIndex {
            four: Nest::new(four),
            six: Nest::new(six),
        }
    }

    /// Appends the places of the clauses that name a network with this address; one that names several of
    /// them comes several times.
    pub(crate) fn holding(&self, ip: IpAddr, places: &mut Places) {
        match ip {
            IpAddr::V4(four) => self.four.holding(four.to_bits(), places),
            IpAddr::V6(six) => self.six.holding(six.to_bits(), places),
        }
    }
}

/// Networks of one version. They nest and never overlap otherwise, so that all that hold an address are one
/// chain, from the innermost outwards.
#[derive(Clone, Debug, Default)]
struct Nest<K> {
    /// The first address of each network, in ascending order, outer networks first. By itself, since this is
    /// all that a search looks at.
    firsts: Vec<K>,
    /// The same networks, once for each clause that names one.
    nets: Vec<Net<K>>,
}

#[derive(Clone, Debug)]
struct Net<K> {
    last: K,
    place: u32,
    /// The innermost network around this one, or the same under another clause.
    around: Option<u32>,
}

impl<K: Copy + Ord> Nest<K> {
    /// From first and last addresses with places.
    fn new(mut named: Vec<(K, K, u32)>) -> Nest<K> {
        named.sort_by_key(|(first, last, place)| (*first, Reverse(*last), *place));
        let mut nest = Nest {
            firsts: Vec::with_capacity(named.len()),
            nets: Vec::<Net<K>>::with_capacity(named.len()),
        };
        for (first, last, place) in named {
            let mut around = nest.nets.len().checked_sub(1);
            while let Some(outer) = around.filter(|outer| nest.nets[*outer].last < last) {
                around = nest.outer(outer);
            }
            nest.firsts.push(first);
            nest.nets.push(Net {
                last,
                place,
                around: around.and_then(|outer| u32::try_from(outer).ok()),
            });
        }
        nest
    }

    /// The innermost network around one: the same again, where several clauses name it.
    fn outer(&self, at: usize) -> Option<usize> {
        self.nets[at].around.map(|outer| outer as usize)
    }

    fn holding(&self, address: K, places: &mut Places) {
        let after = self.firsts.partition_point(|first| *first <= address);
        let mut next = after.checked_sub(1);
        while let Some(at) = next {
            let net = &self.nets[at];
            if address <= net.last {
                places.push(net.place);
            }
            next = self.outer(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Small numbers under two heads, so that networks nest and meet.
    fn ip() -> impl Strategy<Value = IpAddr> {
        (any::<bool>(), 0u32..1024).prop_map(|(six, low)| match six {
            true => IpAddr::V6((u128::from(low) | 0x2001 << 112).into()),
            false => IpAddr::V4((low | 10 << 24).into()),
        })
    }

    fn net() -> impl Strategy<Value = IpNet> {
        (ip(), 0u8..=32).prop_map(|(ip, shorter)| {
            let longest = if ip.is_ipv4() { 32 } else { 128 };
            IpNet::new_assert(ip, longest - shorter).trunc()
        })
    }

    proptest! {
        #[test]
        fn it_finds_what_a_look_at_every_network_finds(nets in prop::collection::vec(net(), 0..40), ips in prop::collection::vec(ip(), 1..20)) {
            let named: Vec<(IpNet, u32)> = nets.iter().copied().zip(0..).collect();
            let index = NetIndex::new(named.clone());
            for ip in ips {
                let mut found = Places::new();
                index.holding(ip, &mut found);
                found.sort_unstable();
                let holding = named.iter().filter(|(net, _)| net.contains(&ip));
                prop_assert_eq!(found.into_vec(), holding.map(|(_, place)| *place).collect::<Vec<_>>());
            }
        }
    }
}
