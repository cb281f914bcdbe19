pub mod bridge { pub mod bindings; }
