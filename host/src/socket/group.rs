//! Multicast groups, ip(7), ipv6(7), RFC 3678: what joins and leaves them, by the calls that name them and by the
//! options that carry them. All of it is judged as `join-group`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sockgate_policy::{GroupRequest, OptionName};

pub(crate) use super::sys::option::Membership;
use super::sys::option::{IPPROTO_IP, IPPROTO_IPV6};
use super::sys::{host, interface};
use super::{Errno, Inner, Outcome, attempt};

/// A change of a membership that a guest asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupChange {
    pub(crate) what: Membership,
    pub(crate) group: IpAddr,
    /// The only sender to hear, or the one to block or to unblock.
    pub(crate) source: Option<IpAddr>,
    /// Interface name; none lets the kernel choose.
    pub(crate) interface: Option<String>,
}

/// What such an option's value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `struct ip_mreqn`, or the older `struct ip_mreq` without an index.
    Request4,
    /// `struct ip_mreq_source`
    Source4,
    /// `struct ipv6_mreq`
    Request6,
    /// `struct group_req`
    Group,
    /// `struct group_source_req`
    GroupSource,
}

/// The option's meaning, from IP_ADD_MEMBERSHIP and IPV6_JOIN_GROUP to MCAST_LEAVE_SOURCE_GROUP.
fn meaning(name: OptionName) -> Option<(Membership, Form)> {
    use Membership::{Block, Join, Leave, Unblock};
    Some(match (name.level, name.name) {
        (IPPROTO_IP, 35) => (Join, Form::Request4),
        (IPPROTO_IP, 36) => (Leave, Form::Request4),
        (IPPROTO_IP, 37) => (Unblock, Form::Source4),
        (IPPROTO_IP, 38) => (Block, Form::Source4),
        (IPPROTO_IP, 39) => (Join, Form::Source4),
        (IPPROTO_IP, 40) => (Leave, Form::Source4),
        (IPPROTO_IPV6, 20) => (Join, Form::Request6),
        (IPPROTO_IPV6, 21) => (Leave, Form::Request6),
        (IPPROTO_IP | IPPROTO_IPV6, 42) => (Join, Form::Group),
        (IPPROTO_IP | IPPROTO_IPV6, 43) => (Block, Form::GroupSource),
        (IPPROTO_IP | IPPROTO_IPV6, 44) => (Unblock, Form::GroupSource),
        (IPPROTO_IP | IPPROTO_IPV6, 45) => (Leave, Form::Group),
        (IPPROTO_IP | IPPROTO_IPV6, 46) => (Join, Form::GroupSource),
        (IPPROTO_IP | IPPROTO_IPV6, 47) => (Leave, Form::GroupSource),
        _ => return None,
    })
}

/// Whole filters (IP_MSFILTER, MCAST_MSFILTER) and anycast addresses by number: several groups' or sources'
/// worth in one value, and an address that is no group.
pub(super) fn is_filter(name: OptionName) -> bool {
    match name.level {
        IPPROTO_IP => matches!(name.name, 41 | 48),
        IPPROTO_IPV6 => matches!(name.name, 27 | 28 | 48),
        _ => false,
    }
}

/// What setting such an option asks for; none for every other option.
///
/// # Errors
/// `inval` for a value of another length than the kernel takes, `addrnotavail` for what is no address of the
/// level's family.
pub(super) fn by_number(name: OptionName, value: &[u8]) -> Result<Option<GroupChange>, Errno> {
    let Some((what, form)) = meaning(name) else {
        return Ok(None);
    };
    let (group, source, interface) = match form {
        Form::Request4 => {
            let group = v4(value, 0)?;
            let interface = match value.get(8..).and_then(<[u8]>::first_chunk) {
                Some(index) if *index != [0; 4] => by_index(u32::from_ne_bytes(*index)),
                _ => by_address(v4(value, 4)?)?,
            };
            (group.into(), None, interface)
        }
        Form::Source4 => {
            exactly(value, 12)?;
            let source = v4(value, 8)?.into();
            (
                v4(value, 0)?.into(),
                Some(source),
                by_address(v4(value, 4)?)?,
            )
        }
        Form::Request6 => (v6(value, 0)?.into(), None, by_index(word(value, 16)?)),
        Form::Group => {
            let group = stored(value, STORAGE, name.level)?;
            (group, None, by_index(word(value, 0)?))
        }
        Form::GroupSource => {
            exactly(value, STORAGE + 2 * STORAGE_LENGTH)?;
            let source = stored(value, STORAGE + STORAGE_LENGTH, name.level)?;
            let group = stored(value, STORAGE, name.level)?;
            (group, Some(source), by_index(word(value, 0)?))
        }
    };
    Ok(Some(GroupChange {
        what,
        group,
        source,
        interface,
    }))
}

