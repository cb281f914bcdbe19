//! What the kernel tells of a connection and of a socket's memory: TCP_INFO, tcp(7), and SO_MEMINFO.

use std::io;
use std::time::Duration;

use crate::consts::*;
use crate::socket::Socket;
use crate::wire::Fields;

/// The state of a TCP connection, RFC 9293.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are the RFC's own")]
pub enum TcpState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    #[default]
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// One that this package does not know.
    Other(u8),
}

const STATES: [TcpState; 11] = [
    TcpState::Established,
    TcpState::SynSent,
    TcpState::SynReceived,
    TcpState::FinWait1,
    TcpState::FinWait2,
    TcpState::TimeWait,
    TcpState::Closed,
    TcpState::CloseWait,
    TcpState::LastAck,
    TcpState::Listen,
    TcpState::Closing,
];

impl TcpState {
    fn from_number(number: u8) -> Self {
        let place = usize::from(number).checked_sub(1);
        let known = place.and_then(|place| STATES.get(place).copied());
        known.unwrap_or(Self::Other(number))
    }
}

/// TCP_INFO: `struct tcp_info` of linux/tcp.h, under the kernel's names without their `tcpi_`. What an older kernel
/// does not tell is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TcpInfo {
    /// The connection's state.
    pub state: TcpState,
    /// State of the congestion control: 0 open, 1 disorder, 2 reduced window, 3 recovery, 4 loss.
    pub ca_state: u8,
    /// How often the oldest segment was sent again.
    pub retransmits: u8,
    /// Window or keep-alive probes without an answer.
    pub probes: u8,
    /// Exponent by which the retransmission's time has grown.
    pub backoff: u8,
    /// What was agreed on: 1 time stamps, 2 selective acknowledgements, 4 window scale, 8 ECN, 16 ECN seen, 32 data in
    /// the SYN.
    pub options: u8,
    /// Scale of the peer's window, as an exponent.
    pub snd_wscale: u8,
    /// Scale of the own window, as an exponent.
    pub rcv_wscale: u8,
    /// Whether the delivery rate is what the program sends rather than what the path carries.
    pub delivery_rate_app_limited: bool,
    /// Why TCP_FASTOPEN failed: 0 unknown, 1 no cookie, 2 data not acknowledged, 3 SYN sent again.
    pub fastopen_client_fail: u8,
    /// Time until a retransmission.
    pub rto: Duration,
    /// Time until a delayed acknowledgement.
    pub ato: Duration,
    /// Largest segment that is sent, in bytes.
    pub snd_mss: u32,
    /// Largest segment that is expected, in bytes.
    pub rcv_mss: u32,
    /// Segments that are not acknowledged.
    pub unacked: u32,
    /// Segments that were acknowledged selectively; of a listener its backlog.
    pub sacked: u32,
    /// Segments that count as lost.
    pub lost: u32,
    /// Segments that were sent again and are not acknowledged.
    pub retrans: u32,
    /// Not used any more.
    pub fackets: u32,
    /// Time since data was sent.
    pub last_data_sent: Duration,
    /// Not kept by Linux.
    pub last_ack_sent: Duration,
    /// Time since data came.
    pub last_data_recv: Duration,
    /// Time since an acknowledgement came.
    pub last_ack_recv: Duration,
    /// The path's MTU in bytes.
    pub pmtu: u32,
    /// Threshold of the receive window, in bytes.
    pub rcv_ssthresh: u32,
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Its deviation.
    pub rttvar: Duration,
    /// Slow start's threshold, in segments.
    pub snd_ssthresh: u32,
    /// Congestion window, in segments.
    pub snd_cwnd: u32,
    /// Largest segment that was offered, in bytes.
    pub advmss: u32,
    /// How far segments may be out of order.
    pub reordering: u32,
    /// Round-trip time as the receiver sees it.
    pub rcv_rtt: Duration,
    /// Space for what is received, in bytes.
    pub rcv_space: u32,
    /// Segments that were sent again, in all.
    pub total_retrans: u32,
    /// Bytes per second that go out.
    pub pacing_rate: u64,
    /// Their limit.
    pub max_pacing_rate: u64,
    /// Bytes that were acknowledged.
    pub bytes_acked: u64,
    /// Bytes that arrived.
    pub bytes_received: u64,
    /// Segments that were sent.
    pub segs_out: u32,
    /// Segments that arrived.
    pub segs_in: u32,
    /// Bytes that wait to be sent.
    pub notsent_bytes: u32,
    /// Shortest round-trip time.
    pub min_rtt: Duration,
    /// Segments with data that arrived.
    pub data_segs_in: u32,
    /// Segments with data that were sent.
    pub data_segs_out: u32,
    /// Bytes per second that arrive at the peer.
    pub delivery_rate: u64,
    /// Time with data to send.
    pub busy_time: Duration,
    /// Time for which the peer's window held it up.
    pub rwnd_limited: Duration,
    /// Time for which the own buffer held it up.
    pub sndbuf_limited: Duration,
    /// Segments that were delivered.
    pub delivered: u32,
    /// Those of them with a mark of congestion.
    pub delivered_ce: u32,
    /// Bytes that were sent, again ones included.
    pub bytes_sent: u64,
    /// Bytes that were sent again.
    pub bytes_retrans: u64,
    /// Duplicates that the peer told of.
    pub dsack_dups: u32,
    /// How often segments came out of order.
    pub reord_seen: u32,
    /// Segments that arrived out of order.
    pub rcv_ooopack: u32,
    /// The peer's window in bytes.
    pub snd_wnd: u32,
    /// The own window in bytes.
    pub rcv_wnd: u32,
    /// How often another path was tried.
    pub rehash: u32,
}

