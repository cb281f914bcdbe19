//! What is timed and what is counted: alone in its process, one test after the other.

#[path = "serial/boundary.rs"]
mod boundary;
#[path = "serial/cancelling.rs"]
mod cancelling;
#[path = "serial/leftovers.rs"]
mod leftovers;
#[path = "serial/passing.rs"]
mod passing;
#[path = "serial/reloads.rs"]
mod reloads;
#[path = "serial/sizes.rs"]
mod sizes;
#[path = "serial/soak.rs"]
mod soak;
#[path = "serial/timeouts.rs"]
mod timeouts;