/// Where the first `struct sockaddr_storage` of a `struct group_req` stands, and how long each is.
const STORAGE: usize = 8;
const STORAGE_LENGTH: usize = 128;

fn exactly(value: &[u8], length: usize) -> Result<(), Errno> {
    if value.len() == length {
        Ok(())
    } else {
        Err(Errno::INVAL)
    }
}

fn chunk<const LENGTH: usize>(value: &[u8], at: usize) -> Result<[u8; LENGTH], Errno> {
    let bytes = value.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().ok_or(Errno::INVAL)
}

fn word(value: &[u8], at: usize) -> Result<u32, Errno> {
    chunk(value, at).map(u32::from_ne_bytes)
}

fn v4(value: &[u8], at: usize) -> Result<Ipv4Addr, Errno> {
    chunk::<4>(value, at).map(Ipv4Addr::from)
}

fn v6(value: &[u8], at: usize) -> Result<Ipv6Addr, Errno> {
    chunk::<16>(value, at).map(Ipv6Addr::from)
}

/// The address in a `struct sockaddr_storage`, which is of the level's own family.
fn stored(value: &[u8], at: usize, level: i32) -> Result<IpAddr, Errno> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let whole: [u8; STORAGE_LENGTH] = chunk(value, at)?;
    let family = u16::from_ne_bytes(chunk(&whole, 0)?);
    match (level, family) {
        (IPPROTO_IP, AF_INET) => Ok(v4(&whole, 4)?.into()),
        (IPPROTO_IPV6, AF_INET6) => Ok(v6(&whole, 8)?.into()),
        _ => Err(Errno::ADDRNOTAVAIL),
    }
}

/// A name that no interface can have. What a guest names and is not there is judged like any other: who may not
/// join there does not learn which interfaces and addresses there are, and who may is answered `nodev`.
const NOWHERE: &str = "/";

fn by_index(index: u32) -> Option<String> {
    match index {
        0 => None,
        index => Some(interface::name(index).unwrap_or_else(|_| NOWHERE.to_owned())),
    }
}

/// The interface that has this address of its own.
fn by_address(address: Ipv4Addr) -> Result<Option<String>, Errno> {
    if address.is_unspecified() {
        return Ok(None);
    }
    let found = host::interface_with(address)?;
    Ok(Some(found.unwrap_or_else(|| NOWHERE.to_owned())))
}

impl Inner {
    /// Joins, leaves, blocks or unblocks. Leaving takes the grant that joining takes, and so does blocking a
    /// source the one for the group from every source.
    pub(crate) fn change_group(&self, change: &GroupChange) -> Outcome<()> {
        let one_of_all = matches!(change.what, Membership::Block | Membership::Unblock);
        let source = change.source.map(|source| source.to_canonical());
        let permit = self.may_join(&GroupRequest {
            group: change.group,
            source: source.filter(|_| !one_of_all),
            interface: change.interface.clone(),
        })?;
        let outcome = attempt::change_group(&permit, self.fd(), change.what, source);
        let outcome = outcome.map_err(Into::into);
        let operation = match change.what {
            Membership::Leave => "leave-group",
            _ => "join-group",
        };
        self.guest.audit().note(|| {
            let event = self.event(operation).address(change.group);
            let event = match (change.what, change.source) {
                (Membership::Block, Some(source)) => {
                    event.arguments(format_args!("block {source}"))
                }
                (Membership::Unblock, Some(source)) => {
                    event.arguments(format_args!("unblock {source}"))
                }
                _ => event,
            };
            event.granted(&permit).outcome(&outcome)
        });
        outcome
    }

