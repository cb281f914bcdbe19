//! The data calls, wrapped by hand over the generated ones.
//!
//! `bindgen!` gives owned copies of guest memory. Here sends borrow it (`WasmList`), and receives hand out
//! the host's buffer (`Bytes`), which wasmtime copies into the guest once. A borrowed list is sliced anew
//! after every wait: the guest's memory may have moved.

use std::io::IoSlice;

use bytes::Bytes;
use sockgate_policy::{Address, MessageFlags};
use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Linker, Lower, Resource, ResourceTable, WasmList};

use super::bindings::sockgate::sockets::addresses::SocketAddress;
use super::bindings::sockgate::sockets::errors::Errno as WitErrno;
use super::bindings::sockgate::sockets::socket as wit;
use super::bindings::sockgate::sockets::types::MessageFlags as WitFlags;
use super::convert::{
    address_from_wit, address_to_wit, ancillary_from_wit, ancillary_to_wit, flags_from_wit,
    flags_to_wit,
};
use super::{Refusal, SocketsView, convert};
use crate::socket::{Attempt, BatchIn, BatchSent, Errno, MessageIn, OutgoingHead, Socket};

/// A gather list has at most so many pieces, sendmsg(2).
const PIECES: usize = 1024;
/// A batch has at most so many messages, sendmmsg(2).
const MESSAGES: usize = 1024;

/// `message` of the WIT package, with the host's own buffer.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Message {
    data: Bytes,
    #[component(name = "true-length")]
    true_length: u64,
    flags: WitFlags,
    source: Option<SocketAddress>,
    ancillary: Vec<wit::AncillaryIn>,
}

/// `batch` of the WIT package, with the host's own buffer.
#[derive(ComponentType, Lower)]
#[component(record)]
struct Batch {
    slab: Bytes,
    messages: Vec<wit::Incoming>,
    addresses: Vec<SocketAddress>,
    ancillary: Vec<wit::AncillaryIn>,
}

/// What a call lowers: its own value or the errno; a trap goes past it.
fn answer<T>(outcome: Result<T, Refusal>) -> wasmtime::Result<(Result<T, WitErrno>,)> {
    match outcome {
        Ok(value) => Ok((Ok(value),)),
        Err(Refusal::Errno(errno)) => Ok((Err(convert::errno(errno)),)),
        Err(Refusal::Trap(error)) => Err(error),
    }
}

/// A destination; AF_UNSPEC names nobody.
fn destination(address: SocketAddress) -> Result<Address, Errno> {
    address_from_wit(address)?.ok_or(Errno::AFNOSUPPORT)
}

pub(super) fn add_to_linker<T: SocketsView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    let mut instance = linker.instance("sockgate:sockets/socket@0.1.0")?;
    instance.func_wrap_async("[method]socket.send", |store, (socket, data, flags)| {
        Box::new(async move { answer(send(store, socket, data, flags).await) })
    })?;
    instance.func_wrap_async(
        "[method]socket.send-to",
        |store, (socket, data, flags, to)| {
            Box::new(async move { answer(send_to(store, socket, data, flags, to).await) })
        },
    )?;
    instance.func_wrap_async(
        "[method]socket.send-msg",
        |store, (socket, pieces, ancillary, flags, to)| {
            Box::new(
                async move { answer(send_msg(store, socket, pieces, ancillary, flags, to).await) },
            )
        },
    )?;
    instance.func_wrap_async(
        "[method]socket.send-many",
        |store, (socket, slab, messages, addresses, flags)| {
            Box::new(async move {
                answer(send_many(store, socket, slab, messages, addresses, flags).await)
            })
        },
    )?;
    instance.func_wrap_async("[method]socket.recv", |store, (socket, max, flags)| {
        Box::new(async move { answer(recv(store, socket, max, flags).await) })
    })?;
    instance.func_wrap_async("[method]socket.recv-from", |store, (socket, max, flags)| {
        Box::new(async move { answer(recv_from(store, socket, max, flags).await) })
    })?;
    instance.func_wrap_async(
        "[method]socket.recv-msg",
        |store, (socket, max, control, flags)| {
            Box::new(async move { answer(recv_msg(store, socket, max, control, flags).await) })
        },
    )?;
    instance.func_wrap_async(
        "[method]socket.recv-many",
        |store, (socket, count, max, control, flags)| {
            Box::new(
                async move { answer(recv_many(store, socket, count, max, control, flags).await) },
            )
        },
    )
}

fn socket_of<'a, T: SocketsView + 'static>(
    store: &'a mut StoreContextMut<'_, T>,
    socket: &Resource<Socket>,
) -> Result<&'a mut Socket, Refusal> {
    Ok(store.data_mut().sockets().table.get_mut(socket)?)
}

async fn send<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    data: WasmList<u8>,
    flags: WitFlags,
) -> Result<u64, Refusal> {
    let flags = flags_from_wit(flags)?;
    let (inner, deadline) = socket_of(&mut store, &socket)?.sending(flags)?;
    inner.take_turn().await;
    loop {
        match inner.attempt_send(data.as_le_slice(&store), flags)? {
            Attempt::Done(sent) => return Ok(sent),
            pending => inner.wait_to_send(pending.delayed(), deadline).await?,
        }
    }
}

async fn send_to<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    data: WasmList<u8>,
    flags: WitFlags,
    to: SocketAddress,
) -> Result<u64, Refusal> {
    let flags = flags_from_wit(flags)?;
    let (inner, deadline) = socket_of(&mut store, &socket)?.sending(flags)?;
    inner.take_turn().await;
    let to = destination(to)?;
    loop {
        match inner.attempt_send_to(data.as_le_slice(&store), flags, &to)? {
            Attempt::Done(sent) => return Ok(sent),
            pending => inner.wait_to_send(pending.delayed(), deadline).await?,
        }
    }
}

