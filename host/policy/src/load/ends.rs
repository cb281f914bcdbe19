//! Compiles address keys.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::error::{Fault, nearest, suggest};
use super::family;
use super::groups::Groups;
use super::rule::{Ends, Listing, Rule, Span, Text};
use crate::address::ipv4_inside;
use crate::class::{CLASSES, ClassSet};
use crate::family::Group;
use crate::model::{
    AbstractPattern, AddressPattern, Few, HostPattern, IpPattern, NamePattern, PathPattern,
    PortRange, UnixPattern,
};

/// Reads each word of a list; what is wrong with one goes to the faults.
pub(crate) fn each<T>(
    list: &Listing,
    faults: &mut Vec<Fault>,
    read: impl Fn(&str) -> Result<T, (String, String)>,
) -> Vec<T> {
    let mut read_items = Vec::new();
    for item in &list.items {
        match read(&item.value) {
            Ok(value) => read_items.push(value),
            Err((message, help)) => faults.push(Fault::new(item.at.clone(), message, help)),
        }
    }
    read_items
}

pub(crate) fn classes(list: &Listing, faults: &mut Vec<Fault>) -> ClassSet {
    each(list, faults, |word| {
        CLASSES
            .iter()
            .find(|(name, _)| *name == word)
            .map(|(_, class)| *class)
            .ok_or_else(|| {
                (
                    format!("`{word}` is no class of addresses"),
                    suggest(word, CLASSES.iter().map(|(name, _)| *name)),
                )
            })
    })
    .into_iter()
    .fold(ClassSet::empty(), |set, class| set | class)
}

/// A network, or one address.
pub(crate) fn network(word: &str) -> Result<IpNet, (String, String)> {
    let net = word
        .parse::<IpNet>()
        .or_else(|_| word.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            (
                format!("`{word}` is no network"),
                "write `10.0.0.0/8`, `2001:db8::/32`, one address, or `*`".to_owned(),
            )
        })?;
    if let IpNet::V6(six) = net
        && six.prefix_len() >= 96
        && let Some(four) = ipv4_inside(six.network())
    {
        let help = format!(
            "write `{four}/{}`: such addresses are judged as IPv4",
            six.prefix_len() - 96
        );
        return Err((format!("`{word}` is an IPv4 network in IPv6 form"), help));
    }
    if net.trunc() != net {
        let help = format!(
            "write `{}`, or `{}` for the one address",
            net.trunc(),
            net.addr()
        );
        return Err((format!("`{word}` has bits set behind its prefix"), help));
    }
    Ok(net)
}

/// `cidr`: networks, or `"*"`.
pub(crate) fn networks(list: &Listing, faults: &mut Vec<Fault>) -> IpPattern {
    if list.has("*") {
        if list.items.len() > 1 {
            faults.push(Fault::new(
                list.at.clone(),
                "`*` beside networks",
                "`*` is every address: leave the others out",
            ));
        }
        return IpPattern::Any;
    }
    IpPattern::Nets(each(list, faults, network).into_iter().collect())
}

/// How to mend the name of a group that there is not.
fn no_group(word: &str, groups: &Groups) -> String {
    if word.parse::<IpAddr>().is_ok() || word.parse::<IpNet>().is_ok() {
        return "networks are named by `cidr`; `group` names a list of them (or what `join-group` may join)"
            .to_owned();
    }
    match nearest(word, groups.names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("write `[groups]` and below it `{word} = [\"10.0.0.0/8\"]`"),
    }
}

/// Members of `group` are names of lists.
fn named_lists(list: &Listing, rule: &Rule, faults: &mut Vec<Fault>) -> IpPattern {
    let mut nets = Few::<IpNet>::new();
    for item in &list.items {
        match rule.groups.get(&item.value) {
            Some(members) => nets.extend(members.iter().copied()),
            None => faults.push(Fault::new(
                item.at.clone(),
                format!("there is no group `{}`", item.value),
                no_group(&item.value, &rule.groups),
            )),
        }
    }
    IpPattern::Nets(nets)
}

