//! What wit-bindgen makes of the WIT package. Private: the rest of the crate says what is public, and
//! nothing outside this file is generated or `unsafe`.
//!
//! `Borrowing` lets every list and address that goes out be borrowed from the caller.
#![allow(
    missing_docs,
    reason = "the WIT package documents every item; what is left is made by wit-bindgen itself"
)]
#![allow(clippy::all, unsafe_code, reason = "generated")]

wit_bindgen::generate!({
    path: "../wit",
    inline: "
        package sockgate:sdk;
        world sdk {
            include sockgate:sockets/guest@0.1.0;
            // For `files::File::open`.
            import wasi:filesystem/preopens@0.2.0;
        }
    ",
    world: "sockgate:sdk/sdk",
    ownership: Borrowing { duplicate_if_necessary: false },
    additional_derives: [PartialEq, Eq, Hash],
    generate_all,
});

/// Handles are compared by what they are: two are equal if they are the same handle.
macro_rules! compared_by_handle {
    ($($resource:ident)*) => {$(
        impl PartialEq for sockgate::sockets::socket::$resource {
            fn eq(&self, other: &Self) -> bool {
                self.handle() == other.handle()
            }
        }

        impl Eq for sockgate::sockets::socket::$resource {}

        impl std::hash::Hash for sockgate::sockets::socket::$resource {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.handle().hash(state);
            }
        }
    )*};
}

compared_by_handle! { Socket Descriptor }
