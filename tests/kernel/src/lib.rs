//! A kernel with every socket family, as an ordinary process: User Mode Linux.
//!
//! Most machines' kernels lack CAN, TIPC, RDS, AF_ALG, Bluetooth or QRTR. Debian packages a User Mode Linux
//! that has most of them, and its sources, from which the rest is built. It runs the machine's own programs,
//! just-in-time compiled code included, at the speed of the CPU; a system call costs some 16 us.
//!
//! [`fetch::install`] brings it into a [`Cache`], [`Boot`] starts a command inside. The command sees the
//! machine's whole file system; what it writes is gone afterwards, except beneath the folders that the boot
//! names. Neither needs root, nor loads anything into the machine's kernel.

mod boot;
mod cache;
pub mod fetch;
mod modules;
pub mod order;

pub use boot::{Boot, Booted, Ended};
pub use cache::{Cache, Kernel, unsupported};