/// What `join-group` may join: named lists and networks.
pub(crate) fn multicast_groups(list: &Listing, rule: &Rule, faults: &mut Vec<Fault>) -> IpPattern {
    if list.has("*") {
        return IpPattern::Any;
    }
    let mut nets = Few::new();
    for item in &list.items {
        let members = match rule.groups.get(&item.value) {
            Some(members) => members.to_vec(),
            None => match network(&item.value) {
                Ok(net) => vec![net],
                Err((message, help)) => {
                    faults.push(Fault::new(item.at.clone(), message, help));
                    continue;
                }
            },
        };
        if let Some(net) = members.iter().find(|net| !net.addr().is_multicast()) {
            let net = crate::compare::shown(net);
            faults.push(Fault::new(
                item.at.clone(),
                format!("`{net}` is no multicast group"),
                "groups lie in 224.0.0.0/4 and ff00::/8",
            ));
        }
        nets.extend(members);
    }
    IpPattern::Nets(nets)
}

pub(crate) fn hosts(list: &Listing, faults: &mut Vec<Fault>) -> Vec<HostPattern> {
    each(list, faults, |word| {
        HostPattern::parse(word).map_err(|problem| {
            let help = if word.parse::<IpAddr>().is_ok() {
                format!("addresses are named by `cidr`: `cidr = [\"{word}\"]`")
            } else if word.contains('/') || word.contains(':') {
                "write the name alone, without a scheme, a path or a port: `db.example.com`"
                    .to_owned()
            } else {
                "write a name (`db.example.com`), `*.example.com`, or `*`".to_owned()
            };
            (format!("the host `{word}` {problem}"), help)
        })
    })
}

fn port_range(word: &str) -> Result<PortRange, (String, String)> {
    if word == "*" {
        return Ok(0..=u16::MAX);
    }
    let (first, last) = word.split_once('-').unwrap_or((word, word));
    match (first.trim().parse::<u16>(), last.trim().parse::<u16>()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        (Ok(first), Ok(last)) => Err((
            format!("the range `{word}` runs backwards"),
            format!("write `{last}-{first}`"),
        )),
        _ => Err((
            format!("`{word}` is no port"),
            "write `443`, `8000-9000` or `*`; ports go from 0 to 65535".to_owned(),
        )),
    }
}

fn ports(list: &Listing, faults: &mut Vec<Fault>) -> Few<PortRange> {
    each(list, faults, port_range).into_iter().collect()
}

fn ip_pattern(
    ends: &Ends,
    rule: &Rule,
    group_is_multicast: bool,
    faults: &mut Vec<Fault>,
) -> Option<IpPattern> {
    let group = ends.group.as_ref().filter(|_| !group_is_multicast);
    let ways = [
        ("cidr", &ends.cidr),
        ("host", &ends.host),
        ("class", &ends.class),
    ];
    let mut given: Vec<(&str, &Span)> = ways
        .into_iter()
        .filter_map(|(name, list)| list.as_ref().map(|list| (name, &list.at)))
        .collect();
    given.extend(group.map(|list| ("group", &list.at)));
    if let [(first, _), .., (last, at)] = given.as_slice() {
        faults.push(Fault::new(
            (*at).clone(),
            format!("`{first}` and `{last}` in one rule"),
            "a rule names IP addresses in one way: write two rules",
        ));
    }
    if let Some(list) = &ends.cidr {
        return Some(networks(list, faults));
    }
    if let Some(list) = &ends.host {
        return Some(IpPattern::Hosts(hosts(list, faults)));
    }
    if let Some(list) = &ends.class {
        return Some(IpPattern::Classes(classes(list, faults)));
    }
    group.map(|list| named_lists(list, rule, faults))
}

