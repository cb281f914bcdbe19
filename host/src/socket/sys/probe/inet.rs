//! IPv4 and IPv6: ip(7), ipv6(7), tcp(7), udp(7), icmp(7).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, OwnedFd};

use libc::c_int;

use super::super::{Errno, Result, inet, life, option};
use super::ProbeStatus;
use super::find::{Finding, NET_ADMIN, NET_RAW, Source, built};
use super::kernel::text;
use super::look::{Kind, Look, Place, Setting, Trial, open, or_exhausted};

const SOCK_DCCP: c_int = 6;
const IPPROTO_SMC: c_int = 256;
const TCP_ULP: c_int = 31;
const SO_ZEROCOPY: c_int = 60;
/// `sock_txtime`: CLOCK_MONOTONIC, no flags.
const TXTIME: &[u8] = &{
    let mut value = [0; 8];
    value[if cfg!(target_endian = "little") { 0 } else { 3 }] = 1;
    value
};
/// SOF_TIMESTAMPING_RX_SOFTWARE and SOF_TIMESTAMPING_SOFTWARE.
const SOFTWARE_STAMPS: c_int = 1 << 3 | 1 << 4;

const ZEROCOPY: Setting = Setting::new(
    "MSG_ZEROCOPY",
    libc::SOL_SOCKET,
    SO_ZEROCOPY,
    Source::Since(5, 0),
)
.note("SO_ZEROCOPY");
const TCP: [Setting; 3] = [
    Setting::new(
        "TCP_FASTOPEN_CONNECT",
        libc::IPPROTO_TCP,
        30,
        Source::Since(4, 11),
    ),
    Setting::new(
        "TCP_NOTSENT_LOWAT",
        libc::IPPROTO_TCP,
        25,
        Source::Since(3, 12),
    ),
    ZEROCOPY,
];
const GSO: Setting = Setting::new(
    "UDP_SEGMENT",
    option::SOL_UDP,
    option::UDP_SEGMENT,
    Source::Since(4, 18),
)
.tried_with(Trial::Int(1200));
const GRO: Setting = Setting::new(
    "UDP_GRO",
    option::SOL_UDP,
    option::UDP_GRO,
    Source::Since(5, 0),
);
const SEND_TIME: Setting = Setting::new(
    "SO_TXTIME",
    libc::SOL_SOCKET,
    option::SO_TXTIME,
    Source::Since(4, 19),
)
.tried_with(Trial::Bytes(TXTIME))
.note("kept by the interface's queueing discipline: fq or etf, tc(8)");
const TIMESTAMPING: Setting = Setting::new(
    "SO_TIMESTAMPING",
    libc::SOL_SOCKET,
    libc::SO_TIMESTAMPING,
    built("CONFIG_NET", ""),
)
.tried_with(Trial::Int(SOFTWARE_STAMPS))
.note("software stamps; for those of the hardware see `ethtool -T INTERFACE`");
const BIND_TO_DEVICE: Setting = Setting::new(
    "SO_BINDTODEVICE",
    libc::SOL_SOCKET,
    libc::SO_BINDTODEVICE,
    Source::Told("an interface `lo`: ip link"),
)
.tried_with(Trial::Bytes(b"lo\0"))
.needs(NET_RAW);
const MARK: Setting = Setting::new(
    "SO_MARK",
    libc::SOL_SOCKET,
    libc::SO_MARK,
    Source::Since(2, 6),
)
.needs(NET_ADMIN);
const UDP_V4: &[Setting] = &[
    GSO,
    GRO,
    ZEROCOPY,
    SEND_TIME,
    TIMESTAMPING,
    BIND_TO_DEVICE,
    MARK,
    Setting::new("IP_TRANSPARENT", libc::IPPROTO_IP, 19, Source::Since(2, 6)).needs(NET_ADMIN),
    Setting::new("IP_FREEBIND", libc::IPPROTO_IP, 15, Source::Since(2, 4)),
];
const UDP_V6: &[Setting] = &[
    GSO,
    GRO,
    ZEROCOPY,
    SEND_TIME,
    TIMESTAMPING,
    BIND_TO_DEVICE,
    MARK,
    Setting::new(
        "IPV6_TRANSPARENT",
        libc::IPPROTO_IPV6,
        75,
        Source::Since(2, 6),
    )
    .needs(NET_ADMIN),
    Setting::new(
        "IPV6_FREEBIND",
        libc::IPPROTO_IPV6,
        78,
        Source::Since(4, 15),
    ),
];

const SCTP: Source = built("CONFIG_IP_SCTP", "sctp");