/// Fields one after the other; those that are not there are 0.
struct Next<'a>(Fields<'a>);

impl Next<'_> {
    fn u8(&mut self) -> u8 {
        self.0.array().map_or(0, |[byte]| byte)
    }

    fn u32(&mut self) -> u32 {
        self.0.u32().unwrap_or_default()
    }

    fn u64(&mut self) -> u64 {
        self.0.u64().unwrap_or_default()
    }
}

impl TcpInfo {
    /// Reads the kernel's bytes. All of the struct's numbers stand where their own size aligns them, so that nothing
    /// lies between them.
    pub fn decode(bytes: &[u8]) -> Self {
        let mut next = Next(Fields::new(bytes));
        let [
            state,
            ca_state,
            retransmits,
            probes,
            backoff,
            options,
            scales,
            bits,
        ] = std::array::from_fn(|_| next.u8());
        Self {
            state: TcpState::from_number(state),
            ca_state,
            retransmits,
            probes,
            backoff,
            options,
            snd_wscale: scales & 0xf,
            rcv_wscale: scales >> 4,
            delivery_rate_app_limited: bits & 1 != 0,
            fastopen_client_fail: bits >> 1 & 3,
            rto: Duration::from_micros(next.u32().into()),
            ato: Duration::from_micros(next.u32().into()),
            snd_mss: next.u32(),
            rcv_mss: next.u32(),
            unacked: next.u32(),
            sacked: next.u32(),
            lost: next.u32(),
            retrans: next.u32(),
            fackets: next.u32(),
            last_data_sent: Duration::from_millis(next.u32().into()),
            last_ack_sent: Duration::from_millis(next.u32().into()),
            last_data_recv: Duration::from_millis(next.u32().into()),
            last_ack_recv: Duration::from_millis(next.u32().into()),
            pmtu: next.u32(),
            rcv_ssthresh: next.u32(),
            rtt: Duration::from_micros(next.u32().into()),
            rttvar: Duration::from_micros(next.u32().into()),
            snd_ssthresh: next.u32(),
            snd_cwnd: next.u32(),
            advmss: next.u32(),
            reordering: next.u32(),
            rcv_rtt: Duration::from_micros(next.u32().into()),
            rcv_space: next.u32(),
            total_retrans: next.u32(),
            pacing_rate: next.u64(),
            max_pacing_rate: next.u64(),
            bytes_acked: next.u64(),
            bytes_received: next.u64(),
            segs_out: next.u32(),
            segs_in: next.u32(),
            notsent_bytes: next.u32(),
            min_rtt: Duration::from_micros(next.u32().into()),
            data_segs_in: next.u32(),
            data_segs_out: next.u32(),
            delivery_rate: next.u64(),
            busy_time: Duration::from_micros(next.u64()),
            rwnd_limited: Duration::from_micros(next.u64()),
            sndbuf_limited: Duration::from_micros(next.u64()),
            delivered: next.u32(),
            delivered_ce: next.u32(),
            bytes_sent: next.u64(),
            bytes_retrans: next.u64(),
            dsack_dups: next.u32(),
            reord_seen: next.u32(),
            rcv_ooopack: next.u32(),
            snd_wnd: next.u32(),
            rcv_wnd: next.u32(),
            rehash: next.u32(),
        }
    }
}

