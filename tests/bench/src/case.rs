//! What is measured: the cases, and who takes part in them.

use clap::ValueEnum;

use crate::native::Times;

/// One thing that sockets do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// A UDP datagram of 64 bytes to a native echo thread and back
    #[value(name = "udp_pingpong_64")]
    UdpPingPong,
    /// A Unix datagram of 64 bytes to a native echo thread and back
    #[value(name = "unix_pingpong_64")]
    UnixPingPong,
    /// 64 bytes over TCP to a native echo thread and back
    #[value(name = "tcp_pingpong_64")]
    TcpPingPong,
    /// A UDP datagram of 64 bytes, sent and received by one thread
    #[value(name = "udp_pair_64")]
    UdpPair,
    /// A Unix datagram of 64 bytes, sent and received by one thread
    #[value(name = "unix_pair_64")]
    UnixPair,
    /// The same in batches of 32 (sendmmsg, recvmmsg), per datagram
    #[value(name = "udp_batch32")]
    UdpBatch,
    /// The same in batches of 32 (sendmmsg, recvmmsg), per datagram
    #[value(name = "unix_batch32")]
    UnixBatch,
    /// 64 KiB written to a native thread that reads
    #[value(name = "tcp_send_64k")]
    TcpSend,
    /// 64 KiB read from a native thread that writes
    #[value(name = "tcp_recv_64k")]
    TcpRecv,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Native code that blocks.
    Native,
    /// Native code on a current-thread tokio.
    Tokio,
    /// A guest of sockgate that waits in ppoll(2).
    Park,
    /// A guest of sockgate on a current-thread tokio.
    Ready,
    /// A guest on wasmtime-wasi's `wasi:sockets`, on a current-thread tokio.
    Wasi,
}

impl Column {
    /// In the order of one round.
    pub const ALL: [Column; 5] = [
        Column::Native,
        Column::Tokio,
        Column::Park,
        Column::Ready,
        Column::Wasi,
    ];
}

/// Datagrams of a batch.
pub const BATCH: u32 = 32;

impl Case {
    /// As the report calls it.
    pub fn name(self) -> &'static str {
        match self {
            Case::UdpPingPong => "udp_pingpong_64",
            Case::UnixPingPong => "unix_pingpong_64",
            Case::TcpPingPong => "tcp_pingpong_64",
            Case::UdpPair => "udp_pair_64",
            Case::UnixPair => "unix_pair_64",
            Case::UdpBatch => "udp_batch32",
            Case::UnixBatch => "unix_batch32",
            Case::TcpSend => "tcp_send_64k",
            Case::TcpRecv => "tcp_recv_64k",
        }
    }

    /// Whether that column has such a thing: `std::net` has no Unix sockets in wasm, and no batches.
    pub fn applies(self, column: Column) -> bool {
        column != Column::Wasi
            || !matches!(
                self,
                Case::UnixPingPong | Case::UnixPair | Case::UdpBatch | Case::UnixBatch
            )
    }

    /// What one round does: some 10 ms of it, so that some rounds meet a quiet machine; streams take longer,
    /// since the kernel sizes their buffers as they run.
    pub fn times(self, quick: bool) -> Times {
        let measured = match self {
            Case::UdpPingPong | Case::UnixPingPong | Case::TcpPingPong => 1000,
            Case::UdpPair | Case::UnixPair => 4000,
            Case::UdpBatch | Case::UnixBatch => 150,
            Case::TcpSend | Case::TcpRecv => 6000,
        };
        let measured = if quick { measured / 10 } else { measured };
        Times {
            warm_up: measured / 5,
            measured,
        }
    }

    /// Figures are per datagram, also where one operation moves many.
    pub fn operations(self, times: Times) -> u32 {
        match self {
            Case::UdpBatch | Case::UnixBatch => times.measured * BATCH,
            _ => times.measured,
        }
    }
}
