//! How long a relay has waited, and for whom: by it a peer is found out that is too slow, or stands still.

use std::time::{Duration, Instant};

use super::relay::Flow;

/// The waits of one relay.
#[derive(Debug, Default)]
pub(super) struct Pace {
    stopped: Option<(Flow, Instant)>,
    /// Until when the waits below are counted.
    counted: Option<Instant>,
    for_sender: Duration,
    for_receiver: Duration,
}

impl Pace {
    /// Where and since when it stands still.
    pub(super) fn stopped(&self) -> Option<(Flow, Instant)> {
        self.stopped
    }

    /// It goes on: what has passed since it stopped was a wait.
    pub(super) fn go_on(&mut self, now: Instant) {
        let waited = self.counted.replace(now).map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        match self.stopped {
            Some((Flow::Dry, _)) => self.for_sender += waited,
            Some((Flow::Full, _)) => self.for_receiver += waited,
            _ => {}
        }
    }

    /// It stops; without `progress` it has stood still since it stopped last, if that was for the same reason.
    pub(super) fn stop(&mut self, flow: Flow, progress: bool, now: Instant) {
        let since = match self.stopped {
            Some((before, since)) if before == flow && !progress => since,
            _ => now,
        };
        self.stopped = Some((flow, since));
    }

    /// Forgets where it stopped: another receiver is not to be blamed for the last one.
    pub(super) fn begin_again(&mut self) {
        self.stopped = None;
    }

    /// Whether the sender of so many bytes keeps us waiting for more than `grace` at less than `rate` bytes a second.
    pub(super) fn sender_is_slow(&self, bytes: u64, rate: u64, grace: Duration) -> bool {
        is_slow(bytes, self.for_sender, rate, grace)
    }

    /// The same of the receiver.
    pub(super) fn receiver_is_slow(&self, bytes: u64, rate: u64, grace: Duration) -> bool {
        is_slow(bytes, self.for_receiver, rate, grace)
    }
}

fn is_slow(bytes: u64, waited: Duration, rate: u64, grace: Duration) -> bool {
    waited > grace && bytes < rate.saturating_mul(waited.as_secs())
}
