//! Pollables of wasi:io over sockets.

use std::sync::Weak;

use wasmtime::component::Resource;
use wasmtime_wasi::p2::{DynPollable, Pollable};

use super::bindings::sockgate::sockets::readiness::Interest;
use super::bindings::sockgate::sockets::subscribe as wit;
use super::convert::interest_from_wit;
use super::{Refusal, SocketsCtxView};
use crate::socket::{Inner, PollablePlace, Readiness, Socket};

/// A socket and what to wait for on it. An entry of its own in the table: a child of the socket's entry
/// would make the guest's order of dropping matter.
struct Subscription {
    socket: Weak<Inner>,
    interest: Readiness,
    _place: PollablePlace,
}

#[wasmtime_wasi::async_trait]
impl Pollable for Subscription {
    /// Ready for good once the socket is gone or the guest was stopped: its next call tells.
    async fn ready(&mut self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.until_ready(self.interest).await;
        }
    }
}

impl wit::Host for SocketsCtxView<'_> {
    async fn subscribe(
        &mut self,
        socket: Resource<Socket>,
        interest: Interest,
    ) -> Result<Resource<DynPollable>, Refusal> {
        let socket = std::sync::Arc::downgrade(self.table.get(&socket)?.inner()?);
        let place = self.ctx.guest().pollable()?;
        let subscription = self.table.push(Subscription {
            socket,
            interest: interest_from_wit(interest),
            _place: place,
        })?;
        wasmtime_wasi::p2::subscribe(self.table, subscription).map_err(Refusal::Trap)
    }
}
