//! The cold calls on sockets, as generated.

use wasmtime::component::Resource;

use super::bindings::sockgate::sockets::addresses::SocketAddress;
use super::bindings::sockgate::sockets::socket as wit;
use super::bindings::sockgate::sockets::types as kinds;
use super::convert::{
    address_from_wit, address_to_wit, family_to_wit, kind_from_wit, protocol_to_wit,
    socket_type_to_wit, timeout_from_wit, timeout_to_wit,
};
use super::{Refusal, SocketsCtxView};
use crate::socket::{Errno, How, Opaque, Queue, Socket};

type Handle = Resource<Socket>;

impl SocketsCtxView<'_> {
    pub(super) fn socket(&mut self, handle: &Handle) -> Result<&mut Socket, Refusal> {
        Ok(self.table.get_mut(handle)?)
    }

    fn push(&mut self, socket: Socket) -> Result<Handle, Refusal> {
        Ok(self.table.push(socket)?)
    }
}

impl wit::Host for SocketsCtxView<'_> {
    async fn splice(&mut self, from: Handle, to: Handle, max: u64) -> Result<u64, Refusal> {
        let (from, to) = (self.table.get(&from)?, self.table.get(&to)?);
        Ok(from.splice(to, max).await?)
    }

    async fn default_timeout(&mut self) -> wasmtime::Result<kinds::Timeout> {
        Ok(timeout_to_wit(self.ctx.guest().default_timeout()))
    }

    async fn set_default_timeout(&mut self, timeout: kinds::Timeout) -> wasmtime::Result<()> {
        self.ctx
            .guest()
            .set_default_timeout(timeout_from_wit(timeout));
        Ok(())
    }

    async fn last_denial(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.ctx.guest().last_denial())
    }
}

impl wit::HostDescriptor for SocketsCtxView<'_> {
    async fn drop(&mut self, descriptor: Resource<Opaque>) -> wasmtime::Result<()> {
        self.table.delete(descriptor)?;
        Ok(())
    }
}

