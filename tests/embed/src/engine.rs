//! One engine for the process, and each guest compiled once.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Result;
use sockgate::{SocketsCtx, SocketsCtxView, SocketsView};
use sockgate_tests::guest_path;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// What the store of one guest holds.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) wasi: WasiCtx,
    pub(crate) sockets: SocketsCtx,
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

/// The process's engine.
pub(crate) fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.concurrency_support(false);
        let cache = wasmtime::Cache::from_file(None).map_err(|error| error.to_string())?;
        config.cache(Some(cache));
        Engine::new(&config).map_err(|error| error.to_string())
    });
    made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// A guest by its name, compiled and linked.
pub(crate) fn program(name: &str) -> Result<CommandPre<State>> {
    static KNOWN: Mutex<Option<HashMap<String, CommandPre<State>>>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(program) = known.get(name) {
        return Ok(program.clone());
    }
    let engine = engine()?;
    let component = Component::from_file(engine, guest_path(name)?).map_err(told)?;
    let mut linker: Linker<State> = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(told)?;
    sockgate::add_to_linker_async(&mut linker).map_err(told)?;
    sockgate::add_wasi_name_lookup(&mut linker).map_err(told)?;
    let pre = linker.instantiate_pre(&component).map_err(told)?;
    let program = CommandPre::new(pre).map_err(told)?;
    known.insert(name.to_owned(), program.clone());
    Ok(program)
}

/// wasmtime's errors are no `std::error::Error`.
pub(crate) fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
