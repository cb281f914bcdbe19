//! A guest of this process: where it runs, how it is watched, how it ends.

use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::task::{Context as Waking, Poll};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use sockgate::policy::Policy;
use sockgate::{
    CancelHandle, Metrics, PolicyHandle, Sink, SocketsCtx, SocketsCtxBuilder, Stopped, WaitMode,
};
use sockgate_tests::patience;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi::{I32Exit, WasiCtxBuilder};

use crate::engine::{State, engine, program};
use crate::lines::{Line, Lines};

/// How a guest waits, and on what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// *park*, on a thread of its own that `block_on` drives beside a multi-thread runtime.
    Park,
    /// *ready*, on a current-thread runtime of its own.
    ReadyAlone,
    /// *ready*, as a task of a multi-thread runtime.
    ReadyShared,
}

impl Place {
    /// Every place.
    pub const ALL: [Place; 3] = [Place::Park, Place::ReadyAlone, Place::ReadyShared];

    fn wait_mode(self) -> WaitMode {
        match self {
            Place::Park => WaitMode::Park,
            Place::ReadyAlone | Place::ReadyShared => WaitMode::Ready,
        }
    }
}

/// The multi-thread runtime of the process.
fn shared() -> Result<&'static Runtime> {
    static SHARED: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    let made = SHARED.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    });
    made.as_ref()
        .map_err(|error| anyhow::anyhow!("the shared runtime could not be made: {error}"))
}

/// A guest that is about to start.
pub struct Start {
    program: String,
    place: Place,
    sockets: SocketsCtxBuilder,
    arguments: Vec<String>,
}

impl Start {
    /// A guest by its program's name.
    pub fn new(program: &str, place: Place, policy: Policy) -> Start {
        Start {
            program: program.to_owned(),
            place,
            sockets: SocketsCtx::builder(policy)
                .name(program)
                .wait_mode(place.wait_mode()),
            arguments: Vec::new(),
        }
    }

    /// One more argument.
    pub fn argument(mut self, word: impl ToString) -> Start {
        self.arguments.push(word.to_string());
        self
    }

    /// One more place where its events go.
    pub fn audit(mut self, sink: impl Sink + 'static) -> Start {
        self.sockets = self.sockets.audit(sink);
        self
    }

    /// Where it is counted.
    pub fn metrics(mut self, metrics: &Metrics) -> Start {
        self.sockets = self.sockets.metrics(metrics);
        self
    }

    /// A socket that it may take by this name.
    pub fn grant(mut self, name: &str, socket: impl Into<OwnedFd>) -> Start {
        self.sockets = self.sockets.grant_socket(name, socket);
        self
    }

    /// Starts it in its place.
    pub fn start(self) -> Result<Guest> {
        let place = self.place;
        let (guest, run) = self.prepare()?;
        match place {
            Place::ReadyShared => drop(shared()?.spawn(run)),
            Place::Park => {
                let runtime = shared()?.handle().clone();
                return guest.on_thread(move || runtime.block_on(run));
            }
            Place::ReadyAlone => {
                let runtime = Builder::new_current_thread().enable_all().build()?;
                return guest.on_thread(move || runtime.block_on(run));
            }
        }
        Ok(guest)
    }

    /// Starts it as a task of this runtime, beside others.
    pub fn spawn_on(self, runtime: &Handle) -> Result<Guest> {
        let (guest, run) = self.prepare()?;
        runtime.spawn(run);
        Ok(guest)
    }

    /// The guest seen from outside, and the future that it is.
    fn prepare(self) -> Result<(Guest, impl Future<Output = ()> + Send + 'static)> {
        let pre = program(&self.program)?;
        let sockets = self.sockets.build()?;
        let (lines, written) = Lines::new();
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(lines).inherit_stderr();
        wasi.arg(&self.program).args(&self.arguments);
        sockets.govern_wasi_sockets(&mut wasi);
        let (ended, end) = channel();
        let (drop_it, dropped) = oneshot::channel::<()>();
        let watch = Watch::default();
        let guest = Guest {
            cancel: sockets.cancel_handle(),
            policy: sockets.policy_handle(),
            place: self.place,
            lines: written,
            end,
            drop_it: Some(drop_it),
            watch: watch.clone(),
            thread: None,
        };
        let state = State {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            sockets,
        };
        let run = async move {
            let call = Watched {
                inner: Box::pin(call(pre, state)),
                watch,
            };
            let (outcome, at) = tokio::select! {
                biased;
                Ok(()) = dropped => (Outcome::Dropped, Instant::now()),
                ended = call => ended,
            };
            // A test that does not ask any more has hung up.
            let _ = ended.send((outcome, at));
        };
        Ok((guest, run))
    }
}

/// Runs a guest to its end; its store is gone when this returns.
async fn call(pre: CommandPre<State>, state: State) -> (Outcome, Instant) {
    let engine = match engine() {
        Ok(engine) => engine,
        Err(error) => return (Outcome::Trapped(error.to_string()), Instant::now()),
    };
    let mut store = Store::new(engine, state);
    let outcome = match pre.instantiate_async(&mut store).await {
        Ok(command) => command.wasi_cli_run().call_run(&mut store).await,
        Err(error) => Err(error),
    };
    let at = Instant::now();
    (Outcome::of(outcome), at)
}

/// What became of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended by itself, with this status.
    Exited(i32),
    /// Its embedder stopped it.
    Stopped,
    /// It trapped, with this message.
    Trapped(String),
    /// Its future was dropped.
    Dropped,
}

