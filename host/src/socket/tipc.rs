//! What TIPC sockets have besides others: several names, and groups, linux/tipc.h.

use sockgate_policy::{Address, Family, OptionName, TipcAddress, TipcEndpoint};

use super::{Errno, Inner, Outcome, State};

const SOL_TIPC: i32 = 271;
/// TIPC_GROUP_JOIN, with a struct tipc_group_req.
const GROUP_JOIN: OptionName = OptionName::new(SOL_TIPC, 135);
/// TIPC_GROUP_LEAVE, without a value.
const GROUP_LEAVE: OptionName = OptionName::new(SOL_TIPC, 136);

/// A socket has at most so many names: each is judged with every operation.
const NAMES: usize = 64;

/// What an option does to the socket's place in a group.
pub(super) enum GroupChange {
    /// It becomes the member that is named, as a bind to that name makes it a service.
    Join(Address),
    /// It leaves.
    Leave,
}

/// Whether the option is one of those. `inval` for a request that is too short.
pub(super) fn membership(
    family: Family,
    name: OptionName,
    value: &[u8],
) -> Result<Option<GroupChange>, Errno> {
    if family != Family::Tipc {
        return Ok(None);
    }
    match name {
        GROUP_JOIN => {
            let [service, instance, scope, _] = words(value).ok_or(Errno::INVAL)?;
            let endpoint = TipcEndpoint::Name {
                service,
                instance,
                domain: 0,
            };
            // The kernel knows no scope beyond the node's.
            let scope = i8::try_from(scope).map_err(|_| Errno::INVAL)?;
            Ok(Some(GroupChange::Join(Address::Tipc(TipcAddress {
                endpoint,
                scope,
            }))))
        }
        GROUP_LEAVE => Ok(Some(GroupChange::Leave)),
        _ => Ok(None),
    }
}

/// Numbers in the machine's byte order.
fn words<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    let mut words = [0; N];
    for (place, word) in words.iter_mut().enumerate() {
        let bytes = bytes.get(4 * place..)?.first_chunk()?;
        *word = u32::from_ne_bytes(*bytes);
    }
    Some(words)
}

impl GroupChange {
    /// Joining is judged as a bind to the member's name.
    pub(super) fn judge(&self, inner: &Inner) -> Outcome<()> {
        match self {
            GroupChange::Join(name) => {
                inner.check_names()?;
                inner.may_bind(name).map(drop)
            }
            GroupChange::Leave => Ok(()),
        }
    }

    /// Notes what was done.
    pub(super) fn done(self, state: &mut State) {
        match self {
            GroupChange::Join(name) => {
                if let Address::Tipc(TipcAddress {
                    endpoint: TipcEndpoint::Name { service, .. },
                    ..
                }) = name
                {
                    state.facts.group = Some(Address::Tipc(TipcAddress::every_instance(service)));
                }
                state.bound_to(name);
            }
            GroupChange::Leave => state.facts.group = None,
        }
    }
}

impl Inner {
    /// Whether there is room for one more name.
    pub(super) fn check_names(&self) -> Result<(), Errno> {
        if self.state().facts.further_locals.len() < NAMES {
            Ok(())
        } else {
            Err(Errno::NOBUFS)
        }
    }
}

impl State {
    /// The socket has this name from now on, so that what was judged without it is judged anew.
    pub(super) fn bound_to(&mut self, local: Address) {
        self.facts.note_bound(local);
        self.forget_verdicts();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(words: [u32; 4]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn joining_names_the_member() {
        let asked = membership(Family::Tipc, GROUP_JOIN, &request([4711, 7, 2, 1]));
        let Ok(Some(GroupChange::Join(Address::Tipc(name)))) = asked else {
            panic!("a request to join is one");
        };
        let wanted = TipcEndpoint::Name {
            service: 4711,
            instance: 7,
            domain: 0,
        };
        assert_eq!((name.endpoint, name.scope), (wanted, 2));
    }

    #[test]
    fn what_is_no_request_is_refused_or_none() {
        let short = &request([1, 2, 3, 4])[..15];
        assert_eq!(
            membership(Family::Tipc, GROUP_JOIN, short).err(),
            Some(Errno::INVAL)
        );
        for scope in [128, u32::MAX] {
            let asked = membership(Family::Tipc, GROUP_JOIN, &request([1, 2, scope, 0]));
            assert_eq!(asked.err(), Some(Errno::INVAL));
        }
        let other = membership(Family::Inet, GROUP_JOIN, &[]);
        assert!(matches!(other, Ok(None)));
        let importance = OptionName::new(SOL_TIPC, 127);
        assert!(matches!(
            membership(Family::Tipc, importance, &[1]),
            Ok(None)
        ));
        let leave = membership(Family::Tipc, GROUP_LEAVE, &[]);
        assert!(matches!(leave, Ok(Some(GroupChange::Leave))));
    }
}
