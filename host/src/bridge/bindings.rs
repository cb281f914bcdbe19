//! The WIT package as Rust types and traits, generated.
#![allow(
    missing_docs,
    reason = "generated; the WIT package documents every item"
)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "sockgate:sockets/guest",
    imports: { default: async | trappable },
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:filesystem": wasmtime_wasi::p2::bindings::filesystem,
        "sockgate:sockets/socket.socket": crate::socket::Socket,
        "sockgate:sockets/socket.descriptor": crate::socket::Opaque,
        "sockgate:sockets/readiness.poller": crate::socket::Poller,
    },
    trappable_error_type: {
        "sockgate:sockets/errors.errno" => crate::bridge::Refusal,
        "sockgate:sockets/names.name-error" => crate::bridge::NameRefusal,
    },
});
