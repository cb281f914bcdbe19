//! A service of a TIPC cluster and its client, which finds it by its name wherever it runs and waits until it
//! is there.
//!
//! ```sh
//! alias run='sockgate run --policy examples/policies/tipc-service.toml'
//! run target/wasm32-wasip2/debug/tipc-service.wasm ask 18888 17 hello &
//! run target/wasm32-wasip2/debug/tipc-service.wasm serve 18888 17 --clients 1
//! ```
//!
//! `serve SERVICE INSTANCE` answers each message in capitals; with `--clients N` it ends after N messages.
//! `ask SERVICE INSTANCE TEXT` asks the topology server to tell when the service is there, and then asks the
//! service itself.

use std::io;
use std::process::ExitCode;

use sockgate_examples::{Arguments, Trying, run};
use sockgate_guest::tipc::{
    TipcAddress, TipcEventKind, TipcSocket, TipcSubscription, TipcTopology,
};

/// The largest message of TIPC, in bytes.
const MESSAGE: usize = 66000;

fn main() -> ExitCode {
    run(|mut arguments| match arguments.word("ROLE")?.as_str() {
        "serve" => serve(arguments),
        "ask" => ask(arguments),
        other => Err(io::Error::other(format!("{other} is none of serve, ask"))),
    })
}

fn number(arguments: &mut Arguments, name: &str) -> io::Result<u32> {
    let word = arguments.word(name)?;
    word.parse()
        .map_err(|error| io::Error::other(format!("{name} {word}: {error}")))
}

fn serve(mut arguments: Arguments) -> io::Result<()> {
    let service = number(&mut arguments, "SERVICE")?;
    let address = TipcAddress::service(service, number(&mut arguments, "INSTANCE")?);
    let socket = TipcSocket::datagram()?;
    socket
        .bind(address)
        .trying(format_args!("bind {address}"))?;
    println!("listening on tipc {address}");
    for _ in 0..arguments.clients()? {
        let message = socket.recv_message(MESSAGE).trying("receive")?;
        let Some(client) = message.source else {
            continue;
        };
        let answer = message.data.to_ascii_uppercase();
        socket
            .send_to(&answer, client)
            .trying(format_args!("answer {client}"))?;
        println!("answered {} bytes", answer.len());
    }
    Ok(())
}

fn ask(mut arguments: Arguments) -> io::Result<()> {
    let service = number(&mut arguments, "SERVICE")?;
    let instance = number(&mut arguments, "INSTANCE")?;
    let text = arguments.word("TEXT")?;
    let topology = TipcTopology::connect().trying("connect to the topology server")?;
    topology.subscribe(&TipcSubscription::service(service, instance, instance))?;
    println!("waiting for service {service}");
    let event = topology.next_event().trying("hear of the service")?;
    if event.kind != TipcEventKind::Published {
        return Err(io::Error::other(format!("{event:?}")));
    }
    let (socket, address) = (
        TipcSocket::datagram()?,
        TipcAddress::service(service, instance),
    );
    socket
        .send_to(text.as_bytes(), address)
        .trying(format_args!("ask {address}"))?;
    let message = socket.recv_message(MESSAGE).trying("receive")?;
    if let Some(why) = message.rejected {
        return Err(io::Error::other(format!("{address} rejected it: {why}")));
    }
    println!("answer: {}", String::from_utf8_lossy(&message.data));
    Ok(())
}
