//! Answers in capitals over TCP and over UDP, to many clients at once: line by line, each client in a task of
//! its own, datagrams whole.
//!
//! ```sh
//! sockgate run --policy examples/policies/upper-server.toml --var port=7007 \
//!     target/wasm32-wasip2/debug/upper-server.wasm 127.0.0.1:7007
//! ```
//!
//! With `--clients N` it ends after N requests (connections and datagrams), once all are answered.

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::aio;
use sockgate_guest::server::{
    Endpoint, Packet, ShutdownHandle, TaskConnection, TaskRequest, TaskServer, TaskService,
};

/// How long a client may be silent.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a server's loop has a turn though nobody comes.
const TURN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    run(|mut arguments: Arguments| {
        let address = arguments.word("ADDRESS")?;
        let upper = Upper {
            left: Rc::new(Cell::new(arguments.clients()?)),
            servers: Rc::default(),
        };
        let streams = TaskServer::<TaskConnection, _>::tcp(&address, upper.clone())
            .trying(format_args!("listen on {address}"))?;
        // Port 0 may have become another one.
        let address = streams.endpoint().socket().local_address()?;
        let address = address.as_ip().ok_or(io::ErrorKind::InvalidInput)?;
        let packets = TaskServer::<Packet, _>::udp(address, upper.clone())
            .trying(format_args!("bind {address}"))?;
        println!("listening on tcp and udp {address}");
        let handles = [streams.shutdown_handle(), packets.shutdown_handle()];
        upper.servers.set(Some(handles));
        aio::run(async {
            let streams_served = aio::spawn(async move {
                streams.serve_forever(TURN).await;
                streams.server_close().await
            });
            packets.serve_forever(TURN).await;
            packets.server_close().await?;
            streams_served.await
        })
    })
}

/// What both servers do.
#[derive(Clone)]
struct Upper {
    left: Rc<Cell<usize>>,
    servers: Rc<Cell<Option<[ShutdownHandle; 2]>>>,
}

impl Upper {
    /// One more request has come; the last one ends both servers.
    fn count(&self) {
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            let servers = self.servers.take().into_iter().flatten();
            servers.for_each(|server| server.shutdown());
        }
    }
}

impl TaskService<TaskConnection> for Upper {
    async fn handle(&self, client: &mut TaskConnection, _: &Endpoint) -> io::Result<()> {
        self.count();
        let mut line = String::new();
        while aio::timeout(PATIENCE, client.read_line(&mut line)).await?? > 0 {
            client.write_all(line.to_uppercase().as_bytes()).await?;
            line.clear();
        }
        Ok(())
    }

    fn handle_error(&self, client: &TaskConnection, error: &io::Error, _: &Endpoint) {
        lost(client, error);
    }
}

impl TaskService<Packet> for Upper {
    async fn handle(&self, packet: &mut Packet, _: &Endpoint) -> io::Result<()> {
        self.count();
        let mut text = Vec::new();
        packet.read_to_end(&mut text)?;
        packet.write_all(&text.to_ascii_uppercase())
    }

    fn handle_error(&self, packet: &Packet, error: &io::Error, _: &Endpoint) {
        lost(packet, error);
    }
}

fn lost(request: &impl TaskRequest, error: &io::Error) {
    eprintln!("{} is lost: {error}", request.client_address());
}
