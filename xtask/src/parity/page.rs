//! The two pages: docs/python-parity.md for readers of the repository, and guest-sdk/src/python.md, which
//! rustdoc makes the module `sockgate_guest::python` of. Rustdoc also checks that each item there exists.

use std::collections::BTreeMap;

use sockgate_tests::parity::Name;

use super::{Answer, Judgement, Tables};

/// What the constants' groups are called, by the beginning of their names; the longest that fits counts.
const GROUPS: [(&str, &[&str]); 18] = [
    ("Families", &["AF_", "PF_"]),
    (
        "Types, shutting down, errors",
        &[
            "SOCK_",
            "SHUT_",
            "SOMAXCONN",
            "EAGAIN",
            "EBADF",
            "EWOULDBLOCK",
            "has_",
        ],
    ),
    ("Levels of options", &["SOL_"]),
    ("Options of every socket", &["SO_"]),
    ("Messages and ancillary data", &["MSG_", "SCM_"]),
    (
        "IP",
        &[
            "IPPROTO_",
            "INADDR_",
            "IPPORT_",
            "IP_",
            "IPV6_",
            "IPX_",
            "SO_ORIGINAL_DST",
        ],
    ),
    ("TCP", &["TCP_"]),
    ("UDP-Lite", &["UDPLITE_"]),
    ("Names", &["AI_", "NI_", "EAI_"]),
    ("CAN", &["CAN_", "J1939_", "SO_J1939_", "SCM_J1939_"]),
    ("Netlink", &["NETLINK_"]),
    ("Packet", &["PACKET_", "ETH_", "ETHERTYPE_"]),
    (
        "Bluetooth",
        &["BT_", "BTPROTO_", "BDADDR_", "HCI_", "L2CAP_"],
    ),
    ("TIPC", &["TIPC_"]),
    ("RDS", &["RDS_"]),
    ("The kernel's algorithms", &["ALG_"]),
    (
        "vsock",
        &["VMADDR_", "VM_SOCKETS_", "SO_VM_SOCKETS_", "IOCTL_VM_"],
    ),
    ("Others", &[]),
];

/// The test that the page names for each name that has one.
pub fn claims(page: &str) -> BTreeMap<String, String> {
    let mut claims = BTreeMap::new();
    for line in page.lines() {
        let cells: Vec<&str> = line
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ']))
            .collect();
        if let [name, .., test] = cells[..]
            && let (Some(name), Some(test)) = (code(name), code(test))
            && test.contains("::")
            && cells.len() > 2
        {
            claims.insert(name.to_owned(), test.to_owned());
        }
    }
    claims
}

/// What stands between two backticks.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// The paths of an item's cell.
pub fn paths(item: &str) -> impl Iterator<Item = &str> {
    item.split(", ").filter(|path| !path.is_empty())
}

/// docs/python-parity.md
pub fn repository(tables: &Tables, judgement: &Judgement) -> String {
    let mut text = "# Python's `socket` and `socketserver`, name by name\n\n\
        Each name of the two modules, as of Python 3.15, with the item of `sockgate_guest` that does its work \
        and a test that runs it, or the reason why it does not apply. `cargo xtask parity` reads it off \
        tests/parity and the tests that pass, and fails where a name has no answer; \
        `cargo xtask parity --write` writes this page.\n\n"
        .to_owned();
    text +=
        "| | names | with an item and a test | not applicable | missing |\n|---|---|---|---|---|\n";
    for (table, names) in tables.each() {
        let title = match table {
            "windows" => "Windows alone",
            table => table,
        };
        let tested = judgement.count(names, |answer| matches!(answer, Answer::Tested(..)));
        let not_applicable = judgement.count(names, |answer| *answer == Answer::NotApplicable);
        let missing = names.len() - tested - not_applicable;
        text += &format!(
            "| {title} | {} | {tested} | {not_applicable} | {missing} |\n",
            names.len()
        );
    }
    let columns = Columns {
        head: "| Python | here | test |\n|---|---|---|\n",
        row: &|name| {
            let items: Vec<String> = paths(&name.item).map(|path| format!("`{path}`")).collect();
            let test = match judgement.answer(name) {
                Answer::Tested(test, _) => format!("`{test}`"),
                _ => "none".to_owned(),
            };
            format!("| `{}` | {} | {test} |\n", name.name, items.join(", "))
        },
        constants: true,
    };
    body(&mut text, tables, &columns);
    text
}