async fn send_msg<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    pieces: WasmList<WasmList<u8>>,
    ancillary: Vec<wit::AncillaryOut>,
    flags: WitFlags,
    to: Option<SocketAddress>,
) -> Result<u64, Refusal> {
    let flags = flags_from_wit(flags)?;
    let (inner, deadline) = socket_of(&mut store, &socket)?.sending(flags)?;
    inner.take_turn().await;
    if pieces.len() > PIECES {
        return Err(Errno::MSGSIZE.into());
    }
    let to = to.map(destination).transpose()?;
    let ancillary = {
        let view = store.data_mut().sockets();
        ancillary_from_wit(view.table, ancillary)?
    };
    let lists = pieces
        .iter(&mut store)
        .and_then(|lists| lists.collect::<wasmtime::Result<Vec<_>>>())
        .map_err(Refusal::Trap)?;
    loop {
        let attempt = {
            let pieces: Vec<IoSlice<'_>> = lists
                .iter()
                .map(|list| IoSlice::new(list.as_le_slice(&store)))
                .collect();
            inner.attempt_send_msg(&pieces, &ancillary, flags, to.as_ref())?
        };
        match attempt {
            Attempt::Done(sent) => return Ok(sent),
            pending => inner.wait_to_send(pending.delayed(), deadline).await?,
        }
    }
}

async fn send_many<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    slab: WasmList<u8>,
    messages: Vec<wit::Outgoing>,
    addresses: Vec<SocketAddress>,
    flags: WitFlags,
) -> Result<wit::BatchSent, Refusal> {
    let flags = flags_from_wit(flags)?;
    let (inner, deadline) = socket_of(&mut store, &socket)?.sending(flags)?;
    inner.take_turn().await;
    if messages.len() > MESSAGES || addresses.len() > MESSAGES {
        return Err(Errno::MSGSIZE.into());
    }
    let addresses = addresses
        .into_iter()
        .map(destination)
        .collect::<Result<Vec<_>, _>>()?;
    loop {
        let attempt = {
            let heads = cut(slab.as_le_slice(&store), &messages)?;
            inner.attempt_send_many(&heads, &addresses, flags)?
        };
        match attempt {
            Attempt::Done(BatchSent { count, error }) => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                return Ok(wit::BatchSent {
                    count,
                    error: error.map(convert::errno),
                });
            }
            pending => inner.wait_to_send(pending.delayed(), deadline).await?,
        }
    }
}

/// The messages of a slab; `inval` where their lengths are more than the slab.
fn cut<'a>(mut slab: &'a [u8], messages: &[wit::Outgoing]) -> Result<Vec<OutgoingHead<'a>>, Errno> {
    let mut heads = Vec::with_capacity(messages.len());
    for message in messages {
        let length = usize::try_from(message.length).map_err(|_| Errno::INVAL)?;
        let (data, rest) = slab.split_at_checked(length).ok_or(Errno::INVAL)?;
        slab = rest;
        let to = message
            .to
            .map(usize::try_from)
            .transpose()
            .map_err(|_| Errno::INVAL)?;
        heads.push(OutgoingHead { data, to });
    }
    Ok(heads)
}

async fn recv<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    max: u64,
    flags: WitFlags,
) -> Result<Bytes, Refusal> {
    let flags = flags_from_wit(flags)?;
    Ok(socket_of(&mut store, &socket)?.recv(max, flags).await?)
}

async fn recv_from<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    max: u64,
    flags: WitFlags,
) -> Result<(Bytes, Option<SocketAddress>), Refusal> {
    let flags = flags_from_wit(flags)?;
    let (data, source) = socket_of(&mut store, &socket)?
        .recv_from(max, flags)
        .await?;
    Ok((data, source.as_ref().map(address_to_wit)))
}

async fn recv_msg<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    max: u64,
    control: u32,
    flags: WitFlags,
) -> Result<Message, Refusal> {
    let flags: MessageFlags = flags_from_wit(flags)?;
    let message = socket_of(&mut store, &socket)?
        .recv_msg(max, control, flags)
        .await?;
    message_to_wit(store.data_mut().sockets().table, message)
}

fn message_to_wit(table: &mut ResourceTable, message: MessageIn) -> Result<Message, Refusal> {
    let MessageIn { data, letter } = message;
    Ok(Message {
        data,
        true_length: letter.true_length as u64,
        flags: flags_to_wit(letter.flags),
        source: letter.source.as_ref().map(address_to_wit),
        ancillary: ancillary_to_wit(table, letter.ancillary)?,
    })
}

async fn recv_many<T: SocketsView + 'static>(
    mut store: StoreContextMut<'_, T>,
    socket: Resource<Socket>,
    count: u32,
    max: u64,
    control: u32,
    flags: WitFlags,
) -> Result<Batch, Refusal> {
    let flags = flags_from_wit(flags)?;
    let batch = socket_of(&mut store, &socket)?
        .recv_many(count, max, control, flags)
        .await?;
    batch_to_wit(store.data_mut().sockets().table, batch)
}

fn batch_to_wit(table: &mut ResourceTable, batch: BatchIn) -> Result<Batch, Refusal> {
    let length = |length| u32::try_from(length).unwrap_or(u32::MAX);
    let messages = batch.messages.iter().map(|head| wit::Incoming {
        length: length(head.length),
        true_length: length(head.true_length),
        flags: flags_to_wit(head.flags),
        source: head.source,
        ancillary: head.ancillary,
    });
    Ok(Batch {
        messages: messages.collect(),
        slab: batch.slab,
        addresses: batch.addresses.iter().map(address_to_wit).collect(),
        ancillary: ancillary_to_wit(table, batch.ancillary)?,
    })
}
