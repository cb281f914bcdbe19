//! Events as tracing(1) events of the embedder's own subscriber.

use super::{Event, Sink, Verdict};

/// Hands each event to `tracing`, target `sockgate::audit`: denials and limits as warnings, the rest as
/// debug events.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink;

impl Sink for TracingSink {
    fn record(&self, event: &Event) {
        let line = super::text::Line(event);
        match event.verdict {
            Verdict::Deny | Verdict::Limit => {
                tracing::warn!(target: "sockgate::audit", guest = event.guest, socket = event.socket, "{line}");
            }
            Verdict::Allow | Verdict::Audit | Verdict::Free => {
                tracing::debug!(target: "sockgate::audit", guest = event.guest, socket = event.socket, "{line}");
            }
        }
    }
}
