//! Files towards sockets.

use std::os::fd::AsFd;

use sockgate_policy::MessageFlags;
use wasmtime::component::Resource;
use wasmtime_wasi::OpenMode;
use wasmtime_wasi::filesystem::Descriptor;

use super::bindings::sockgate::sockets::files as wit;
use super::{Refusal, SocketsCtxView};
use crate::socket::{Errno, Socket};

impl wit::Host for SocketsCtxView<'_> {
    async fn send_file(
        &mut self,
        socket: Resource<Socket>,
        file: Resource<Descriptor>,
        offset: u64,
        count: u64,
    ) -> Result<u64, Refusal> {
        let (inner, deadline) = self.socket(&socket)?.sending(MessageFlags::empty())?;
        let Descriptor::File(file) = self.table.get(&file)? else {
            return Err(Errno::ISDIR.into());
        };
        if !file.open_mode.contains(OpenMode::READ) {
            return Err(Errno::BADF.into());
        }
        let file = file.file.clone();
        Ok(inner
            .send_file(file.as_fd(), offset, count, deadline)
            .await?)
    }
}