/// SO_MEMINFO: what memory a socket holds, in bytes; `SK_MEMINFO_*` of linux/sock_diag.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Memory of what waits to be received.
    pub receive_allocated: u32,
    /// Size of the receive buffer.
    pub receive_buffer: u32,
    /// Memory of what is on its way out.
    pub send_allocated: u32,
    /// Size of the send buffer.
    pub send_buffer: u32,
    /// Memory that was set aside.
    pub forward_allocated: u32,
    /// Memory of what waits to be sent (TCP).
    pub send_queued: u32,
    /// Memory of options and filters.
    pub options: u32,
    /// Memory of the backlog.
    pub backlog: u32,
    /// How many packets were dropped.
    pub drops: u32,
}

impl Socket {
    /// TCP_INFO: what the kernel knows of the connection. Policy: `options = { get = ["tcp.info"] }`.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        let bytes = self.raw_option(SOL_TCP, TCP_INFO, 512)?;
        Ok(TcpInfo::decode(&bytes))
    }

    /// SO_MEMINFO: the memory that the socket holds. Policy: `options = { get = ["so.meminfo"] }`.
    ///
    /// getsockopt(2). Policy: `options.get`. Errors: `EACCES`, `ENOPROTOOPT` on other kinds of sockets.
    pub fn memory_info(&self) -> io::Result<MemoryInfo> {
        let bytes = self.raw_option(SOL_SOCKET, SO_MEMINFO, 64)?;
        let mut next = Next(Fields::new(&bytes));
        Ok(MemoryInfo {
            receive_allocated: next.u32(),
            receive_buffer: next.u32(),
            send_allocated: next.u32(),
            send_buffer: next.u32(),
            forward_allocated: next.u32(),
            send_queued: next.u32(),
            options: next.u32(),
            backlog: next.u32(),
            drops: next.u32(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_at_its_place_in_the_kernel_s_struct() {
        let mut bytes = vec![0; 240];
        bytes[..8].copy_from_slice(&[10, 0, 1, 2, 3, 7, 0x97, 1]);
        for (at, value) in [(8, 200_000u32), (52, 5), (68, 1_000), (80, 10), (100, 3)] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in [(104, 1u64 << 40), (128, 77), (160, 88), (200, 99)] {
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        bytes[228..232].copy_from_slice(&65_535u32.to_le_bytes());
        let info = TcpInfo::decode(&bytes);
        assert_eq!(info.state, TcpState::Listen);
        assert_eq!((info.snd_wscale, info.rcv_wscale), (7, 9));
        assert!(info.delivery_rate_app_limited);
        assert_eq!(info.rto, Duration::from_millis(200));
        assert_eq!(info.last_data_recv, Duration::from_millis(5));
        assert_eq!(info.rtt, Duration::from_millis(1));
        assert_eq!((info.snd_cwnd, info.total_retrans), (10, 3));
        assert_eq!((info.pacing_rate, info.bytes_received), (1 << 40, 77));
        assert_eq!((info.delivery_rate, info.bytes_sent), (88, 99));
        assert_eq!(info.snd_wnd, 65_535);
        // An older kernel's shorter struct.
        assert_eq!(TcpInfo::decode(&bytes[..104]).snd_wnd, 0);
        assert_eq!(TcpInfo::decode(&[]).state, TcpState::Other(0));
    }
}
