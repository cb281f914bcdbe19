//! sockgate
mod audit;
mod bridge;
mod socket;
pub use bridge::wasi::add_wasi_name_lookup;
pub use bridge::{add_to_linker_async, BuildError, PolicyHandle, Sockets, SocketsCtx, SocketsCtxBuilder, SocketsCtxView, SocketsView, Stopped};
pub use audit::{Event, JsonLines, Sink, TextLines, TracingSink, Verdict};
pub use socket::{CancelHandle, Errno, Timeout, WaitMode};
pub use sockgate_policy as policy;
