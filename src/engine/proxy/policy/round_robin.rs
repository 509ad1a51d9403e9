//! Gives each backend its turn, by weight, and evenly spread: the policy `round-robin`.
//!
//! The sequence is nginx's ("smooth weighted round robin", nginx 1.3.1): at each turn each backend's credit grows by
//! its weight; the one with the most credit (of equals, the first in the list) has the turn, and pays the sum of all
//! weights for it. Weights of 5, 1, 1 give `a a b a c a a`. (Taking the one whose next turn is due first, in a heap,
//! costs less for many different weights, but bursts: 100 beside a hundred times 1 would give 50 turns, then 100
//! others, then 50.)
//!
//! Backends of equal weight have the same credit until they have paid, and so take their turns in the order of the
//! list. So one credit for each *different weight*, and a place in its list, tell all: a turn costs as many steps as
//! there are different weights, mostly one or a few, however many backends there are.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Candidates, FULL};

/// At least so many turns may be lost on backends that cannot be used before the choice is left to the lot.
const TURNS: usize = 64;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct RoundRobin {
    turns: Mutex<Turns>,
    /// For each backend, what has come together of the turns that it was given while its share was not full.
    parts: Box<[AtomicU32]>,
}

#[derive(Debug)]
struct Turns {
    equals: Box<[Equals]>,
    /// The sum of all weights: what a turn costs.
    price: i64,
}

/// The backends of one weight.
#[derive(Debug)]
struct Equals {
    weight: i64,
    /// Of the one that is next.
    credit: i64,
    /// Ascending; never empty.
    places: Vec<usize>,
    next: usize,
}

