//! `sockgate run`: one guest under its policy.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use sockgate::policy::{Learner, Policy};
use sockgate::{CancelHandle, SocketsCtx, SocketsCtxView, SocketsView, Stopped, WaitMode};
use tokio::signal::unix::{Signal, SignalKind, signal};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{FsPerms, I32Exit, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::granted::{self, BoundFiles};
use super::harden::{HardenArgs, Places};
use super::policy::{PolicyArgs, pair};
use super::reload::{self, Reload, UnderWay};
use super::report::{Report, ReportArgs};

// Its help stands where the commands are listed, since `learn` has these options too.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    report: ReportArgs,

    /// How the guest waits: park blocks its thread (the cheapest wake-up), ready
    /// suspends it in the runtime
    #[arg(long, value_enum, default_value_t = Wait::Park, verbatim_doc_comment)]
    wait: Wait,

    /// Hand the guest a ready socket, which it takes by NAME and which needs no rule to
    /// accept, send, receive and reply. Bound ones: tcp-listen:ADDRESS:PORT,
    /// udp:ADDRESS:PORT, unix-listen:PATH, unix-datagram:PATH, vsock-listen:CID:PORT;
    /// connected ones: tcp:HOST:PORT, udp-connect:HOST:PORT, unix:PATH,
    /// unix-datagram-connect:PATH; a PATH may be @NAME, and what is made there goes with
    /// the guest. Sockets of socket activation (LISTEN_FDS) come by the names of
    /// LISTEN_FDNAMES, else by their numbers, or as fd:NUMBER by another name. Those of
    /// one name are taken one after the other
    #[arg(long = "socket", value_name = "NAME=SOCKET", value_parser = pair, verbatim_doc_comment)]
    sockets: Vec<(String, String)>,

    #[command(flatten)]
    harden: HardenArgs,

    /// An environment variable of the guest
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,

    /// A directory whose files the guest may use, under its own name or as GUEST
    #[arg(long = "dir", value_name = "HOST[::GUEST]")]
    directories: Vec<String>,

    /// The guest: a component, like any program built for wasm32-wasip2
    #[arg(value_name = "GUEST.wasm")]
    guest: PathBuf,

    /// The guest's arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Wait {
    Park,
    Ready,
}

/// The exit status of a guest that a signal ended, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

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

/// How a run ended.
pub struct Ended {
    /// The exit status.
    pub code: ExitCode,
    /// What the guest was seen doing, in learn mode.
    pub learner: Learner,
}

impl Run {
    pub fn execute(self) -> Result<ExitCode> {
        Ok(self.under(std::convert::identity, |_| {})?.code)
    }

