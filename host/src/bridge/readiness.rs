//! poll and pollers.

use wasmtime::component::Resource;

use super::bindings::sockgate::sockets::readiness as wit;
use super::bindings::sockgate::sockets::types::Timeout;
use super::convert::{interest_from_wit, readiness_to_wit, timeout_from_wit};
use super::{Refusal, SocketsCtxView};
use crate::socket::{Errno, POLL_LIMIT, Poller, Socket, Watched, poll};

impl wit::Host for SocketsCtxView<'_> {
    async fn poll(
        &mut self,
        sockets: Vec<(Resource<Socket>, wit::Interest)>,
        timeout: Timeout,
    ) -> Result<Vec<(u32, wit::Events)>, Refusal> {
        if sockets.len() > POLL_LIMIT {
            return Err(Errno::INVAL.into());
        }
        let mut watched = Vec::with_capacity(sockets.len());
        for (socket, interest) in &sockets {
            let inner = self.table.get(socket)?.inner()?.clone();
            watched.push(Watched {
                inner,
                interest: interest_from_wit(*interest),
            });
        }
        let ready = poll(self.ctx.guest(), &watched, timeout_from_wit(timeout)).await?;
        let place = |place| u32::try_from(place).unwrap_or(u32::MAX);
        Ok(ready
            .into_iter()
            .map(|(at, found)| (place(at), readiness_to_wit(found)))
            .collect())
    }
}

impl wit::HostPoller for SocketsCtxView<'_> {
    async fn create(&mut self) -> Result<Resource<Poller>, Refusal> {
        let poller = Poller::create(self.ctx.guest())?;
        Ok(self.table.push(poller)?)
    }

    async fn add(
        &mut self,
        poller: Resource<Poller>,
        socket: Resource<Socket>,
        token: u64,
        interest: wit::Interest,
    ) -> Result<(), Refusal> {
        let inner = self.table.get(&socket)?.inner()?;
        Ok(self
            .table
            .get(&poller)?
            .add(inner, token, interest_from_wit(interest))?)
    }

    async fn modify(
        &mut self,
        poller: Resource<Poller>,
        socket: Resource<Socket>,
        token: u64,
        interest: wit::Interest,
    ) -> Result<(), Refusal> {
        let inner = self.table.get(&socket)?.inner()?;
        Ok(self
            .table
            .get(&poller)?
            .modify(inner, token, interest_from_wit(interest))?)
    }

    async fn remove(
        &mut self,
        poller: Resource<Poller>,
        socket: Resource<Socket>,
    ) -> Result<(), Refusal> {
        let inner = self.table.get(&socket)?.inner()?;
        Ok(self.table.get(&poller)?.remove(inner)?)
    }

    async fn wait(
        &mut self,
        poller: Resource<Poller>,
        max: u32,
        timeout: Timeout,
    ) -> Result<Vec<(u64, wit::Events)>, Refusal> {
        let ready = self
            .table
            .get_mut(&poller)?
            .wait(max, timeout_from_wit(timeout))
            .await?;
        Ok(ready
            .into_iter()
            .map(|(token, found)| (token, readiness_to_wit(found)))
            .collect())
    }

    async fn drop(&mut self, poller: Resource<Poller>) -> wasmtime::Result<()> {
        self.table.delete(poller)?;
        Ok(())
    }
}
