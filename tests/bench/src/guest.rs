//! The columns that are guests: the host library as an embedder uses it.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use sockgate::{SocketsCtx, SocketsCtxView, SocketsView, WaitMode};
use sockgate_tests::guest_path;
use tokio::runtime::Runtime;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::case::{Case, Column};
use crate::native::Times;
use crate::stage::Stage;

/// What a guest may print.
const OUTPUT: usize = 4096;

struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    sockets: SocketsCtx,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl SocketsView for State {
    fn sockets(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView {
            ctx: &mut self.sockets,
            table: &mut self.table,
        }
    }
}

/// Both guests, compiled and linked once.
pub struct Guests {
    engine: Engine,
    sockgate: CommandPre<State>,
    wasi: CommandPre<State>,
    /// *park* wants a runtime that goes on while its thread sleeps.
    parked: Runtime,
}

impl Guests {
    /// Compiles the guests. The runtime's threads run where this thread does.
    pub fn new() -> Result<Guests> {
        let mut config = Config::new();
        // No component-model-async here: 80 ns less for each call.
        config.concurrency_support(false);
        let engine = Engine::new(&config).map_err(told)?;
        let parked = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("the runtime could not be started")?;
        Ok(Guests {
            sockgate: linked(&engine, "bench_sockgate")?,
            wasi: linked(&engine, "bench_wasi")?,
            engine,
            parked,
        })
    }

    /// How long the measured operations of one round take, by the guest's own clock.
    pub fn run(
        &self,
        column: Column,
        case: Case,
        stage: &Stage,
        times: Times,
        current_thread: &Runtime,
    ) -> Result<Duration> {
        let (command, wait_mode, runtime) = match column {
            Column::Park => (&self.sockgate, WaitMode::Park, &self.parked),
            Column::Ready => (&self.sockgate, WaitMode::Ready, current_thread),
            Column::Wasi => (&self.wasi, WaitMode::Ready, current_thread),
            Column::Native | Column::Tokio => bail!("{column:?} is no guest"),
        };
        let sockets = SocketsCtx::builder(stage.policy()?)
            .wait_mode(wait_mode)
            .build()?;
        let output = MemoryOutputPipe::new(OUTPUT);
        let errors = MemoryOutputPipe::new(OUTPUT);
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(output.clone()).stderr(errors.clone());
        wasi.arg("bench").arg(case.word());
        wasi.arg(times.warm_up.to_string());
        wasi.arg(times.measured.to_string());
        wasi.args(&stage.addresses);
        sockets.govern_wasi_sockets(&mut wasi);
        let state = State {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            sockets,
        };
        let mut store = Store::new(&self.engine, state);
        let ended = runtime.block_on(async {
            let command = command.instantiate_async(&mut store).await?;
            command.wasi_cli_run().call_run(&mut store).await
        });
        let text = |pipe: &MemoryOutputPipe| String::from_utf8_lossy(&pipe.contents()).into_owned();
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(())) => bail!("the guest failed: {}", text(&errors)),
            Err(error) => return Err(told(error).context(text(&errors))),
        }
        let nanoseconds = text(&output);
        let nanoseconds = nanoseconds
            .trim()
            .parse()
            .with_context(|| format!("the guest printed no time but `{nanoseconds}`"))?;
        Ok(Duration::from_nanos(nanoseconds))
    }
}

fn linked(engine: &Engine, name: &str) -> Result<CommandPre<State>> {
    let path = guest_path(name)?;
    let component = Component::from_file(engine, &path)
        .map_err(told)
        .with_context(|| format!("{} cannot be compiled", path.display()))?;
    let mut linker = Linker::new(engine);
    let linked = wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| sockgate::add_to_linker_async(&mut linker))
        .and_then(|()| sockgate::add_wasi_name_lookup(&mut linker))
        .and_then(|()| linker.instantiate_pre(&component))
        .and_then(CommandPre::new);
    linked.map_err(told)
}

/// wasmtime's errors are no `std::error::Error`.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}
