//! Chooses one of a list of backends, in one of five ways.
//!
//! What comes in is what is known of the backends at this moment ([`Candidates`]), what goes out is a place in the
//! list. Nothing here knows what makes a backend unusable, and nothing here waits or allocates: a choice is made for
//! each request, on its way.

mod lot;
mod rendezvous;
mod round_robin;

use self::lot::Lot;
use self::rendezvous::Rendezvous;
use self::round_robin::RoundRobin;
use crate::settings::group::Balance;

/// The share of a backend that gets all that its weight entitles it to.
pub(super) const FULL: u32 = 256;

/// The heaviest that the settings allow: it, [`FULL`] and any number of requests multiply within 64 bits.
const HEAVIEST: u32 = 1_000;

/// What is looked at of the backends, at the moment of choosing. What it tells may change while it is looked at.
pub(super) trait Candidates {
    /// How many there are: as many as the [`Chooser`] was made for.
    fn len(&self) -> usize;

    /// 0 if this one cannot be used now, [`FULL`] if it can; between them while it comes back slowly.
    fn share(&self, place: usize) -> u32;

    /// Requests under way there.
    fn in_flight(&self, place: usize) -> u32;
}

/// Chooses from one list of backends; a list that changes needs a new one.
#[derive(Debug)]
pub(super) struct Chooser {
    lot: Lot,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    Random,
    RoundRobin(RoundRobin),
    LeastConnections,
    TwoChoices,
    Hash(Rendezvous),
}

impl Chooser {
    /// For backends of these weights (1 to 1,000) and identities (their addresses), in the order of the list.
    /// The same `seed` makes the same choices.
    pub fn new<'a>(
        balance: &Balance,
        weights: &[u32],
        identities: impl Iterator<Item = &'a str>,
        seed: Option<u64>,
    ) -> Chooser {
        let weights: Box<[u32]> = weights.iter().map(|weight| (*weight).clamp(1, HEAVIEST)).collect();
        let policy = match balance {
            Balance::Random => Policy::Random,
            Balance::RoundRobin => Policy::RoundRobin(RoundRobin::new(&weights)),
            Balance::LeastConnections => Policy::LeastConnections,
            Balance::TwoChoices => Policy::TwoChoices,
            Balance::Hash(_) => Policy::Hash(Rendezvous::new(&weights, identities)),
        };
        Chooser { lot: Lot::new(weights, seed), policy }
    }

    /// The place of the backend for the next request; `None` only if every share is 0. `key` is the [`hash_key`] of
    /// what the `hash` policy looks at, and nothing to the others.
    pub fn choose(&self, candidates: &impl Candidates, key: u64) -> Option<usize> {
        debug_assert_eq!(candidates.len(), self.lot.weights.len(), "made for this list");
        match &self.policy {
            _ if self.lot.weights.is_empty() => None,
            _ if self.lot.weights.len() == 1 => (candidates.share(0) > 0).then_some(0),
            Policy::Random => self.lot.draw(candidates, None),
            Policy::RoundRobin(turns) => turns.next(candidates).or_else(|| self.lot.draw(candidates, None)),
            Policy::LeastConnections => self.least_busy(candidates),
            Policy::TwoChoices => self.less_busy_of_two(candidates),
            Policy::Hash(ranks) => ranks.best(candidates, key),
        }
    }

    /// The least of (requests under way + 1) / (weight * share): how busy each would be with this request, too.
    ///
    /// Each place has a random rank for this choice, and of equally busy ones the highest is taken. (A draw for each
    /// tie would need each one's share: so only those are asked for theirs that would win, about ln n of n.)
    fn least_busy(&self, candidates: &impl Candidates) -> Option<usize> {
        let (weights, salt) = (&self.lot.weights, self.lot.number());
        let mut best: Option<Load> = None;
        for (place, weight) in weights.iter().enumerate() {
            let requests = u64::from(candidates.in_flight(place)) + 1;
            let load = |share: u32| Load {
                place,
                requests,
                capacity: u64::from(*weight) * u64::from(share),
                rank: mix(salt.wrapping_add(place as u64)),
            };
            let wins = |load: &Load| best.as_ref().is_none_or(|best| load.is_below(best));
            if !wins(&load(FULL)) {
                continue;
            }
            let share = candidates.share(place);
            if share > 0 && wins(&load(share)) {
                best = Some(load(share));
            }
        }
        best.map(|best| best.place)
    }

    /// Two are drawn, and the one with fewer requests under way for its weight is taken, the first if there is no
    /// difference. Nearly as even as to look at all of them, and all workers do not run to the same one at once.
    /// M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001.
    fn less_busy_of_two(&self, candidates: &impl Candidates) -> Option<usize> {
        let first = self.lot.draw(candidates, None)?;
        let Some(second) = self.lot.draw(candidates, Some(first)) else { return Some(first) };
        let busy =
            |place: usize, other: usize| u64::from(candidates.in_flight(place)) * u64::from(self.lot.weights[other]);
        Some(if busy(second, first) < busy(first, second) { second } else { first })
    }
}

/// How busy a backend is: requests / capacity, a fraction.
struct Load {
    place: usize,
    requests: u64,
    capacity: u64,
    rank: u64,
}

impl Load {
    fn is_below(&self, other: &Load) -> bool {
        let (ours, others) = (self.requests * other.capacity, other.requests * self.capacity);
        ours < others || (ours == others && self.rank > other.rank)
    }
}

/// A number for the key of a request: the same in each run and in each version, so that proxies beside one another,
/// and before and after an update, choose the same backend. FNV-1a of 64 bits, then [`mix`].
///
/// It does not keep those apart who look for collisions: all they gain is one backend, which a key gives them anyway.
pub(super) fn hash_key(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    mix(bytes.iter().fold(BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME)))
}

/// Each bit of the number changes each bit of the outcome with a probability of a half; no two numbers give the same.
/// The last step of `SplitMix64` (variant 13 of D. Stafford, Better Bit Mixing, 2011).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests;
