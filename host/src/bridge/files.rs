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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use sockgate_policy::SocketType;
    use sockgate_policy::{Family, Kind, Policy, Source};
    use wasmtime::component::ResourceTable;
    use wasmtime_wasi::FsPerms;
    use wasmtime_wasi::filesystem::File as GuestFile;

    use super::wit::Host;
    use super::*;
    use crate::bridge::SocketsCtx;

    /// What a guest cannot read it cannot send either, whatever the host's own descriptor could.
    #[tokio::test]
    async fn a_file_that_was_not_opened_to_be_read_is_not_sent() {
        let rule =
            "version = 1\n[[allow]]\nid = \"pair\"\nfamily = [\"unix\"]\nops = [\"socketpair\"]";
        let policy = Policy::from_toml(&Source::new("pair.toml", rule)).unwrap();
        let mut ctx = SocketsCtx::builder(policy).build().unwrap();
        let mut table = ResourceTable::new();
        let kind = Kind::new(Family::Unix, SocketType::Stream);
        let (near, _far) = Socket::pair(ctx.guest(), kind).unwrap();
        let near = table.push(near).unwrap();
        let executable = std::env::current_exe().unwrap();
        for (mode, sent) in [(OpenMode::WRITE, None), (OpenMode::READ, Some(4))] {
            let file = File::open(&executable).unwrap();
            let file = GuestFile::new(file, FsPerms::ReadWrite, mode, false);
            let file = table.push(Descriptor::File(file)).unwrap();
            let mut view = SocketsCtxView {
                ctx: &mut ctx,
                table: &mut table,
            };
            let near = Resource::new_borrow(near.rep());
            match (view.send_file(near, file, 1, 4).await, sent) {
                (Ok(count), Some(sent)) => assert_eq!(count, sent),
                (Err(Refusal::Errno(errno)), None) => assert_eq!(errno, Errno::BADF),
                (outcome, _) => panic!("{outcome:?}"),
            }
        }
    }
}
