//! Calls the host with a handle that nobody gave it: `embed_forger KIND`. Compiled bindings cannot do that,
//! so the imports are declared by hand as the canonical ABI has them.
#![allow(unsafe_code)]

use std::env;
use std::io;

use sockgate_guest::{Family, Poller, Protocol, Socket, SocketType};

#[link(wasm_import_module = "sockgate:sockets/socket@0.1.0")]
unsafe extern "C" {
    #[link_name = "[method]socket.close"]
    fn close(socket: u32, answer: *mut u8);
    #[link_name = "[resource-drop]socket"]
    fn drop_socket(socket: u32);
}

#[link(wasm_import_module = "sockgate:sockets/readiness@0.1.0")]
unsafe extern "C" {
    #[link_name = "[static]poller.create"]
    fn create_poller(answer: *mut u8);
}

fn main() -> io::Result<()> {
    // The bindings' imports of the same names, so that the component has them.
    let kept = Socket::new(Family::Inet, SocketType::Stream, Protocol::Default)?;
    drop(Poller::new()?);
    kept.close()?;
    let kind = env::args().nth(1).unwrap_or_default();
    println!("forging");
    let mut answer = [0; 16];
    match kind.as_str() {
        // SAFETY: `answer` is larger than a result<_, errno>.
        "unknown" => unsafe { close(0x00ab_cdef, answer.as_mut_ptr()) },
        // SAFETY: none needed: the host has to refuse it.
        "drop" => unsafe { drop_socket(0x00ab_cdef) },
        "another-kind" => {
            // SAFETY: `answer` is larger than a result<poller, errno>, whose handle is at offset 4.
            unsafe { create_poller(answer.as_mut_ptr()) };
            let poller = u32::from_le_bytes([answer[4], answer[5], answer[6], answer[7]]);
            // SAFETY: as above.
            unsafe { close(poller, answer.as_mut_ptr()) };
        }
        _ => return Err(io::Error::other("give unknown, drop or another-kind")),
    }
    println!("the host took it");
    Ok(())
}