/// What makes the two families different here.
struct Version {
    family: &'static str,
    domain: c_int,
    icmp: (&'static str, c_int),
    source: Source,
    mptcp: Source,
    udp: &'static [Setting],
}

pub(super) fn look_v4(look: &mut Look<'_>) -> Result<()> {
    let version = Version {
        family: "inet",
        domain: libc::AF_INET,
        icmp: ("icmp", libc::IPPROTO_ICMP),
        source: built("CONFIG_INET", ""),
        mptcp: built("CONFIG_MPTCP", ""),
        udp: UDP_V4,
    };
    look_at(look, &version)
}

pub(super) fn look_v6(look: &mut Look<'_>) -> Result<()> {
    let version = Version {
        family: "inet6",
        domain: libc::AF_INET6,
        icmp: ("icmpv6", libc::IPPROTO_ICMPV6),
        source: built("CONFIG_IPV6", "ipv6"),
        mptcp: built("CONFIG_MPTCP_IPV6", ""),
        udp: UDP_V6,
    };
    look_at(look, &version)
}

fn look_at(look: &mut Look<'_>, version: &Version) -> Result<()> {
    let family = version.family;
    let domain = version.domain;
    let kind = |socket_type, protocol, style, number, source| {
        Kind::new(socket_type, Some(protocol), (domain, style, number), source)
    };
    let tcp = kind(
        "stream",
        "tcp",
        libc::SOCK_STREAM,
        libc::IPPROTO_TCP,
        version.source,
    )
    .settings(&TCP);
    let socket = look.kind(family, &tcp)?;
    fast_open(look, tcp.place(family, "TCP_FASTOPEN"), socket.as_ref())?;
    kernel_tls(look, tcp.place(family, "TCP_ULP tls"), socket.as_ref())?;
    congestion(look, tcp.place(family, "TCP_CONGESTION"), socket.as_ref());
    loopback(look, version, socket.as_ref())?;

    let (icmp, icmp_number) = version.icmp;
    let (dgram, seqpacket) = (libc::SOCK_DGRAM, libc::SOCK_SEQPACKET);
    let kinds = [
        kind("datagram", "udp", dgram, libc::IPPROTO_UDP, version.source).settings(version.udp),
        kind(
            "datagram",
            "udplite",
            dgram,
            libc::IPPROTO_UDPLITE,
            Source::Told(
                "an older kernel: UDP-Lite comes with IPv4 and IPv6 for as long as Linux has it",
            ),
        ),
        kind(
            "stream",
            "mptcp",
            libc::SOCK_STREAM,
            libc::IPPROTO_MPTCP,
            mptcp(version),
        ),
        kind(
            "stream",
            "sctp",
            libc::SOCK_STREAM,
            libc::IPPROTO_SCTP,
            SCTP,
        ),
        kind("seqpacket", "sctp", seqpacket, libc::IPPROTO_SCTP, SCTP),
        kind(
            "dccp",
            "dccp",
            SOCK_DCCP,
            libc::IPPROTO_DCCP,
            dccp(look, version),
        ),
        kind("stream", "smc", libc::SOCK_STREAM, IPPROTO_SMC, smc(look)),
        kind("raw", icmp, libc::SOCK_RAW, icmp_number, version.source).needs(NET_RAW),
    ];
    look.kinds(family, &kinds)?;
    ping(
        look,
        family,
        &kind("datagram", icmp, dgram, icmp_number, version.source),
    )
}

/// A sysctl switches MPTCP off, Documentation/networking/mptcp-sysctl.rst.
fn mptcp(version: &Version) -> Source {
    match text("/proc/sys/net/mptcp/enabled").as_deref() {
        Some("0") => Source::Told("sysctl -w net.mptcp.enabled=1"),
        _ => version.mptcp,
    }
}

/// DCCP was removed from Linux.
fn dccp(look: &Look<'_>, version: &Version) -> Source {
    match (look.kernel.is_at_least(6, 16), version.domain) {
        (true, _) => Source::Told(
            "a kernel older than 6.16 with CONFIG_IP_DCCP: DCCP was removed from Linux",
        ),
        (false, libc::AF_INET6) => built("CONFIG_IP_DCCP", "dccp_ipv6"),
        (false, _) => built("CONFIG_IP_DCCP", "dccp_ipv4"),
    }
}

/// SMC as a protocol of its own is younger than the family.
fn smc(look: &Look<'_>) -> Source {
    match look.kernel.is_at_least(6, 11) {
        true => built("CONFIG_SMC", "smc"),
        false => Source::Since(6, 11),
    }
}

/// TCP_FASTOPEN, which a sysctl can halve. tcp(7).
fn fast_open(look: &mut Look<'_>, place: Place, socket: Option<&OwnedFd>) -> Result<()> {
    let setting = Setting::new(
        "TCP_FASTOPEN",
        libc::IPPROTO_TCP,
        libc::TCP_FASTOPEN,
        Source::Since(3, 7),
    );
    let value = text("/proc/sys/net/ipv4/tcp_fastopen");
    let ways = value.and_then(|value| value.parse::<u32>().ok());
    let missing = match ways.map(|ways| (ways & 1 != 0, ways & 2 != 0)) {
        Some((true, false)) => "listeners",
        Some((false, true)) => "clients",
        Some((false, false)) => "listeners and clients",
        Some((true, true)) | None => return look.setting(place, &setting, socket),
    };
    let mut finding = look.try_setting(&setting, socket)?;
    if finding.status == ProbeStatus::Works {
        finding = Finding::limited(
            format!("net.ipv4.tcp_fastopen leaves it off for {missing}"),
            "sysctl -w net.ipv4.tcp_fastopen=3",
        );
    }
    look.tell(place, finding);
    Ok(())
}

/// TLS in the kernel, Documentation/networking/tls.rst: a socket that is not connected is told apart from
/// a kernel without it.
fn kernel_tls(look: &mut Look<'_>, place: Place, socket: Option<&OwnedFd>) -> Result<()> {
    let source = built("CONFIG_TLS", "tls");
    let finding = match socket {
        None => look.without_socket(),
        Some(socket) => {
            let answer = option::set(socket.as_fd(), libc::IPPROTO_TCP, TCP_ULP, b"tls");
            match or_exhausted(answer)? {
                Ok(()) | Err(Errno::NOTCONN) => Finding::works(""),
                Err(error) => look
                    .kernel
                    .refused("setsockopt(2)", error, &source, Some(NET_ADMIN)),
            }
        }
    };
    look.tell(place, finding);
    Ok(())
}

/// Which algorithms there are to choose from, tcp(7).
fn congestion(look: &mut Look<'_>, place: Place, socket: Option<&OwnedFd>) {
    let finding = match socket {
        None => look.without_socket(),
        Some(socket) => {
            match option::get(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_CONGESTION, 16) {
                Ok(own) => {
                    let own = String::from_utf8_lossy(&own);
                    let own = own.trim_end_matches('\0');
                    match text("/proc/sys/net/ipv4/tcp_available_congestion_control") {
                        Some(all) => Finding::works(format!("{own}; there are {all}")),
                        None => Finding::works(own),
                    }
                }
                Err(error) => {
                    look.kernel
                        .refused("getsockopt(2)", error, &Source::Since(2, 6), None)
                }
            }
        }
    };
    look.tell(place, finding);
}

/// Whether the family has an address at all, which is not said by sockets being there.
fn loopback(look: &mut Look<'_>, version: &Version, socket: Option<&OwnedFd>) -> Result<()> {
    let v6 = version.domain == libc::AF_INET6;
    let address = match v6 {
        true => inet::encode_v6(&SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0)),
        false => inet::encode_v4(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)),
    };
    let finding = match socket {
        None => look.without_socket(),
        Some(socket) => match or_exhausted(life::bind(socket.as_fd(), &address))? {
            Ok(()) => Finding::works(""),
            Err(error) => Finding::limited(
                format!("bind(2) to the loopback address: {error}"),
                match v6 {
                    true => "ip link set lo up; sysctl -w net.ipv6.conf.lo.disable_ipv6=0",
                    false => "ip link set lo up",
                },
            ),
        },
    };
    look.tell(Place::of(version.family, "loopback"), finding);
    Ok(())
}

/// ICMP echo without privileges: a sysctl says which groups may, icmp(7). It counts for IPv6 too.
fn ping(look: &mut Look<'_>, family: &'static str, kind: &Kind) -> Result<()> {
    let (domain, style, protocol) = kind.numbers;
    let finding = match or_exhausted(open(domain, style, protocol))? {
        Ok(_) => Finding::works(""),
        Err(error @ Errno::ACCES) => Finding::denied(
            format!("socket(2): {error}; {}", ping_groups()),
            "sysctl -w net.ipv4.ping_group_range='0 2147483647'",
        ),
        Err(error) => look
            .kernel
            .refused("socket(2)", error, &kind.source, kind.capability),
    };
    look.tell(kind.place(family, "socket"), finding);
    Ok(())
}

/// Who may ping.
fn ping_groups() -> String {
    let range = text("/proc/sys/net/ipv4/ping_group_range").unwrap_or_default();
    let range: Vec<&str> = range.split_whitespace().collect();
    format!(
        "no group of this user is in net.ipv4.ping_group_range ({})",
        range.join(" ")
    )
}