    /// What the guest is called.
    pub fn name(&self) -> String {
        let name = self.guest.file_stem().unwrap_or(self.guest.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Runs the guest under its policy, and under each that replaces it, as `adapt` makes them. `cut_short` is
    /// called before the process ends beneath a guest that heeds no signal.
    pub fn under(
        self,
        adapt: fn(Policy) -> Policy,
        cut_short: impl Fn(&Learner) + Send + Sync + 'static,
    ) -> Result<Ended> {
        if let Err(errno) = sockgate::raise_descriptor_limit() {
            eprintln!("sockgate: the limit of open descriptors stays as it is: {errno}");
        }
        // Before this process opens anything: what LISTEN_FDS names must be what was handed over.
        let granted = granted::sockets(&self.sockets)?;
        let files = granted.files;
        let report = self.report.open()?;
        let policy = adapt(self.policy.load()?);
        let reach = policy.reach();
        let sockets = self.sockets(policy, granted.sockets, &report)?;
        let learner = sockets.learner();
        let mut config = Config::new();
        // No component-model-async here: 80 ns less for each call.
        config.concurrency_support(false);
        if self.harden.is_wanted() {
            // No threads before the process is confined. And whoever can write to the cache writes the code
            // of later guests.
            config.parallel_compilation(false);
        } else {
            match wasmtime::Cache::from_file(None) {
                Ok(cache) => drop(config.cache(Some(cache))),
                Err(error) => tracing::debug!(%error, "guests are compiled without a cache"),
            }
        }
        let engine = Engine::new(&config).map_err(told)?;
        let component = compile(&engine, &self.guest)?;
        let state = State {
            table: ResourceTable::new(),
            wasi: self.wasi(&sockets)?,
            sockets,
        };
        // Everything that takes rights is open, and no other thread runs yet.
        let walls = self.harden.apply(&reach, self.places(&files)?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("the runtime could not be started")?;
        let ending = {
            let (files, learner, report) = (files.clone(), learner.clone(), report.clone());
            move || {
                files.unlink();
                cut_short(&learner);
                report.finish();
            }
        };
        let cancel = state.sockets.cancel_handle();
        let under_way = UnderWay::default();
        let renewed = Reload {
            policies: state.sockets.policy_handle(),
            arguments: self.policy,
            adapt,
            report: report.clone(),
            walls,
            under_way: under_way.clone(),
        };
        // From here on no signal ends the process by itself.
        let signals = Signals::new(&runtime)?;
        let hung_up = runtime.spawn(reload::on_hang_up(signals.hang_up, renewed));
        let last = [signals.interrupt, signals.terminate];
        let signal = runtime.spawn(first_signal(last, cancel, hung_up, ending));
        runtime.spawn(report.clone().keep_metrics());
        let guest = self.guest;
        let code = runtime.block_on(async {
            tokio::select! {
                biased;
                // Dropping the call ends what waits in the runtime; what parks was stopped.
                _ = signal => Ok(ExitCode::from(INTERRUPTED)),
                code = run(&engine, &component, state, &guest) => code,
            }
        });
        under_way.wait();
        report.finish();
        let code = code?;
        files.unlink();
        // A resolver thread, or a read of standard input, may still be under way.
        runtime.shutdown_background();
        Ok(Ended { code, learner })
    }

    fn sockets(
        &self,
        policy: Policy,
        granted: Vec<(String, OwnedFd)>,
        report: &Report,
    ) -> Result<SocketsCtx> {
        let mut builder = SocketsCtx::builder(policy).name(self.name());
        builder = builder.wait_mode(match self.wait {
            Wait::Park => WaitMode::Park,
            Wait::Ready => WaitMode::Ready,
        });
        builder = report.listen(builder);
        for (name, socket) in granted {
            builder = builder.grant_socket(name, socket);
        }
        Ok(builder.build()?)
    }

    /// Directories of --dir: on the host, and as the guest sees them.
    fn directories(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.directories.iter();
        pairs.map(|pair| pair.split_once("::").unwrap_or((pair, pair)))
    }

    /// What goes on being opened while the guest runs.
    fn places(&self, bound: &BoundFiles) -> Result<Places> {
        let folders = bound.directories().into_iter();
        Ok(Places {
            used: self.directories().map(|(host, _)| host.into()).collect(),
            written: folders.chain(self.report.folders()).collect(),
            read: self.policy.read_files()?,
        })
    }

    fn wasi(&self, sockets: &SocketsCtx) -> Result<WasiCtx> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdio();
        wasi.arg(self.guest.to_string_lossy());
        wasi.args(&self.arguments);
        for (name, value) in &self.environment {
            wasi.env(name, value);
        }
        for (host, guest) in self.directories() {
            wasi.preopened_dir(host, guest, FsPerms::ReadWrite)
                .map_err(told)
                .with_context(|| format!("--dir {host}::{guest}: {host} cannot be opened"))?;
        }
        sockets.govern_wasi_sockets(&mut wasi);
        Ok(wasi.build())
    }
}

fn compile(engine: &Engine, guest: &Path) -> Result<Component> {
    let bytes = std::fs::read(guest)
        .with_context(|| format!("the guest {} cannot be read", guest.display()))?;
    // The layer in a module's header: 0 is a core module, 1 a component.
    if bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&[0, 0]) {
        bail!(
            "{} is a core module and no component: build it for wasm32-wasip2, or make it one with \
             `wasm-tools component new`",
            guest.display()
        );
    }
    Component::new(engine, &bytes)
        .map_err(told)
        .with_context(|| format!("{} is no component that can be compiled", guest.display()))
}

async fn run(
    engine: &Engine,
    component: &Component,
    state: State,
    guest: &Path,
) -> Result<ExitCode> {
    let mut linker: Linker<State> = Linker::new(engine);
    let added = wasmtime_wasi::p2::add_to_linker_async(&mut linker)
        .and_then(|()| sockgate::add_to_linker_async(&mut linker))
        .and_then(|()| sockgate::add_wasi_name_lookup(&mut linker));
    added.map_err(told)?;
    let mut store = Store::new(engine, state);
    let command = match linker.instantiate_pre(component) {
        Ok(pre) => pre,
        Err(error) => return Err(missing_import(engine, component, guest, error)),
    };
    let command = match wasmtime_wasi::p2::bindings::CommandPre::new(command) {
        Ok(pre) => pre.instantiate_async(&mut store).await.map_err(told)?,
        Err(_) => bail!(
            "{} exports no wasi:cli/run: it is a library, and `sockgate run` runs programs",
            guest.display()
        ),
    };
    Ok(ended(call(&mut store, &command).await, guest))
}

async fn call(store: &mut Store<State>, command: &Command) -> wasmtime::Result<Result<(), ()>> {
    command.wasi_cli_run().call_run(store).await
}

/// The guest's own status; a trap is told.
fn ended(outcome: wasmtime::Result<Result<(), ()>>, guest: &Path) -> ExitCode {
    let error = match outcome {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(())) => return ExitCode::FAILURE,
        Err(error) => error,
    };
    if let Some(I32Exit(status)) = error.downcast_ref::<I32Exit>() {
        return ExitCode::from(u8::try_from(*status).unwrap_or(1));
    }
    if error.downcast_ref::<Stopped>().is_some() {
        return ExitCode::from(INTERRUPTED);
    }
    eprintln!("sockgate: {} trapped: {error:?}", guest.display());
    ExitCode::from(134)
}

