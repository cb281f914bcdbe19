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
    /// An event on a poller, with 500 busy connections and 50 idle ones: a message received and sent
    #[value(name = "poller_idle_50")]
    PollerFew,
    /// The same with 5000 idle ones
    #[value(name = "poller_idle_5000")]
    PollerMany,
    /// An event on the guest's executor, a task for each connection; native code has a loop over epoll
    #[value(name = "executor_idle_50")]
    ExecutorFew,
    /// The same with 5000 idle ones
    #[value(name = "executor_idle_5000")]
    ExecutorMany,
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
            Case::PollerFew => "poller_idle_50",
            Case::PollerMany => "poller_idle_5000",
            Case::ExecutorFew => "executor_idle_50",
            Case::ExecutorMany => "executor_idle_5000",
        }
    }

    /// As the guests call it.
    pub fn word(self) -> &'static str {
        match self {
            Case::PollerFew | Case::PollerMany => "poller_idle",
            Case::ExecutorFew | Case::ExecutorMany => "executor_idle",
            _ => self.name(),
        }
    }

    /// The connections that never talk, in the cases that have such.
    pub fn idle(self) -> Option<usize> {
        match self {
            Case::PollerFew | Case::ExecutorFew => Some(50),
            Case::PollerMany | Case::ExecutorMany => Some(5000),
            _ => None,
        }
    }

    /// Whether that column has such a thing: `std::net` has no Unix sockets in wasm, and no batches. What a
    /// poller does is tokio's own affair there.
    pub fn applies(self, column: Column) -> bool {
        match column {
            Column::Native | Column::Park | Column::Ready => true,
            Column::Tokio => self.idle().is_none(),
            Column::Wasi => !matches!(
                self,
                Case::UnixPingPong
                    | Case::UnixPair
                    | Case::UdpBatch
                    | Case::UnixBatch
                    | Case::PollerFew
                    | Case::PollerMany
                    | Case::ExecutorFew
                    | Case::ExecutorMany
            ),
        }
    }

    /// What one round does: some 10 ms of it, so that some rounds meet a quiet machine; streams take longer,
    /// since the kernel sizes their buffers as they run.
    pub fn times(self, quick: bool) -> Times {
        let measured = match self {
            Case::UdpPingPong | Case::UnixPingPong | Case::TcpPingPong => 1000,
            Case::UdpPair | Case::UnixPair => 4000,
            Case::PollerFew | Case::PollerMany | Case::ExecutorFew | Case::ExecutorMany => 4000,
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
