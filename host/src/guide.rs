//! One page per task.

/// # Run a guest
///
/// A store that runs a guest holds a [`SocketsCtx`](crate::SocketsCtx) beside its table of resources and
/// its `WasiCtx`; [`SocketsView`](crate::SocketsView) says where. Make one context per store: it is one
/// guest's policy, limits, cancellation and audit. The crate's front page has the whole program, and
/// `examples/embedder` one to copy.
///
/// Three calls fill the linker:
///
/// * `wasmtime_wasi::p2::add_to_linker_async`: WASI 0.2, which guests' standard libraries import.
/// * [`add_to_linker_async`](crate::add_to_linker_async): `sockgate:sockets`.
/// * [`add_wasi_name_lookup`](crate::add_wasi_name_lookup): puts look-ups through `wasi:sockets` under the
///   policy. It comes after wasmtime-wasi's and takes the place of its resolver.
///
/// and one call on the `WasiCtxBuilder`,
/// [`govern_wasi_sockets`](crate::SocketsCtx::govern_wasi_sockets), puts every address that a guest on
/// plain `std::net` names under the policy. Without it wasmtime-wasi allows such a guest no address at all.
/// `wasi:sockets` cannot tell which socket it speaks of, nor its options: a rule that depends on options
/// or ancillary data does not grant it.
///
/// # How a guest waits
///
/// [`WaitMode`](crate::WaitMode) is a choice of the builder.
///
/// | | [`Ready`](crate::WaitMode::Ready), the default | [`Park`](crate::WaitMode::Park) |
/// |---|---|---|
/// | a call that would block | suspends the guest in tokio | blocks the thread in ppoll(2) |
/// | guests on one thread | many | one |
/// | needs | a tokio runtime with I/O and time | the thread of `block_on` for itself, and a multi-thread runtime (one worker is enough) for WASI's own tasks |
///
/// On a current-thread runtime *park* would starve wasmtime-wasi's standard streams and timers;
/// [`build`](crate::SocketsCtxBuilder::build) refuses it there.
///
/// # Speed
///
/// `wasmtime::Config::concurrency_support(false)` saves some 80 ns a call where no guest uses
/// component-model-async. Compiling a guest costs more than most guests run: enable wasmtime's cache, or
/// keep the `Component`.
pub mod run_a_guest {}

#[doc = include_str!("../../docs/policy.md")]
///
/// # In Rust
///
/// A policy may be made in Rust instead. It is checked like a file, and means the same:
///
/// ```
/// use sockgate::policy::{Count, Limits, Policy, Question, Rule, Source};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let built = Policy::builder()
///     .limits(Limits::none().with(Count::Sockets, 64))
///     .allow(Rule::new("db").tcp().connect("10.0.0.0/8:5432")?)
///     .deny(Rule::new("no-metadata").class(&["metadata"]))
///     .build()?;
///
/// let text = r#"
///     version = 1
///     [[allow]]
///     id = "files"
///     family = ["unix"]
///     ops = ["connect"]
///     path = ["/run/app/*.sock"]
/// "#;
/// let loaded = Policy::from_toml(&Source::new("files.toml", text))?;
/// let line = Policy::allow_line("udp bind,receive,reply 127.0.0.1:5353")?;
/// let policy = built.merge(loaded)?.merge(line)?;
///
/// assert!(policy.explain(&Question::parse("tcp connect 10.1.2.3:5432")?).granted());
/// assert!(!policy.explain(&Question::parse("tcp connect 10.1.2.3:22")?).granted());
/// # Ok(())
/// # }
/// ```
pub mod write_a_policy {}