/// A sentence for an import that nobody gives.
fn missing_import(
    engine: &Engine,
    component: &Component,
    guest: &Path,
    error: wasmtime::Error,
) -> anyhow::Error {
    const GIVEN: &[&str] = &[
        "sockgate:sockets/",
        "wasi:cli/",
        "wasi:clocks/",
        "wasi:filesystem/",
        "wasi:io/",
        "wasi:random/",
        "wasi:sockets/",
    ];
    let guest = guest.display();
    let kind = component.component_type();
    let mut foreign = kind
        .imports(engine)
        .map(|(name, _)| name.to_string())
        .filter(|name| {
            !GIVEN.iter().any(|given| name.starts_with(given)) || name.contains("@0.3.")
        });
    match foreign.next() {
        Some(name) => anyhow::anyhow!(
            "{guest} imports `{name}`, which nobody gives: sockgate run gives sockgate:sockets@0.1.0 and WASI 0.2. \
             Plug a component that exports it into the guest (`wac plug`), or run the guest in a host of your own \
             with the sockgate crate"
        ),
        None => told(error).context(format!(
            "{guest} was built against another version of an interface that sockgate gives; build it again with \
             the sockgate-guest of this sockgate"
        )),
    }
}

/// The signals that the command answers.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new(runtime: &tokio::runtime::Runtime) -> Result<Signals> {
        let _entered = runtime.enter();
        let on = |kind| signal(kind).context("a signal cannot be answered");
        Ok(Signals {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }
}

/// The first signal stops the guest where it waits, so that its sockets close in order; a guest that does
/// not wait is ended a second later.
async fn first_signal(
    [mut interrupt, mut terminate]: [Signal; 2],
    cancel: CancelHandle,
    hung_up: tokio::task::JoinHandle<()>,
    ending: impl Fn() + Send + 'static,
) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hung_up => {}
    }
    cancel.stop();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        ending();
        std::process::exit(INTERRUPTED.into());
    });
}

/// wasmtime's errors are no `std::error::Error`.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
