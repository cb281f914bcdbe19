//! Guests inside the test's own process, each under its own policy: what an embedder does.
//!
//! A [`Guest`] runs one of the test guests in one of the three [`Place`]s, its lines arrive with the moment
//! at which it wrote them, and it is cancelled and its policy replaced from outside.

mod blocked;
mod engine;
mod figures;
mod guest;
mod lines;
mod policy;
mod process;

pub use blocked::{Blocked, CALLS, Obstacle};
pub use figures::{Figures, native_timeouts};
pub use guest::{Ended, Guest, Outcome, Place, Start};
pub use lines::Line;
pub use policy::{policy, policy_from};
pub use process::{
    descriptors, peak_memory, processor_time, resident_memory, settled_descriptors, start_peak_anew,
};
