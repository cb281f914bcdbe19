//! The WIT package on one side, sockets on the other.
//!
//! `bindgen!` generates the types and the cold calls; the [hot](hot) ones (send, recv and their kin) are
//! wrapped by hand over it, since generated parameters are always owned copies of guest memory.

mod bindings;
mod convert;
mod ctx;
mod files;
mod hot;
mod names;
mod options;
mod readiness;
mod socket;
mod subscribe;
pub(crate) mod wasi;

use std::fmt;

use wasmtime::component::{HasData, Linker, ResourceTable, ResourceTableError};

use crate::socket::{Eai, Errno, Failure, LookupError};
use bindings::sockgate::sockets as wit;

pub use ctx::{BuildError, PolicyHandle, SocketsCtx, SocketsCtxBuilder};

/// A store's sockets: their context, and the table that holds their handles.
pub struct SocketsCtxView<'a> {
    /// The guest's context.
    pub ctx: &'a mut SocketsCtx,
    /// The store's table of resources.
    pub table: &'a mut ResourceTable,
}

/// A store's data that has sockets in it.
pub trait SocketsView: Send {
    /// The sockets of this store.
    fn sockets(&mut self) -> SocketsCtxView<'_>;
}

/// The sockets of a store, for wasmtime's [`HasData`].
pub struct Sockets;

impl HasData for Sockets {
    type Data<'a> = SocketsCtxView<'a>;
}

/// Adds every interface of `sockgate:sockets` to a linker.
///
/// `subscribe` and `files` speak of `wasi:io` and `wasi:filesystem`, whose own functions wasmtime-wasi's
/// `add_to_linker_async` adds. Shadowing is allowed on the linker afterwards, as it was before.
///
/// # Errors
/// When the linker has these interfaces already and does not allow shadowing.
pub fn add_to_linker_async<T: SocketsView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    wit::socket::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    wit::options::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    wit::readiness::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    wit::names::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    wit::subscribe::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    wit::files::add_to_linker::<T, Sockets>(linker, T::sockets)?;
    linker.allow_shadowing(true);
    hot::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// What a call does not do: the guest's errno, or a trap of that guest.
pub enum Refusal {
    /// The guest gets this error.
    Errno(Errno),
    /// The guest traps: it was stopped, or it forged a handle.
    Trap(wasmtime::Error),
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Errno(errno) => errno.fmt(f),
            Refusal::Trap(error) => error.fmt(f),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Refusal {
        match failure {
            Failure::Errno(errno) => Refusal::Errno(errno),
            Failure::Stopped => Refusal::Trap(wasmtime::Error::new(Stopped)),
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal::Errno(errno)
    }
}

impl From<ResourceTableError> for Refusal {
    fn from(error: ResourceTableError) -> Refusal {
        match error {
            ResourceTableError::Full => Refusal::Errno(Errno::MFILE),
            forged => Refusal::Trap(forged.into()),
        }
    }
}

/// The trap of a guest that its embedder stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the guest was stopped by its embedder")]
pub struct Stopped;

/// The same for look-ups, which have errors of their own.
pub enum NameRefusal {
    /// The resolver's answer.
    Name(Eai),
    /// Anything else.
    Other(Refusal),
}

impl From<LookupError> for NameRefusal {
    fn from(error: LookupError) -> NameRefusal {
        match error {
            LookupError::Name(eai) => NameRefusal::Name(eai),
            LookupError::Failed(failure) => NameRefusal::Other(failure.into()),
        }
    }
}

impl From<Errno> for NameRefusal {
    fn from(errno: Errno) -> NameRefusal {
        NameRefusal::Other(errno.into())
    }
}

impl wit::errors::Host for SocketsCtxView<'_> {
    fn convert_errno(&mut self, refusal: Refusal) -> wasmtime::Result<wit::errors::Errno> {
        refusal.errno()
    }
}

impl Refusal {
    fn errno(self) -> wasmtime::Result<wit::errors::Errno> {
        match self {
            Refusal::Errno(errno) => Ok(convert::errno(errno)),
            Refusal::Trap(error) => Err(error),
        }
    }
}

impl wit::types::Host for SocketsCtxView<'_> {}
impl wit::addresses::Host for SocketsCtxView<'_> {}
impl wit::ancillary::Host for SocketsCtxView<'_> {}
