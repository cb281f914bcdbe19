//! The WIT package as Rust types and traits, generated.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "sockgate:sockets/guest",
    imports: { default: async | trappable },
    with: {
        "wasi:io": wasmtime_wasi::p2::bindings::io,
        "wasi:filesystem": wasmtime_wasi::p2::bindings::filesystem,
    },
});
