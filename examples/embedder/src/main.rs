//! A host program of forty lines: it runs one guest under a policy file, tells what the policy refuses,
//! and stops the guest after a time.
//!
//! ```sh
//! sockgate-embedder-example POLICY.toml GUEST.wasm SECONDS [ARGUMENTS...]
//! ```
//!
//! From here: `sockgate::guide` in the library's documentation.

use std::path::Path;
use std::time::Duration;

use sockgate::policy::{Policy, Source};
use sockgate::{Event, Sink, SocketsCtx, SocketsCtxView, SocketsView, Stopped, Verdict};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Result, Store, bail};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// What the store of one guest holds.
struct Guest {
    table: ResourceTable,
    wasi: WasiCtx,
    sockets: SocketsCtx,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl SocketsView for Guest {
    fn sockets(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView {
            ctx: &mut self.sockets,
            table: &mut self.table,
        }
    }
}

/// Tells the operator what was refused. The guest itself is told nothing but `acces`.
struct Denials;

impl Sink for Denials {
    fn record(&self, event: &Event) {
        if matches!(event.verdict, Verdict::Deny | Verdict::Limit) {
            let reason = event.reason.as_deref().unwrap_or("no reason");
            eprintln!("refused: {}: {reason}", event.operation);
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [file, program, seconds, rest @ ..] = arguments.as_slice() else {
        bail!("give POLICY.toml GUEST.wasm SECONDS [ARGUMENTS...]");
    };
    // A relative `root` in the policy begins beside the file.
    let base = Path::new(file).canonicalize()?.with_file_name("");
    let source = Source::new(file, &std::fs::read_to_string(file)?).with_base(base);
    let sockets = SocketsCtx::builder(Policy::from_toml(&source)?)
        .name(program)
        .audit(Denials)
        .build()?;

    // From any thread, at any time. For guests that compute instead of waiting, add wasmtime's epochs.
    let cancel = sockets.cancel_handle();
    let limit = Duration::from_secs(seconds.parse()?);
    tokio::spawn(async move {
        tokio::time::sleep(limit).await;
        cancel.stop();
    });

    let mut wasi = WasiCtxBuilder::new();
    wasi.inherit_stdio().arg(program).args(rest);
    sockets.govern_wasi_sockets(&mut wasi); // guests on plain std::net obey the same policy
    let wasi = wasi.build();

    let engine = Engine::default();
    let mut linker: Linker<Guest> = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    sockgate::add_to_linker_async(&mut linker)?;
    sockgate::add_wasi_name_lookup(&mut linker)?;

    let component = Component::from_file(&engine, program)?;
    let table = ResourceTable::new();
    let mut store = Store::new(
        &engine,
        Guest {
            table,
            wasi,
            sockets,
        },
    );
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(Ok(())) => println!("the guest ended"),
        Ok(Err(())) => bail!("the guest failed"),
        Err(error) if error.is::<Stopped>() => println!("the guest was stopped"),
        Err(error) => return Err(error),
    }
    Ok(())
}