fn paths(
    list: &Listing,
    root: Option<&Text>,
    base: &Path,
    faults: &mut Vec<Fault>,
) -> Vec<PathPattern> {
    each(list, faults, |word| {
        let pattern = match root {
            Some(root) => PathPattern::new(&base.join(&root.value), word),
            None => PathPattern::absolute(word),
        };
        let help = match root {
            _ if word.contains("**") || word.contains(['[', '{']) => {
                "`*` is any name, `**` alone between slashes any number of folders; `\\[` is the character itself"
                    .to_owned()
            }
            _ if word.split('/').any(|part| matches!(part, "." | "..")) => {
                "write the path without `.` and `..`".to_owned()
            }
            Some(root) => format!("write the path beneath `{}`, like `app/*.sock`", root.value),
            None => "write an absolute path like `/run/app/*.sock`, or give the rule a `root`"
                .to_owned(),
        };
        pattern.map_err(|problem| (format!("the path `{word}` {problem}"), help))
    })
}

fn abstracts(list: &Listing, faults: &mut Vec<Fault>) -> Vec<AbstractPattern> {
    each(list, faults, |word| {
        if word == "auto" {
            return Ok(AbstractPattern::Auto);
        }
        if let Some(name) = word.strip_prefix('@') {
            return Err((
                format!("the abstract name `{word}` begins with `@`"),
                format!("write `{name}`"),
            ));
        }
        // unix(7): 108 bytes, of which the first is 0.
        if NamePattern::is_literal(word) && word.len() > 107 {
            return Err((
                format!(
                    "the abstract name `{word}` is longer than 107 bytes, and so never matches"
                ),
                "write a shorter name, or a pattern: `app-*`".to_owned(),
            ));
        }
        NamePattern::parse(word)
            .map(AbstractPattern::Name)
            .map_err(|problem| {
                (
                    format!("the abstract name `{word}` {problem}"),
                    "write `name`, `app-*` or `auto`".to_owned(),
                )
            })
    })
}

fn unix_pattern(ends: &Ends, base: &Path, faults: &mut Vec<Fault>) -> Option<UnixPattern> {
    if let (Some(root), None) = (&ends.root, &ends.path) {
        faults.push(Fault::new(
            root.at.clone(),
            "`root` without `path`",
            "name what may be used beneath it: `path = [\"**\"]` for everything",
        ));
    }
    if let Some(flag) = ends.unnamed.as_ref().filter(|flag| !flag.value) {
        faults.push(Fault::new(
            flag.at.clone(),
            "`unnamed = false` says nothing",
            "take it out",
        ));
    }
    if ends.path.is_none() && ends.abstract_name.is_none() && ends.unnamed.is_none() {
        return None;
    }
    Some(UnixPattern {
        paths: ends
            .path
            .as_ref()
            .map(|list| paths(list, ends.root.as_ref(), base, faults))
            .unwrap_or_default(),
        abstracts: ends
            .abstract_name
            .as_ref()
            .map(|list| abstracts(list, faults))
            .unwrap_or_default(),
        unnamed: ends.unnamed.as_ref().is_some_and(|flag| flag.value),
    })
}

/// Where an end stands, and what it can be about.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// At the top of the rule, not in `local` or `peer`.
    pub(crate) top: bool,
    /// `group` names what `join-group` may join.
    pub(crate) group_is_multicast: bool,
    /// The family whose keys the rule has.
    pub(crate) group: Option<&'static Group>,
}

/// Compiles one end; `None` if nothing of it is given.
pub(crate) fn pattern(
    ends: &Ends,
    rule: &Rule,
    base: &Path,
    place: Place,
    faults: &mut Vec<Fault>,
) -> Option<AddressPattern> {
    let Place {
        top,
        group_is_multicast,
        group,
    } = place;
    let own_ports = group.is_some_and(|group| group.key("port").is_some());
    let compiled = AddressPattern {
        any: ends.any,
        ip: ip_pattern(ends, rule, group_is_multicast, faults),
        ports: ends
            .port
            .as_ref()
            .filter(|_| !own_ports)
            .map(|list| ports(list, faults)),
        unix: unix_pattern(ends, base, faults).map(Box::new),
        family: group
            .and_then(|group| family::address(group, ends, rule, top, faults))
            .map(Box::new),
        both_ends: top && group.is_some_and(|group| group.one_place),
    };
    let given = compiled.any
        || compiled.ip.is_some()
        || compiled.ports.is_some()
        || compiled.unix.is_some()
        || compiled.family.is_some();
    given.then_some(compiled)
}
