//! Which part of a rule's IP addresses and ports no rule of the other policy covers.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::class::{CLASSES, ClassSet, uniform};
use crate::compare::{hosts_within, may_embed, own_end, ports_within, shown, without};
use crate::kind::Family;
use crate::model::{AddressPattern, Clause, HostPattern, IpPattern, OpSet, PortRange};

/// A part of what a rule's own end covers, in the words of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// Its networks, classes or hosts; none: those that the rule names.
    pub(super) names: Option<Vec<String>>,
    /// What is not of the part though its names cover it.
    pub(super) except: Vec<String>,
    /// Its ports; none: those of the rule.
    pub(super) ports: Option<Vec<PortRange>>,
}

/// What an operation of a rule names by IP address.
pub(super) enum Named<'c> {
    Everything,
    Nets(&'c [IpNet]),
    Classes {
        classes: ClassSet,
        /// None of the rule's addresses leads to another one, so that each is of one class.
        of_one: bool,
    },
    Hosts(&'c [HostPattern]),
    Nothing,
}

/// Whether the rule's operation is about hosts, or about IP addresses that nothing but their keys tells.
pub(super) fn is_divisible(clause: &Clause, op: OpSet) -> bool {
    let kind = &clause.kind;
    let lists_ip_alone = || {
        let families = kind.families.as_deref().unwrap_or(&[]);
        let ip = |family| matches!(family, &Family::Inet | &Family::Inet6);
        !families.is_empty() && families.iter().all(ip)
    };
    let plain = |end: &AddressPattern| {
        end.unix.is_none() && end.family.is_none() && (!end.any || lists_ip_alone())
    };
    let has_end = (OpSet::LOCAL_KIND | OpSet::PEER_KIND).contains(op);
    op == OpSet::RESOLVE || (has_end && own_end(clause, op).map_or_else(lists_ip_alone, plain))
}

impl<'c> Named<'c> {
    pub(super) fn by(clause: &'c Clause, op: OpSet) -> Named<'c> {
        if op == OpSet::RESOLVE {
            return clause.hosts.as_deref().map_or(Named::Nothing, Named::Hosts);
        }
        let Some(end) = own_end(clause, op).filter(|end| !end.any) else {
            return Named::Everything;
        };
        match &end.ip {
            Some(IpPattern::Any) => Named::Everything,
            Some(IpPattern::Nets(nets)) => Named::Nets(nets),
            Some(IpPattern::Classes(classes)) => Named::Classes {
                classes: *classes,
                of_one: op != OpSet::REVERSE_RESOLVE
                    && clause.kind.families.as_deref() == Some(&[Family::Inet]),
            },
            Some(IpPattern::Hosts(hosts)) => Named::Hosts(hosts),
            None if end.unix.is_some() || end.family.is_some() => Named::Nothing,
            None => Named::Everything,
        }
    }

    /// What is left of these names without those of `taken`; nothing if nothing is.
    pub(super) fn without(&self, taken: &[Named<'c>]) -> Option<Part> {
        if taken.iter().any(|named| matches!(named, Named::Everything)) {
            return None;
        }
        let taken = Taken::of(taken);
        match self {
            Named::Nothing => None,
            Named::Everything => Some(Part {
                except: taken.words(|_| true, |_| true),
                ..Part::default()
            }),
            Named::Nets(nets) => taken.leave_of_nets(nets),
            Named::Classes { classes, of_one } => taken.leave_of_classes(*classes, *of_one),
            Named::Hosts(hosts) => taken.leave_of_hosts(hosts),
        }
    }
}

/// What several rules name.
#[derive(Default)]
struct Taken {
    nets: Vec<IpNet>,
    classes: Vec<ClassSet>,
    hosts: Vec<HostPattern>,
}

impl Taken {
    fn of(named: &[Named<'_>]) -> Taken {
        let mut taken = Taken::default();
        for named in named {
            match named {
                Named::Nets(nets) => taken.nets.extend_from_slice(nets),
                Named::Classes { classes, .. } => taken.classes.push(*classes),
                Named::Hosts(hosts) => taken.hosts.extend_from_slice(hosts),
                Named::Everything | Named::Nothing => {}
            }
        }
        taken
    }

    /// Networks and classes of these that fit.
    fn words(
        &self,
        net_fits: impl Fn(&IpNet) -> bool,
        class_fits: impl Fn(ClassSet) -> bool,
    ) -> Vec<String> {
        let nets: Vec<IpNet> = self
            .nets
            .iter()
            .filter(|net| net_fits(net))
            .copied()
            .collect();
        let classes = self
            .classes
            .iter()
            .fold(ClassSet::empty(), |all, classes| all | *classes);
        let classes = class_words(classes.iter().filter(|class| class_fits(*class)).collect());
        let nets = IpNet::aggregate(&nets);
        nets.iter().map(shown).chain(classes).collect()
    }

    fn has_class(&self, class: ClassSet) -> bool {
        self.classes.iter().any(|classes| classes.contains(class))
    }

    fn leave_of_nets(&self, nets: &[IpNet]) -> Option<Part> {
        let (mut left, _) = without(nets, &self.nets);
        left.retain(|net| !uniform(net).is_some_and(|class| self.has_class(class)));
        // What leads to another address has to be covered with it by one rule.
        if left.is_empty() && may_embed(nets) {
            return Some(Part::default());
        }
        let inside = |part: &IpNet| left.iter().any(|net| net.contains(part));
        let divided = left.iter().any(|net| uniform(net).is_none());
        let except = self.words(inside, |_| divided);
        // Parts of a group are shown as parts of its networks.
        let is_part = left != nets || !except.is_empty();
        (!left.is_empty()).then(|| Part {
            names: is_part.then(|| left.iter().map(shown).collect()),
            except,
            ports: None,
        })
    }

    fn leave_of_classes(&self, classes: ClassSet, of_one: bool) -> Option<Part> {
        if self.has_class(classes) {
            return None;
        }
        let left: ClassSet = classes
            .iter()
            .filter(|class| !self.has_class(*class))
            .collect();
        let left = match left.is_empty() {
            true if of_one => return None,
            // An address that leads to another is of two classes, which two rules do not cover together.
            true => classes,
            false => left,
        };
        let inside = |net: &IpNet| uniform(net).is_none_or(|class| left.intersects(class));
        Some(Part {
            names: (left != classes).then(|| class_words(left)),
            except: self.words(inside, |_| false),
            ports: None,
        })
    }

    fn leave_of_hosts(&self, hosts: &[HostPattern]) -> Option<Part> {
        let left: Vec<HostPattern> = hosts
            .iter()
            .filter(|host| !hosts_within(&self.hosts, std::slice::from_ref(host)))
            .cloned()
            .collect();
        let words = |hosts: &mut dyn Iterator<Item = &HostPattern>| -> Vec<String> {
            hosts.map(ToString::to_string).collect()
        };
        let inside = |host: &&HostPattern| hosts_within(&left, std::slice::from_ref(host));
        (!left.is_empty()).then(|| Part {
            names: (left != hosts).then(|| words(&mut left.iter())),
            except: words(&mut self.hosts.iter().filter(inside)),
            ports: None,
        })
    }
}

fn class_words(classes: ClassSet) -> Vec<String> {
    let known = CLASSES.iter().filter(|(_, class)| classes.contains(*class));
    known.map(|(name, _)| (*name).to_owned()).collect()
}

/// The ports of a rule's operation, where they tell what it covers.
pub(super) fn ports(clause: &Clause, op: OpSet) -> Option<&[PortRange]> {
    own_end(clause, op)
        .filter(|_| !OpSet::SOCKETLESS.contains(op))?
        .ports
        .as_deref()
}

/// A rule's ports, cut where those of other rules begin and end.
pub(super) fn cut<'c>(
    ports: Option<&[PortRange]>,
    others: impl Iterator<Item = &'c [PortRange]>,
) -> Vec<PortRange> {
    // Each is the first port of a range, or the first behind one.
    let cuts: BTreeSet<u16> = others
        .flatten()
        .flat_map(|range| [Some(*range.start()), range.end().checked_add(1)])
        .flatten()
        .collect();
    let mut pieces = Vec::new();
    for range in ports.unwrap_or(&[0..=u16::MAX]) {
        let mut first = *range.start();
        for cut in cuts.iter().copied().filter(|cut| range.contains(cut)) {
            if cut > first {
                pieces.push(first..=cut - 1);
                first = cut;
            }
        }
        pieces.push(first..=*range.end());
    }
    pieces
}

/// Ports in order, with those that follow each other in one range.
pub(super) fn merged(mut ports: Vec<PortRange>) -> Vec<PortRange> {
    ports.sort_unstable_by_key(|range| (*range.start(), *range.end()));
    let mut merged: Vec<PortRange> = Vec::new();
    for range in ports {
        match merged.last_mut() {
            Some(open) if u32::from(*range.start()) <= u32::from(*open.end()) + 1 => {
                *open = *open.start()..=(*open.end()).max(*range.end());
            }
            _ => merged.push(range),
        }
    }
    merged
}

/// Whether one piece of an end's ports is covered by another rule's.
pub(super) fn covers_ports(wide: &Clause, op: OpSet, piece: &PortRange) -> bool {
    ports_within(ports(wide, op), Some(std::slice::from_ref(piece)))
}
