//! sockgate
mod audit;
mod bridge;
mod socket;
pub use audit::{Event, JsonLines, Sink, TextLines, TracingSink, Verdict};
pub use bridge::wasi::add_wasi_name_lookup;
pub use bridge::{
    BuildError, PolicyHandle, Sockets, SocketsCtx, SocketsCtxBuilder, SocketsCtxView, SocketsView,
    Stopped, add_to_linker_async,
};
pub use socket::{
    CancelHandle, Errno, InheritedSocket, Timeout, WaitMode, inherited_sockets,
    raise_descriptor_limit,
};
pub use sockgate_policy as policy;