impl Outcome {
    fn of(outcome: wasmtime::Result<Result<(), ()>>) -> Outcome {
        match outcome {
            Ok(Ok(())) => Outcome::Exited(0),
            Ok(Err(())) => Outcome::Exited(1),
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(I32Exit(status)) => Outcome::Exited(*status),
                None if error.is::<Stopped>() => Outcome::Stopped,
                None => Outcome::Trapped(format!("{error:#}")),
            },
        }
    }
}

/// How a guest ended.
#[derive(Debug)]
pub struct Ended {
    /// What became of it.
    pub outcome: Outcome,
    /// When its call returned.
    pub at: Instant,
    /// What it wrote that nobody had asked for yet.
    pub lines: Vec<Line>,
}

impl Ended {
    /// Its lines' texts.
    pub fn texts(&self) -> Vec<&str> {
        self.lines.iter().map(|line| line.text.as_str()).collect()
    }
}

/// A running guest. Dropping it stops it.
pub struct Guest {
    /// Interrupts and stops it.
    pub cancel: CancelHandle,
    /// Replaces its policy.
    pub policy: PolicyHandle,
    place: Place,
    lines: Receiver<Line>,
    end: Receiver<(Outcome, Instant)>,
    drop_it: Option<oneshot::Sender<()>>,
    watch: Watch,
    thread: Option<JoinHandle<()>>,
}

impl Guest {
    fn on_thread(mut self, work: impl FnOnce() + Send + 'static) -> Result<Guest> {
        let watch = self.watch.clone();
        let thread = std::thread::Builder::new()
            .name("guest".into())
            .spawn(move || {
                watch.is_here();
                work();
            })
            .context("cannot start a guest's thread")?;
        self.thread = Some(thread);
        Ok(self)
    }

    /// Its next line.
    pub fn line(&self) -> Result<Line> {
        match self.lines.recv_timeout(patience()) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => bail!("the guest wrote nothing for a minute"),
            Err(RecvTimeoutError::Disconnected) => bail!(
                "the guest ended without another line: {:?}",
                self.end.try_recv().map(|(outcome, _)| outcome)
            ),
        }
    }

    /// Its next line if it comes within this time.
    pub fn line_within(&self, time: std::time::Duration) -> Result<Option<Line>> {
        match self.lines.recv_timeout(time) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!(
                "the guest ended without another line: {:?}",
                self.end.try_recv().map(|(outcome, _)| outcome)
            ),
        }
    }

    /// Its next line, which has to begin with this; the rest of it.
    pub fn expect(&self, prefix: &str) -> Result<String> {
        let line = self.line()?.text;
        match line.strip_prefix(prefix) {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => bail!("the guest wrote `{line}` where `{prefix}` was to come"),
        }
    }

    /// Waits until the guest is asleep in a call: its future waits to be woken (*ready*), or the kernel has
    /// put its thread to sleep (*park*).
    pub fn wait_until_asleep(&self) -> Result<()> {
        let deadline = Instant::now() + patience();
        loop {
            let asleep = match self.place {
                Place::Park => self.watch.thread_sleeps(),
                Place::ReadyAlone | Place::ReadyShared => self.watch.pending.load(Ordering::SeqCst),
            };
            if asleep {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the guest did not go to sleep within a minute");
            }
            std::thread::yield_now();
        }
    }

    /// Waits for its end; its store is gone then, and so is its thread.
    pub fn end(mut self) -> Result<Ended> {
        let waited = self.end.recv_timeout(patience());
        let Ok((outcome, at)) = waited else {
            bail!("the guest did not end within a minute");
        };
        self.join()?;
        Ok(Ended {
            outcome,
            at,
            lines: self.lines.try_iter().collect(),
        })
    }

    /// Drops its future in the middle of whatever it does (*ready*).
    pub fn drop_future(mut self) -> Result<Ended> {
        if let Some(drop_it) = self.drop_it.take() {
            // It may have ended by itself.
            let _ = drop_it.send(());
        }
        self.end()
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("the guest's thread panicked"))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.cancel.stop();
        if self.join().is_err() && !std::thread::panicking() {
            panic!("the guest's thread panicked");
        }
    }
}

/// What is known of a guest from outside.
#[derive(Clone, Default)]
struct Watch {
    /// Its future waits to be woken.
    pending: Arc<AtomicBool>,
    /// Where the kernel tells of its thread, proc(5).
    thread: Arc<OnceLock<String>>,
}

impl Watch {
    /// The calling thread is the guest's.
    fn is_here(&self) {
        if let Ok(place) = std::fs::read_link("/proc/thread-self") {
            let place = format!("/proc/{}/stat", place.display());
            // A guest has one thread.
            let _ = self.thread.set(place);
        }
    }

    /// The state after the name in parentheses is S, proc(5).
    fn thread_sleeps(&self) -> bool {
        let Some(place) = self.thread.get() else {
            return false;
        };
        std::fs::read_to_string(place).is_ok_and(|stat| {
            stat.rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with('S'))
        })
    }
}

/// A guest's future that tells whether it waits to be woken.
struct Watched {
    inner: Pin<Box<dyn Future<Output = (Outcome, Instant)> + Send>>,
    watch: Watch,
}

impl Future for Watched {
    type Output = (Outcome, Instant);

    fn poll(mut self: Pin<&mut Self>, context: &mut Waking<'_>) -> Poll<(Outcome, Instant)> {
        self.watch.pending.store(false, Ordering::SeqCst);
        let polled = self.inner.as_mut().poll(context);
        self.watch
            .pending
            .store(polled.is_pending(), Ordering::SeqCst);
        polled
    }
}
