//! The example guests once more, each behind the second wall (`sockgate run --harden`): what they need goes
//! through, and what they are refused stays refused.

#[path = "examples_guests.rs"]
mod guests;
