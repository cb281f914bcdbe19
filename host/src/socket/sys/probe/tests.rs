use std::collections::HashSet;

use super::*;

/// Family, type, protocol and name of a row.
fn place(row: &Probe) -> (&str, Option<&str>, Option<&str>, &str) {
    (row.family, row.socket_type, row.protocol, row.name)
}

#[test]
fn every_row_is_the_only_one_of_its_place() {
    let rows = probe(&[]).unwrap();
    let places: HashSet<_> = rows.iter().map(place).collect();
    assert_eq!(places.len(), rows.len());
    let families: HashSet<_> = rows.iter().map(|row| row.family).collect();
    assert_eq!(families, probe_families().collect());
}

#[test]
fn what_does_not_work_has_a_mend_and_what_works_has_none() {
    for row in probe(&[]).unwrap() {
        assert_eq!(
            row.mend.is_empty(),
            row.status == ProbeStatus::Works,
            "{row:?}"
        );
        assert_eq!(row.mend.trim(), row.mend);
        assert!(
            row.status == ProbeStatus::Works || !row.detail.is_empty(),
            "{row:?}"
        );
    }
}

/// Only what was asked for is tried, in the order of the table.
#[test]
fn families_are_looked_at_by_name() {
    let rows = probe(&["unix", "inet"]).unwrap();
    let families: HashSet<_> = rows.iter().map(|row| row.family).collect();
    assert_eq!(families, HashSet::from(["unix", "inet"]));
    assert_eq!(rows[0].family, "inet");
    let whole = probe(&[]).unwrap();
    let part: Vec<_> = whole
        .iter()
        .filter(|row| families.contains(row.family))
        .map(place)
        .collect();
    assert_eq!(part, rows.iter().map(place).collect::<Vec<_>>());
}

#[test]
fn an_unknown_family_is_told_with_the_known_ones() {
    let error = probe(&["unix", "tcp"]).unwrap_err();
    assert_eq!(error, ProbeError::UnknownFamily("tcp".to_owned()));
    let told = error.to_string();
    assert!(
        told.starts_with("`tcp` is no family: the families are host, inet, inet6, unix, netlink"),
        "{told}"
    );
}

/// The host's own needs are met wherever these tests run.
#[test]
fn this_kernel_has_what_the_host_needs() {
    let rows = probe(&["host", "unix"]).unwrap();
    let status = |name: &str, socket_type: Option<&str>| {
        rows.iter()
            .find(|row| row.name == name && row.socket_type == socket_type)
            .map(|row| row.status)
    };
    assert_eq!(status("openat2", None), Some(ProbeStatus::Works));
    assert_eq!(status("epoll", None), Some(ProbeStatus::Works));
    assert_eq!(
        status("socket", Some("seqpacket")),
        Some(ProbeStatus::Works)
    );
    assert_eq!(status("socket", Some("datagram")), Some(ProbeStatus::Works));
}

#[test]
fn rows_serialize_as_documented() {
    let row = Probe {
        family: "can",
        socket_type: Some("raw"),
        protocol: None,
        name: "socket",
        status: ProbeStatus::Absent,
        detail: "d".to_owned(),
        mend: "m".to_owned(),
    };
    assert_eq!(
        serde_json::to_string(&row).unwrap(),
        r#"{"family":"can","type":"raw","protocol":null,"name":"socket","status":"absent","detail":"d","mend":"m"}"#
    );
}