impl wit::HostSocket for SocketsCtxView<'_> {
    async fn create(
        &mut self,
        family: kinds::Family,
        socket_type: kinds::SocketType,
        protocol: kinds::Protocol,
    ) -> Result<Handle, Refusal> {
        let socket = Socket::create(
            self.ctx.guest(),
            kind_from_wit(family, socket_type, protocol),
        )?;
        self.push(socket)
    }

    async fn pair(
        &mut self,
        family: kinds::Family,
        socket_type: kinds::SocketType,
        protocol: kinds::Protocol,
    ) -> Result<(Handle, Handle), Refusal> {
        let (one, other) = Socket::pair(
            self.ctx.guest(),
            kind_from_wit(family, socket_type, protocol),
        )?;
        Ok((self.push(one)?, self.push(other)?))
    }

    async fn granted(&mut self, name: String) -> Result<Handle, Refusal> {
        let socket = Socket::granted(self.ctx.guest(), &name)?;
        self.push(socket)
    }

    async fn close(&mut self, socket: Handle) -> Result<(), Refusal> {
        Ok(self.socket(&socket)?.close()?)
    }

    async fn detach(&mut self, socket: Handle) -> Result<Resource<Opaque>, Refusal> {
        let detached = self.socket(&socket)?.detach()?;
        Ok(self.table.push(detached)?)
    }

    async fn dup(&mut self, socket: Handle) -> Result<Handle, Refusal> {
        let duplicate = self.socket(&socket)?.dup()?;
        self.push(duplicate)
    }

    async fn family(&mut self, socket: Handle) -> Result<kinds::Family, Refusal> {
        Ok(family_to_wit(self.socket(&socket)?.kind()?.family))
    }

    async fn socket_type(&mut self, socket: Handle) -> Result<kinds::SocketType, Refusal> {
        Ok(socket_type_to_wit(
            self.socket(&socket)?.kind()?.socket_type,
        ))
    }

    async fn protocol(&mut self, socket: Handle) -> Result<kinds::Protocol, Refusal> {
        Ok(protocol_to_wit(self.socket(&socket)?.kind()?))
    }

    async fn timeout(&mut self, socket: Handle) -> wasmtime::Result<kinds::Timeout> {
        Ok(timeout_to_wit(self.table.get(&socket)?.timeout()))
    }

    async fn set_timeout(
        &mut self,
        socket: Handle,
        timeout: kinds::Timeout,
    ) -> wasmtime::Result<()> {
        self.table
            .get_mut(&socket)?
            .set_timeout(timeout_from_wit(timeout));
        Ok(())
    }

    async fn bind(&mut self, socket: Handle, address: SocketAddress) -> Result<(), Refusal> {
        let inner = self.socket(&socket)?.inner()?.clone();
        inner.check_nameable()?;
        // bind(AF_UNSPEC) is INADDR_ANY to some kernels, bind(2): here it is nothing.
        let address = address_from_wit(address)?.ok_or(Errno::AFNOSUPPORT)?;
        Ok(inner.bind(&address)?)
    }

    async fn listen(&mut self, socket: Handle, backlog: u32) -> Result<(), Refusal> {
        Ok(self.socket(&socket)?.inner()?.listen(backlog)?)
    }

    async fn accept(&mut self, socket: Handle) -> Result<(Handle, SocketAddress), Refusal> {
        let (accepted, peer) = self.table.get(&socket)?.accept().await?;
        Ok((self.push(accepted)?, address_to_wit(&peer)))
    }

    async fn connect(&mut self, socket: Handle, address: SocketAddress) -> Result<(), Refusal> {
        let socket = self.table.get(&socket)?;
        match address_from_wit(address)? {
            Some(peer) => Ok(socket.connect(&peer).await?),
            None => Ok(socket.disconnect()?),
        }
    }

    async fn shutdown(&mut self, socket: Handle, how: kinds::ShutdownHow) -> Result<(), Refusal> {
        let how = match how {
            kinds::ShutdownHow::Read => How::Read,
            kinds::ShutdownHow::Write => How::Write,
            kinds::ShutdownHow::Both => How::Both,
        };
        Ok(self.socket(&socket)?.inner()?.shutdown(how)?)
    }

    async fn local_address(&mut self, socket: Handle) -> Result<SocketAddress, Refusal> {
        Ok(address_to_wit(
            &self.socket(&socket)?.inner()?.local_address()?,
        ))
    }

    async fn peer_address(&mut self, socket: Handle) -> Result<SocketAddress, Refusal> {
        Ok(address_to_wit(
            &self.socket(&socket)?.inner()?.peer_address()?,
        ))
    }

    async fn at_mark(&mut self, socket: Handle) -> Result<bool, Refusal> {
        Ok(self.socket(&socket)?.inner()?.at_mark()?)
    }

    async fn ioctl(&mut self, socket: Handle, request: wit::IoctlRequest) -> Result<u64, Refusal> {
        let inner = self.socket(&socket)?.inner()?;
        Ok(match request {
            wit::IoctlRequest::BytesReadable => inner.queued(Queue::Readable)?,
            wit::IoctlRequest::BytesUnsent => inner.queued(Queue::Unsent)?,
            wit::IoctlRequest::VmSocketsGetLocalCid => inner.local_cid()?,
        })
    }

    async fn interrupt(&mut self, socket: Handle) -> wasmtime::Result<()> {
        self.table.get(&socket)?.interrupt();
        Ok(())
    }

    async fn drop(&mut self, socket: Handle) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }

    // The data calls are shadowed by `hot`, which is always added with these.

    async fn send(
        &mut self,
        _: Handle,
        _: Vec<u8>,
        _: kinds::MessageFlags,
    ) -> Result<u64, Refusal> {
        shadowed()
    }

    async fn send_to(
        &mut self,
        _: Handle,
        _: Vec<u8>,
        _: kinds::MessageFlags,
        _: SocketAddress,
    ) -> Result<u64, Refusal> {
        shadowed()
    }

    async fn send_msg(
        &mut self,
        _: Handle,
        _: Vec<Vec<u8>>,
        _: Vec<wit::AncillaryOut>,
        _: kinds::MessageFlags,
        _: Option<SocketAddress>,
    ) -> Result<u64, Refusal> {
        shadowed()
    }

    async fn send_many(
        &mut self,
        _: Handle,
        _: Vec<u8>,
        _: Vec<wit::Outgoing>,
        _: Vec<SocketAddress>,
        _: kinds::MessageFlags,
    ) -> Result<wit::BatchSent, Refusal> {
        shadowed()
    }

    async fn recv(
        &mut self,
        _: Handle,
        _: u64,
        _: kinds::MessageFlags,
    ) -> Result<Vec<u8>, Refusal> {
        shadowed()
    }

    async fn recv_from(
        &mut self,
        _: Handle,
        _: u64,
        _: kinds::MessageFlags,
    ) -> Result<(Vec<u8>, Option<SocketAddress>), Refusal> {
        shadowed()
    }

    async fn recv_msg(
        &mut self,
        _: Handle,
        _: u64,
        _: u32,
        _: kinds::MessageFlags,
    ) -> Result<wit::Message, Refusal> {
        shadowed()
    }

    async fn recv_many(
        &mut self,
        _: Handle,
        _: u32,
        _: u64,
        _: u32,
        _: kinds::MessageFlags,
    ) -> Result<wit::Batch, Refusal> {
        shadowed()
    }
}

/// A generated data call was reached: the linker was filled by hand and not by `add_to_linker_async`.
fn shadowed<T>() -> Result<T, Refusal> {
    Err(Refusal::Trap(wasmtime::Error::msg(
        "the data calls of sockgate:sockets/socket come from sockgate::add_to_linker_async",
    )))
}