    /// Refuses what [`is_filter`] names.
    pub(super) fn refuse_filter(&self, name: OptionName) -> Outcome<()> {
        if !is_filter(name) {
            return Ok(());
        }
        Err(self.guest.withhold(
            || self.event("set-option").arguments(name.on(self.kind)),
            format_args!("memberships go through `join-group`, one group and one source at a time"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SocketsCtx;
    use crate::socket::Socket;
    use sockgate_policy::{Family, Kind, Policy, SocketType, Source};

    const JOIN4: OptionName = OptionName::new(IPPROTO_IP, 35);
    const JOIN_SOURCE: OptionName = OptionName::new(IPPROTO_IP, 46);

    #[test]
    fn the_kernel_s_structures_say_which_group() {
        let lo = interface::index("lo").unwrap().to_ne_bytes();
        let group = [239, 1, 2, 3];
        let by_index = [group, [0; 4], lo].concat();
        let by_address = [group, [127, 0, 0, 1]].concat();
        for value in [by_index, by_address] {
            let change = by_number(JOIN4, &value).unwrap().unwrap();
            assert_eq!(change.what, Membership::Join);
            assert_eq!(change.group, IpAddr::from(group));
            assert_eq!(change.interface.as_deref(), Some("lo"));
        }
        let mut value = vec![0; STORAGE + 2 * STORAGE_LENGTH];
        for (at, address) in [(STORAGE, group), (STORAGE + STORAGE_LENGTH, [10, 0, 0, 1])] {
            value[at..at + 2].copy_from_slice(&2u16.to_ne_bytes());
            value[at + 4..at + 8].copy_from_slice(&address);
        }
        let change = by_number(JOIN_SOURCE, &value).unwrap().unwrap();
        assert_eq!(change.group, IpAddr::from(group));
        assert_eq!(change.source, Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(change.interface, None);
    }

    #[test]
    fn a_source_is_blocked_by_its_mapped_name_too() {
        let policy = "version = 1\n[[allow]]\nid = \"hear\"\nfamily = [\"inet6\"]\ntype = [\"datagram\"]\n\
             ops = [\"receive\"]\nlocal = \"*\"\npeer = \"*\"\n\
             [[allow]]\nid = \"join\"\nops = [\"join-group\"]\ngroup = [\"239.1.2.3\"]\n";
        let policy = Policy::from_toml(&Source::new("groups", policy)).unwrap();
        let ctx = SocketsCtx::builder(policy).build().unwrap();
        let kind = Kind::new(Family::Inet6, SocketType::Datagram);
        let socket = Socket::create(ctx.guest(), kind).unwrap();
        let inner = socket.inner().unwrap();
        let mapped = |text: &str| Some(format!("::ffff:{text}").parse().unwrap());
        let change = |what, source| {
            inner.change_group(&GroupChange {
                what,
                group: mapped("239.1.2.3").unwrap(),
                source,
                interface: Some("lo".to_owned()),
            })
        };
        assert_eq!(change(Membership::Join, None), Ok(()));
        assert_eq!(change(Membership::Block, mapped("10.0.0.1")), Ok(()));
        // It is blocked already.
        let again = change(Membership::Block, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(again, Err(Errno::ADDRNOTAVAIL.into()));
        assert_eq!(change(Membership::Unblock, mapped("10.0.0.1")), Ok(()));
    }

    #[test]
    fn broken_structures_are_refused() {
        for length in [0, 3, 4, 7] {
            assert_eq!(by_number(JOIN4, &vec![1; length]), Err(Errno::INVAL));
        }
        assert_eq!(by_number(JOIN_SOURCE, &[0; 263]), Err(Errno::INVAL));
        assert_eq!(by_number(JOIN_SOURCE, &[0; 264]), Err(Errno::ADDRNOTAVAIL));
        let nowhere = [239, 1, 2, 3, 192, 0, 2, 99];
        let change = by_number(JOIN4, &nowhere).unwrap().unwrap();
        assert_eq!(change.interface.as_deref(), Some(NOWHERE));
        assert!(interface::index(NOWHERE).is_err());
        assert_eq!(by_number(OptionName::new(6, 35), &[]), Ok(None));
    }
}
