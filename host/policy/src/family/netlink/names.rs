//! Names of netlink's messages and groups.

use super::{ROUTE, SOCK_DIAG};

/// NLMSG_MIN_TYPE: lower numbers are netlink's own.
pub(super) const FIRST_MESSAGE: u16 = 16;
/// GENL_ID_CTRL: the family of generic netlink that knows the others.
pub(super) const CONTROLLER: u16 = 16;
/// SOCK_DIAG_BY_FAMILY, sock_diag(7).
pub(super) const DIAG_BY_FAMILY: u16 = 20;

/// netlink's own messages, netlink(7).
const CONTROL: &[(u16, &str)] = &[(1, "noop"), (2, "error"), (3, "done"), (4, "overrun")];

/// RTM_*, linux/rtnetlink.h, in lower case and without the prefix.
const ROUTE_MESSAGES: &[(u16, &str)] = &[
    (16, "newlink"),
    (17, "dellink"),
    (18, "getlink"),
    (19, "setlink"),
    (20, "newaddr"),
    (21, "deladdr"),
    (22, "getaddr"),
    (24, "newroute"),
    (25, "delroute"),
    (26, "getroute"),
    (28, "newneigh"),
    (29, "delneigh"),
    (30, "getneigh"),
    (32, "newrule"),
    (33, "delrule"),
    (34, "getrule"),
    (36, "newqdisc"),
    (37, "delqdisc"),
    (38, "getqdisc"),
    (40, "newtclass"),
    (41, "deltclass"),
    (42, "gettclass"),
    (44, "newtfilter"),
    (45, "deltfilter"),
    (46, "gettfilter"),
    (48, "newaction"),
    (49, "delaction"),
    (50, "getaction"),
    (52, "newprefix"),
    (58, "getmulticast"),
    (62, "getanycast"),
    (64, "newneightbl"),
    (66, "getneightbl"),
    (67, "setneightbl"),
    (68, "newnduseropt"),
    (72, "newaddrlabel"),
    (73, "deladdrlabel"),
    (74, "getaddrlabel"),
    (78, "getdcb"),
    (79, "setdcb"),
    (80, "newnetconf"),
    (81, "delnetconf"),
    (82, "getnetconf"),
    (84, "newmdb"),
    (85, "delmdb"),
    (86, "getmdb"),
    (88, "newnsid"),
    (89, "delnsid"),
    (90, "getnsid"),
    (92, "newstats"),
    (94, "getstats"),
    (95, "setstats"),
    (96, "newcachereport"),
    (100, "newchain"),
    (101, "delchain"),
    (102, "getchain"),
    (104, "newnexthop"),
    (105, "delnexthop"),
    (106, "getnexthop"),
    (108, "newlinkprop"),
    (109, "dellinkprop"),
    (110, "getlinkprop"),
    (112, "newvlan"),
    (113, "delvlan"),
    (114, "getvlan"),
    (116, "newnexthopbucket"),
    (117, "delnexthopbucket"),
    (118, "getnexthopbucket"),
    (120, "newtunnel"),
    (121, "deltunnel"),
    (122, "gettunnel"),
];

/// linux/sock_diag.h and linux/inet_diag.h.
const DIAG_MESSAGES: &[(u16, &str)] = &[
    (18, "tcpdiag-getsock"),
    (19, "dccpdiag-getsock"),
    (DIAG_BY_FAMILY, "diag-by-family"),
    (21, "sock-destroy"),
];

/// RTNLGRP_*, linux/rtnetlink.h.
pub(super) const ROUTE_GROUPS: &[(&str, u64)] = &[
    ("link", 1),
    ("notify", 2),
    ("neigh", 3),
    ("tc", 4),
    ("ipv4-ifaddr", 5),
    ("ipv4-mroute", 6),
    ("ipv4-route", 7),
    ("ipv4-rule", 8),
    ("ipv6-ifaddr", 9),
    ("ipv6-mroute", 10),
    ("ipv6-route", 11),
    ("ipv6-ifinfo", 12),
    ("ipv6-prefix", 18),
    ("ipv6-rule", 19),
    ("nd-useropt", 20),
    ("dcb", 23),
    ("ipv4-netconf", 24),
    ("ipv6-netconf", 25),
    ("mdb", 26),
    ("nsid", 28),
    ("nexthop", 32),
    ("brvlan", 33),
    ("tunnel", 35),
    ("stats", 36),
];

/// What a rule calls a message of a protocol, if it has a name.
pub(super) fn message(protocol: u32, number: u16) -> Option<&'static str> {
    let own: &[(u16, &'static str)] = match (number, protocol) {
        (..FIRST_MESSAGE, _) => CONTROL,
        (_, ROUTE) => ROUTE_MESSAGES,
        (_, SOCK_DIAG) => DIAG_MESSAGES,
        _ => &[],
    };
    own.iter()
        .find(|(known, _)| *known == number)
        .map(|(_, name)| *name)
}