/// # Several guests on one thread
///
/// With [`WaitMode::Ready`](crate::WaitMode::Ready) a guest that waits is a suspended future. Any number
/// share a thread: give each a store with a [`SocketsCtx`](crate::SocketsCtx) of its own and drive them
/// together.
///
/// ```no_run
/// use sockgate::SocketsCtx;
/// use sockgate::policy::Policy;
///
/// # async fn run(sockets: SocketsCtx) -> wasmtime::Result<()> { Ok(()) }
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> wasmtime::Result<()> {
///     let mut guests = tokio::task::JoinSet::new();
///     for number in 1..=3 {
///         let policy = Policy::allow_line(&format!("tcp listen 127.0.0.1:{}", 7000 + number))?;
///         let sockets = SocketsCtx::builder(policy).name(format!("plugin-{number}")).build()?;
///         guests.spawn(run(sockets)); // makes its own store, as in `run_a_guest`
///     }
///     while let Some(ended) = guests.join_next().await {
///         ended??;
///     }
///     Ok(())
/// }
/// ```
///
/// A guest that computes does not yield by itself: let it, with wasmtime's
/// `Config::epoch_interruption` and `Store::epoch_deadline_async_yield_and_update`, or with fuel. A trap
/// ends one guest; its neighbours go on. `Engine`, `Linker` and `Component` can be shared by all.
pub mod several_guests {}

/// # Interrupt and stop a guest
///
/// [`SocketsCtx::cancel_handle`](crate::SocketsCtx::cancel_handle) gives a handle that works from any
/// thread, in every wait. Take it before the context goes into its store.
///
/// * [`interrupt`](crate::CancelHandle::interrupt): the call that waits now, or else the next one that
///   would wait, answers `intr`, and the guest goes on.
/// * [`stop`](crate::CancelHandle::stop): the call that waits now traps with [`Stopped`](crate::Stopped),
///   and so does every socket call after it. The instance cannot be entered again; its sockets close when
///   its store is dropped.
///
/// ```no_run
/// # use sockgate::{SocketsCtx, policy::Policy};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sockets = SocketsCtx::builder(Policy::deny_all()).build()?;
/// let cancel = sockets.cancel_handle();
/// std::thread::spawn(move || {
///     std::thread::sleep(std::time::Duration::from_secs(10));
///     cancel.stop();
/// });
/// # Ok(())
/// # }
/// ```
///
/// In *ready*, dropping the future of the guest's call ends it too. A loop that calls no socket is not a
/// wait: use wasmtime's epochs or fuel for it. A name that is being looked up is no longer waited for, but
/// the resolver's thread ends when the system's resolver does; at most 8 such threads exist for one guest
/// and 64 in the process, and a look-up beyond them answers `again`.
pub mod interrupt_and_stop {}

/// # Replace a policy while a guest runs
///
/// [`SocketsCtx::policy_handle`](crate::SocketsCtx::policy_handle) puts another policy in force, from any
/// thread:
///
/// ```
/// use sockgate::SocketsCtx;
/// use sockgate::policy::Policy;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let sockets = SocketsCtx::builder(Policy::allow_line("tcp connect 10.0.0.0/8:443")?).build()?;
/// let policy = sockets.policy_handle(); // before the context goes into its store
///
/// policy.replace(Policy::deny_all());
/// # Ok(())
/// # }
/// ```
///
/// Every verdict that was kept is asked for again before it is used, and the guest's waits wake up for
/// it. What happens to a connection that lost its grant is the new policy's `on-reload`. `close` (the
/// default) shuts it down: the operation that finds out answers `acces`, those after it `badf`. `keep` lets
/// it go on, and judges what is begun from then on. Names that no rule of the new policy resolves are
/// forgotten with what they stood for. Its limits hold at once, and what was used of them stays used.
pub mod replace_a_policy {}

/// # Read the audit log
///
/// Every operation is one [`Event`](crate::Event), given to every sink of the guest in order. Without a
/// sink no event is made. [`JsonLines`](crate::JsonLines) writes the audit log,
/// [`TextLines`](crate::TextLines) lines like strace's, [`TracingSink`](crate::TracingSink) speaks to the
/// program's `tracing` subscriber; a [`Sink`](crate::Sink) of your own is one function. It runs on the
/// guest's thread between its calls: hand the event on, and return.
///
/// ```
/// use std::sync::mpsc;
/// use sockgate::policy::Policy;
/// use sockgate::{Event, JsonLines, Sink, SocketsCtx, Verdict};
///
/// struct Denials(mpsc::Sender<Event>);
///
/// impl Sink for Denials {
///     fn record(&self, event: &Event) {
///         if event.verdict == Verdict::Deny {
///             // Nobody listens any more: there is nobody to tell.
///             let _ = self.0.send(event.clone());
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, denials) = mpsc::channel();
/// let log = std::io::sink(); // a file, opened to append
/// let sockets = SocketsCtx::builder(Policy::deny_all())
///     .name("plugin")
///     .audit(Denials(sender))
///     .audit(JsonLines::new(log))
///     .build()?;
/// # drop((sockets, denials));
/// # Ok(())
/// # }
/// ```
///
/// The fields of a line are those of [`Event`](crate::Event), and [the policy's
/// page](crate::guide::write_a_policy) describes them as the operator sees them. The guest sees
/// none of it: a refusal is `acces`, whatever its reason, unless the policy says `reveal = true`.
///
/// The log as a file of its own is [`AuditFile`](crate::AuditFile): it writes whole lines, can be
/// [rotated](crate::AuditFile::rotated), and can be [opened anew](crate::AuditFile::reopen) when another program
/// has moved it away.
///
/// ```
/// use sockgate::policy::Policy;
/// use sockgate::{AuditFile, Rotation, SocketsCtx};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir();
/// # let path = folder.join(format!("sockgate-guide-{}.jsonl", std::process::id()));
/// let log = AuditFile::open(&path)?.rotated(Rotation { size: 10 << 20, keep: 4 });
/// let sockets = SocketsCtx::builder(Policy::deny_all()).audit(log.clone()).build()?;
///
/// log.reopen()?; // after somebody moved the file away
/// # drop(sockets);
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
pub mod read_the_audit_log {}

