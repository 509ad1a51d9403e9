//! Draws a backend at random, by weight: the policy `random`, and what others draw with.

use std::sync::Mutex;

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};

use super::{Candidates, FULL};

/// So often the lot is drawn anew if it fell on one that cannot be used. With half of them out, one choice in 256
/// comes to look at the whole list.
const DRAWS: u32 = 8;

/// Lots, as many for each backend as its weight.
#[derive(Debug)]
pub(super) struct Lot {
    pub weights: Box<[u32]>,
    /// The sum of the weights up to each place, its own included.
    sums: Box<[u64]>,
    random: Mutex<SmallRng>,
}

impl Lot {
    pub fn new(weights: Box<[u32]>, seed: Option<u64>) -> Lot {
        let sum = |sum: &mut u64, weight: &u32| {
            *sum += u64::from(*weight);
            Some(*sum)
        };
        Lot {
            sums: weights.iter().scan(0, sum).collect(),
            weights,
            random: Mutex::new(seed.map_or_else(rand::make_rng, SmallRng::seed_from_u64)),
        }
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        self.random.lock().expect("no panic under the lock").next_u64()
    }

    fn below(&self, bound: u64) -> u64 {
        self.random.lock().expect("no panic under the lock").random_range(0..bound)
    }

    /// A place, with a probability in proportion to its weight and its share; never the one in `except`.
    /// `None` only if every other share is 0.
    pub fn draw(&self, candidates: &impl Candidates, except: Option<usize>) -> Option<usize> {
        let total = *self.sums.last()?;
        for _ in 0..DRAWS {
            let lot = self.below(total);
            let place = self.sums.partition_point(|sum| *sum <= lot);
            if Some(place) != except && self.accepts(candidates.share(place)) {
                return Some(place);
            }
        }
        self.draw_exactly(candidates, except)
    }

    fn accepts(&self, share: u32) -> bool {
        share >= FULL || (share > 0 && self.below(u64::from(FULL)) < u64::from(share))
    }

    /// The same in two passes over all, for when few of them can be used.
    fn draw_exactly(&self, candidates: &impl Candidates, except: Option<usize>) -> Option<usize> {
        let lots = |place: usize| u64::from(self.weights[place]) * u64::from(candidates.share(place));
        let places = || (0..self.weights.len()).filter(|place| Some(*place) != except);
        let total = places().map(lots).sum();
        if total == 0 {
            return None;
        }
        let mut left = self.below(total);
        let mut last = None;
        for place in places() {
            let lots = lots(place);
            if lots > left {
                return Some(place);
            }
            left -= lots;
            last = if lots > 0 { Some(place) } else { last };
        }
        last // Shares have fallen between the passes.
    }
}
