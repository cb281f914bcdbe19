//! Passes TCP connections on to another server, many at once, each in a task of its own: what a policy lets
//! through in one place instead of in many.
//!
//! ```sh
//! sockgate run --policy examples/policies/proxy.toml --var port=7007 \
//!     target/wasm32-wasip2/debug/proxy.wasm 127.0.0.1:7007 127.0.0.1:8080
//! ```
//!
//! With `--clients N` it ends after N connections.

use std::io;
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::Duration;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::aio::{self, TcpListener, TcpStream};
use sockgate_guest::net::ToSocketAddrs;

/// How long the other server may take to answer a connect.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    run(|mut arguments: Arguments| {
        let here = arguments.word("ADDRESS")?;
        let there = arguments.word("SERVER")?;
        let count = arguments.clients()?;
        let listener = TcpListener::bind(&here).trying(format_args!("listen on {here}"))?;
        // A name is looked up once: no task runs meanwhile.
        let servers: Vec<_> = there
            .to_socket_addrs()
            .trying(format_args!("look {there} up"))?
            .collect();
        println!("listening on tcp {}", listener.get_ref().local_addr()?);
        aio::run(async {
            let mut tasks = Vec::new();
            for _ in 0..count {
                let (client, peer) = listener.accept().await.trying("accept")?;
                let servers = servers.clone();
                tasks.push(aio::spawn(async move {
                    if let Err(error) = pass_on(&client, &servers).await {
                        eprintln!("{peer} is lost: {error}");
                    }
                }));
                tasks.retain(|task| !task.is_finished());
            }
            for task in tasks {
                task.await;
            }
            Ok(())
        })
    })
}

/// One connection, until both sides have said all.
async fn pass_on(client: &TcpStream, servers: &[std::net::SocketAddr]) -> io::Result<()> {
    let server = aio::timeout(PATIENCE, TcpStream::connect(servers)).await?;
    let server = server.trying("connect")?;
    let ways = aio::join_all([copy(client, &server), copy(&server, client)]).await;
    ways.into_iter().collect()
}

/// One direction. The end of one stream is passed on as the end of the other.
async fn copy(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    loop {
        let data = from.recv_vec(16 * 1024).await?;
        if data.is_empty() {
            return to.get_ref().shutdown(Shutdown::Write);
        }
        to.write_all(&data).await?;
    }
}