/// guest-sdk/src/python.md
pub fn rustdoc(tables: &Tables) -> String {
    let mut text = "Python's `socket` and `socketserver`, name by name: what does the work of each here.\n\n\
        Constants have their own names in [`consts`](crate::consts). (Written by \
        `cargo xtask parity --write`; docs/python-parity.md in the repository has the constants too, and the \
        test that runs each name.)\n"
        .to_owned();
    let columns = Columns {
        head: "| Python | here |\n|---|---|\n",
        row: &|name| {
            let items: Vec<String> = paths(&name.item)
                .map(|path| format!("[`{path}`](crate::{path})"))
                .collect();
            format!("| `{}` | {} |\n", name.name, items.join(", "))
        },
        constants: false,
    };
    body(&mut text, tables, &columns);
    text
}

/// How a page shows a name that has an item.
struct Columns<'a> {
    head: &'static str,
    row: &'a dyn Fn(&Name) -> String,
    /// Whether those of [`GROUPS`] are shown, which only have their own name.
    constants: bool,
}

fn body(text: &mut String, tables: &Tables, columns: &Columns) {
    *text += "\n# The module `socket`\n";
    for (kind, title) in [
        ("func", "Functions"),
        ("class", "Classes"),
        ("method", "Methods and attributes of a socket"),
    ] {
        let names = tables.socket.iter().filter(|name| name.kind == kind);
        section(text, &format!("## {title}"), columns, names);
    }
    let constants = || tables.socket.iter().filter(|name| name.kind == "const");
    if columns.constants {
        for (title, _) in GROUPS {
            let names = constants().filter(|name| group(&name.name) == title);
            section(text, &format!("## Constants: {title}"), columns, names);
        }
    } else {
        let special = constants().filter(|name| name.item != format!("consts::{}", name.name));
        section(
            text,
            "## Constants that are more than a number",
            columns,
            special,
        );
    }
    why_not(
        text,
        "## Names of `socket` that do not apply",
        &tables.socket,
    );
    section(
        text,
        "# The module `socketserver`",
        columns,
        tables.socketserver.iter(),
    );
    why_not(
        text,
        "## Names of `socketserver` that do not apply",
        &tables.socketserver,
    );
    section(
        text,
        "# What Python has on Windows alone",
        columns,
        tables.windows.iter(),
    );
    why_not(text, "# What Python has on Windows alone", &tables.windows);
}

/// The group of a constant.
fn group(name: &str) -> &'static str {
    let fits = |begins: &[&str]| {
        let fitting = begins.iter().filter(|begin| name.starts_with(*begin));
        fitting.map(|begin| begin.len()).max()
    };
    let longest = GROUPS.iter().max_by_key(|(_, begins)| fits(begins));
    longest.map_or("", |(title, _)| title)
}

/// A heading and a table of the names that have an item or have no answer yet, if there are any.
fn section<'a>(
    text: &mut String,
    heading: &str,
    columns: &Columns,
    names: impl Iterator<Item = &'a Name>,
) {
    let rows: String = names
        .filter(|name| name.reason.is_empty())
        .map(|name| (columns.row)(name))
        .collect();
    if !rows.is_empty() {
        *text += &format!("\n{heading}\n\n{}{rows}", columns.head);
    }
}

/// A heading and the reasons of the names that do not apply, if there are any.
fn why_not(text: &mut String, heading: &str, names: &[Name]) {
    let rows: String = names
        .iter()
        .filter(|name| !name.reason.is_empty())
        .map(|name| format!("| `{}` | {} |\n", name.name, name.reason))
        .collect();
    if !rows.is_empty() {
        *text += &format!("\n{heading}\n\n| Python | why |\n|---|---|\n{rows}");
    }
}
