//! Sockets for WebAssembly components: every kind that the kernel has, and nothing that a policy does not
//! name.
//!
//! This crate is the host side, for programs that embed [wasmtime]. It gives guests the WIT package
//! `sockgate:sockets`, real sockets of the operating system behind a policy that denies by default, and
//! puts `wasi:sockets` under the same policy. Guests are written with the crate `sockgate-guest`, with
//! bindings of any other language, or with plain `std::net`.
//!
//! ```no_run
//! use sockgate::policy::{Policy, Rule};
//! use sockgate::{SocketsCtx, SocketsCtxView, SocketsView, TracingSink};
//! use wasmtime::component::{Component, Linker, ResourceTable};
//! use wasmtime::{Engine, Result, Store};
//! use wasmtime_wasi::p2::bindings::Command;
//! use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
//!
//! struct Guest { table: ResourceTable, wasi: WasiCtx, sockets: SocketsCtx }
//!
//! impl WasiView for Guest {
//!     fn ctx(&mut self) -> WasiCtxView<'_> {
//!         WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
//!     }
//! }
//!
//! impl SocketsView for Guest {
//!     fn sockets(&mut self) -> SocketsCtxView<'_> {
//!         SocketsCtxView { ctx: &mut self.sockets, table: &mut self.table }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<()> {
//!     let policy = Policy::builder()
//!         .allow(Rule::new("web").tcp().listen("127.0.0.1:8080")?)
//!         .build()?;
//!     let sockets = SocketsCtx::builder(policy).name("echo").audit(TracingSink).build()?;
//!
//!     let mut wasi = WasiCtxBuilder::new();
//!     sockets.govern_wasi_sockets(wasi.inherit_stdio());
//!     let guest = Guest { table: ResourceTable::new(), wasi: wasi.build(), sockets };
//!
//!     let engine = Engine::default();
//!     let mut linker: Linker<Guest> = Linker::new(&engine);
//!     wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
//!     sockgate::add_to_linker_async(&mut linker)?;
//!     sockgate::add_wasi_name_lookup(&mut linker)?;
//!
//!     let component = Component::from_file(&engine, "echo.wasm")?;
//!     let mut store = Store::new(&engine, guest);
//!     let command = Command::instantiate_async(&mut store, &component, &linker).await?;
//!     let ended = command.wasi_cli_run().call_run(&mut store).await?;
//!     println!("{}", if ended.is_ok() { "done" } else { "failed" });
//!     Ok(())
//! }
//! ```
//!
//! # By task
//!
//! * [Run a guest](guide::run_a_guest)
//! * [Write a policy](guide::write_a_policy)
//! * [Several guests on one thread](guide::several_guests)
//! * [Interrupt and stop a guest](guide::interrupt_and_stop)
//! * [Replace a policy while a guest runs](guide::replace_a_policy)
//! * [Read the audit log](guide::read_the_audit_log)
//! * [Count what guests do](guide::count_what_guests_do)
//! * [Learn a policy](guide::learn_a_policy)
//! * [Hand a guest a ready socket](guide::grant_a_socket)
//! * [What a guest can cost its host](guide::limits)
//! * [Which sockets this kernel has](probe)
//! * [Give up what no policy needs](Confinement)
//!
//! # The path of a call
//!
//! A call goes one way, and the modules of this crate stand in that order:
//!
//! 1. `bridge`: WIT on one side. Cold calls are generated; send, receive and their kin are wrapped by
//!    hand and borrow the guest's memory.
//! 2. `socket`: gathers the facts of the socket (kind, addresses in canonical form, options that were set),
//!    asks the [policy], and tells the [operator](Sink) of a refusal. What it gets back is a
//!    [`Permit`](policy::Permit): only the policy's crate can make one, and every operation demands its own.
//!    An operation is an *attempt* (one system call that does not block) and, where the kernel would
//!    block, a *wait*; then the policy is asked again.
//! 3. `socket::sys`: the system calls. Private to `socket`, and the only place with `unsafe`.
//! 4. `audit`: one [`Event`] for each operation, to any number of sinks.
//!
//! Around all of it may stand a second wall, [`Confinement`]: what no rule can need is taken from the process.
//!
//! # What there is
//!
//! IPv4, IPv6 and Unix sockets (stream, datagram, seqpacket) on Linux. Other families are described in the
//! WIT package and answer `afnosupport` in this version; the README has the table.
// Nothing that a guest does may end the process.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]
#![warn(missing_docs)]

mod bridge;

mod socket;

mod audit;

mod confine;

pub mod guide;

mod policy_file;

pub use audit::{
    AuditFile, Event, GuestMetrics, JsonLines, Metrics, OperationMetrics, Rotation, Sink,
    TextLines, TracingSink, Verdict,
};
pub use bridge::wasi::add_wasi_name_lookup;
pub use bridge::{
    BuildError, PolicyHandle, Sockets, SocketsCtx, SocketsCtxBuilder, SocketsCtxView, SocketsView,
    Stopped, add_to_linker_async,
};
pub use confine::{ConfineError, Confinement, Gap, User, UserError, first_free_port};
pub use policy_file::{ReadPolicyError, policy_files, read_policy};
pub use socket::{
    CancelHandle, Errno, InheritedSocket, Probe, ProbeError, ProbeStatus, Timeout, WaitMode,
    inherited_sockets, probe, probe_families, raise_descriptor_limit,
};
pub use sockgate_policy as policy;
