//! The codecs of the host, built from its own files: they are private to it, and it links wasmtime, which
//! nobody wants to build with coverage.

pub mod sys;