impl RoundRobin {
    pub fn new(weights: &[u32]) -> RoundRobin {
        let mut equals: Vec<Equals> = Vec::new();
        for (place, weight) in weights.iter().map(|weight| i64::from(*weight)).enumerate() {
            match equals.iter_mut().find(|equals| equals.weight == weight) {
                Some(equals) => equals.places.push(place),
                None => equals.push(Equals { weight, credit: 0, places: vec![place], next: 0 }),
            }
        }
        let price = weights.iter().map(|weight| i64::from(*weight)).sum();
        RoundRobin {
            turns: Mutex::new(Turns { equals: equals.into(), price }),
            parts: weights.iter().map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// The next one that can be used; the others lose their turns. `None` if too many lose theirs: all are out, or
    /// those that are left weigh little.
    pub fn next(&self, candidates: &impl Candidates) -> Option<usize> {
        let turns = self.parts.len().max(TURNS);
        (0..turns).map(|_| self.turn()).find(|place| self.takes(*place, candidates.share(*place)))
    }

    fn turn(&self) -> usize {
        self.turns.lock().expect("no panic under the lock").next()
    }

    /// Whether the backend takes the turn that it is given: with a share of a quarter, each fourth.
    fn takes(&self, place: usize, share: u32) -> bool {
        if share == 0 || share >= FULL {
            return share > 0;
        }
        let before = self.parts[place].fetch_add(share, Ordering::Relaxed);
        before % FULL + share >= FULL
    }
}

impl Turns {
    fn next(&mut self) -> usize {
        let mut best = 0;
        for index in 0..self.equals.len() {
            self.equals[index].credit += self.equals[index].weight;
            if self.equals[index].is_before(&self.equals[best]) {
                best = index;
            }
        }
        self.equals[best].take(self.price)
    }
}

impl Equals {
    fn is_before(&self, other: &Equals) -> bool {
        self.credit > other.credit || (self.credit == other.credit && self.places[self.next] < other.places[other.next])
    }

    /// The turn is taken, and paid for: who comes next has paid as often, or, in the next round, once more.
    fn take(&mut self, price: i64) -> usize {
        let place = self.places[self.next];
        self.next += 1;
        if self.next == self.places.len() {
            self.next = 0;
            self.credit -= price;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, chooser};
    use super::*;
    use crate::settings::group::Balance;

    /// nginx's own way: `ngx_http_upstream_get_peer` in `ngx_http_upstream_round_robin.c`, all peers up.
    fn nginx(weights: &[u32], turns: usize) -> Vec<usize> {
        let price: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
        let mut credits = vec![0; weights.len()];
        let turn = |_| {
            let mut best = 0;
            for place in 0..weights.len() {
                credits[place] += i64::from(weights[place]);
                best = if credits[place] > credits[best] { place } else { best };
            }
            credits[best] -= price;
            best
        };
        (0..turns).map(turn).collect()
    }

    fn turns(weights: &[u32], shares: &[u32], turns: usize) -> Vec<usize> {
        let (chooser, backends) = (chooser(&Balance::RoundRobin, weights, 1), Fixed::idle(shares));
        (0..turns).map(|_| chooser.choose(&backends, 0).expect("some are usable")).collect()
    }

    fn letters(turns: &[usize]) -> String {
        turns.iter().map(|place| ["a", "b", "c", "d"][*place]).collect()
    }

    #[test]
    fn turns_are_evenly_spread() {
        for (weights, wanted) in [
            ([5, 1, 1], "aabacaaaabacaa"),
            ([1, 1, 1], "abcabcabcabcab"),
            ([4, 2, 1], "abacabaabacaba"),
            ([1, 1, 5], "ccacbccccacbcc"),
        ] {
            assert_eq!(letters(&turns(&weights, &[FULL; 3], 14)), wanted, "{weights:?}");
        }
    }

    #[test]
    fn the_sequence_is_that_of_nginx() {
        let mut tables: Vec<Vec<u32>> =
            vec![vec![1; 10], vec![3, 3, 2, 2, 3], vec![7, 1, 7, 2, 2, 1, 1], (1..40).collect()];
        tables.push([1; 100].into_iter().chain([100, 50, 100]).collect());
        tables.push((0..200).map(|place| 1 + place * 7919 % 13).collect());
        tables.extend((1..=7).flat_map(|a| (1..=7).flat_map(move |b| (1..=7).map(move |c| vec![a, b, c]))));
        for weights in tables {
            let count = 3 * weights.iter().sum::<u32>() as usize;
            assert_eq!(turns(&weights, &vec![FULL; weights.len()], count), nginx(&weights, count), "{weights:?}");
        }
    }

    #[test]
    fn those_that_are_left_keep_their_order() {
        assert_eq!(letters(&turns(&[5, 1, 1], &[0, FULL, FULL], 6)), "bcbcbc");
        assert_eq!(letters(&turns(&[5, 1, 1], &[FULL, 0, FULL], 12)), "aaacaaaaacaa");
        assert_eq!(letters(&turns(&[1, 1, 1, 1], &[FULL, 0, FULL, FULL], 6)), "acdacd");
    }

    #[test]
    fn one_that_comes_back_is_not_owed_its_lost_turns() {
        let (chooser, mut backends) = (chooser(&Balance::RoundRobin, &[1, 1, 1], 1), Fixed::idle(&[0, FULL, FULL]));
        let turns = || chooser.choose(&backends, 0).expect("some are usable");
        assert_eq!(letters(&(0..100).map(|_| turns()).collect::<Vec<_>>()), "bc".repeat(50));
        backends.shares[0] = FULL;
        let turns: Vec<usize> = (0..6).map(|_| chooser.choose(&backends, 0).expect("all are usable")).collect();
        assert_eq!(letters(&turns), "abcabc");
    }

    #[test]
    fn with_a_quarter_of_its_share_a_backend_takes_each_fourth_turn() {
        assert_eq!(letters(&turns(&[1, 1], &[FULL / 4, FULL], 10)), "bbbabbbbab");
    }

    /// More turns would be lost than are waited for; the lot keeps to the weights.
    #[test]
    fn those_that_weigh_little_share_what_the_others_leave() {
        let turns = turns(&[1000, 1000, 2, 1], &[0, 0, FULL, FULL], 3_000);
        let deviation = (3_000.0_f64 * 2.0 / 9.0).sqrt();
        let third = f64::from(u32::try_from(turns.iter().filter(|place| **place == 3).count()).expect("few"));
        assert!((third - 1_000.0).abs() < 3.0 * deviation, "{third}");
    }
}
