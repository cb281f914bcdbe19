//! What is timed and what is counted: alone in its process, one test after the other.

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
#[path = "serial/timeouts.rs"]
mod timeouts;
