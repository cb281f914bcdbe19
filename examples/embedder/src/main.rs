//! A host program with forty lines in `main`: it runs one guest under a policy file, tells what the policy
//! refuses, and stops the guest after a time.
//!
//! ```sh
//! sockgate-embedder-example POLICY.toml GUEST.wasm SECONDS [ARGUMENTS...]
//! ```
//!
//! From here: `sockgate::guide` in the library's documentation.

use std::collections::HashMap;
use std::time::Duration;

use sockgate::{Event, Sink, SocketsCtx, SocketsCtxView, SocketsView, Stopped, Verdict};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Result, Store, bail};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// What the store of one guest holds.
struct Guest(ResourceTable, WasiCtx, SocketsCtx);

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Guest(table, ctx, _) = self;
        WasiCtxView { ctx, table }
    }
}

impl SocketsView for Guest {
    fn sockets(&mut self) -> SocketsCtxView<'_> {
        let Guest(table, _, ctx) = self;
        SocketsCtxView { ctx, table }
    }
}

/// Tells the operator what was refused. The guest itself is told nothing but `acces`.
struct Denials;

impl Sink for Denials {
    fn record(&self, event: &Event) {
        if let (Verdict::Deny | Verdict::Limit, Some(reason)) = (event.verdict, &event.reason) {
            eprintln!("refused: {}: {reason}", event.operation);
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, program, seconds, rest @ ..] = &arguments[..] else {
        bail!("give POLICY.toml GUEST.wasm SECONDS [ARGUMENTS...]");
    };
    let policy = sockgate::read_policy(file, HashMap::new())?;
    let context = SocketsCtx::builder(policy).name(program).audit(Denials);
    let sockets = context.build()?;

    // Works from any thread. For guests that compute instead of waiting, add wasmtime's epochs.
    let cancel = sockets.cancel_handle();
    let limit = Duration::from_secs(seconds.parse()?);
    tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        cancel.stop();
    });

    // Guests on plain std::net obey the same policy.
    let mut wasi = WasiCtxBuilder::new();
    sockets.govern_wasi_sockets(wasi.inherit_stdio().arg(program).args(rest));
    let guest = Guest(ResourceTable::new(), wasi.build(), sockets);

    let engine = Engine::default();
    let mut linker: Linker<Guest> = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    sockgate::add_to_linker_async(&mut linker)?;
    sockgate::add_wasi_name_lookup(&mut linker)?;

    let component = Component::from_file(&engine, program)?;
    let mut store = Store::new(&engine, guest);
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(Ok(())) => println!("the guest ended"),
        Ok(Err(())) => bail!("the guest failed"),
        Err(error) if error.is::<Stopped>() => println!("the guest was stopped"),
        Err(error) => return Err(error),
    }
    Ok(())
}