/// # Count what guests do
///
/// [`Metrics`](crate::Metrics) counts operations by verdict and rule, bytes and messages, open sockets, limits
/// that were reached, waits and reloads. Give it to the contexts of as many guests as you like, and read it at any
/// time: as numbers, or as the text that Prometheus reads. Guests of one name are counted together.
///
/// ```
/// use sockgate::policy::Policy;
/// use sockgate::{Metrics, SocketsCtx};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = Metrics::new();
/// let sockets = SocketsCtx::builder(Policy::deny_all()).name("plugin").metrics(&metrics).build()?;
///
/// for guest in metrics.guests() {
///     println!("{} has {} sockets open", guest.guest, guest.sockets);
/// }
/// let scraped: String = metrics.to_string(); // what your own /metrics answers
/// # drop((sockets, scraped));
/// # Ok(())
/// # }
/// ```
///
/// A guest that is counted and has no sink costs a look-up and an addition for each operation, and no text; one that
/// is not counted costs nothing.
pub mod count_what_guests_do {}

/// # Learn a policy
///
/// Under a policy in [`Mode::Learn`](crate::policy::Mode::Learn) a guest may do whatever no deny rule forbids, and what
/// it did without a grant is kept. [`SocketsCtx::learner`](crate::SocketsCtx::learner) gives a handle that outlives the
/// guest and writes it as a policy file, which grants that and nothing else.
///
/// ```
/// use sockgate::SocketsCtx;
/// use sockgate::policy::{Generalise, Mode, Policy};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = Policy::deny_all().with_mode(Mode::Learn);
/// let sockets = SocketsCtx::builder(policy).name("plugin").build()?;
/// let learner = sockets.learner(); // before the context goes into its store
///
/// // ... run the guest ...
///
/// let text = learner.policy("plugin", &Generalise::default());
/// # assert!(text.contains("version = 1"));
/// # Ok(())
/// # }
/// ```
pub mod learn_a_policy {}

/// # Hand a guest a ready socket
///
/// [`grant_socket`](crate::SocketsCtxBuilder::grant_socket) gives a guest a socket that you made: a
/// listener on a port that you alone may bind, one end of a pair, a connection that you authenticated. The
/// guest takes it by name (`sockgate_guest::Socket::granted`), once.
///
/// ```
/// use std::net::TcpListener;
/// use sockgate::SocketsCtx;
/// use sockgate::policy::Policy;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let sockets = SocketsCtx::builder(Policy::deny_all()).grant_socket("web", listener).build()?;
/// # drop(sockets);
/// # Ok(())
/// # }
/// ```
///
/// It carries accept, send, receive, shutdown and answers to those who wrote, without a rule. Deny rules
/// and limits hold for it. The socket keeps its own O_NONBLOCK, which its other owners share.
/// [`inherited_sockets`](crate::inherited_sockets) reads those of socket activation (LISTEN_FDS).
pub mod grant_a_socket {}

/// # What a guest can cost its host
///
/// Sizes that a guest names are clamped before anything is allocated for them, and what a guest does
/// may end in an error or in a trap of that guest, never in a panic.
///
/// * **Descriptors**: `limits.sockets` of the policy (default 256) bounds sockets and pollers; beyond
///   it, `mfile`. Besides them a guest costs one eventfd, one descriptor for each `root` of its policy that it
///   used, and what is on its way in a message. RLIMIT_NOFILE of the process has to hold all
///   guests'; [`raise_descriptor_limit`](crate::raise_descriptor_limit) raises it as far as it goes.
/// * **Memory**: `limits.buffer-bytes` (default 16 MiB) bounds what the host holds for the guest at one
///   time; beyond it, `nobufs`. A receive gives at most 1 MiB of a stream at a time (with `wait-all`, up to
///   16 MiB), a message at most 16 MiB, a batch at most 1024 messages. wasmtime itself lets no call carry
///   more than 128 MiB.
/// * **Kernel memory**: so.rcvbuf and so.sndbuf are options, and settable only where a rule lists them.
/// * **Threads**: one for each look-up under way, at most 8 for one guest and 64 in the process.
/// * **Time and the guest's own memory** are wasmtime's: epochs or fuel, and `Store::limiter`.
/// * **Resources**: handles live in the store's `ResourceTable`; they, and the sockets behind them, go with
///   the store.
///
/// Rates (bytes a second) are not yet limited by this version.
pub mod limits {}
