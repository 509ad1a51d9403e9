//! Chooses the same backend for the same key: the policy `hash`.
//!
//! Rendezvous hashing, also called highest random weight (D. Thaler, C. Ravishankar, Using Name-Based Mappings to
//! Increase Hit Rates, 1998): key and backend together are hashed to a score, and the best score wins. If a backend
//! is lost, only its keys move, evenly to all others; if it comes back, so do they; no key moves between two others.
//! The order of the list does not matter, only the addresses.
//!
//! Weights come in as the score -w / ln h, h being the hash in (0, 1) (J. Resch, New Hashing Algorithms for Data
//! Storage, 2015). Here the other way round, as a race: each backend runs for -ln(1 - u) / w, which is an exponentially
//! distributed time of rate w, and the first is chosen: it is this one with a probability in proportion to w. With
//! equal weights that is the least u.

use super::{Candidates, FULL, hash_key, mix};

/// The rounding of the logarithm and of one product, with a wide margin.
const ROUNDING: f64 = 1.0 - 1e-9;

/// What is known of each backend before a key comes.
#[derive(Debug)]
pub(super) struct Rendezvous {
    runners: Box<[Runner]>,
}

#[derive(Debug)]
struct Runner {
    identity: u64,
    weight: f64,
}

/// The first of those that have run so far.
struct First {
    place: usize,
    time: f64,
}

impl Rendezvous {
    pub fn new<'a>(weights: &[u32], identities: impl Iterator<Item = &'a str>) -> Rendezvous {
        let runner = |(identity, weight): (&str, &u32)| Runner {
            identity: hash_key(identity.as_bytes()),
            weight: f64::from(*weight),
        };
        Rendezvous { runners: identities.zip(weights).map(runner).collect() }
    }

    /// The best one for the key that can be used. One that comes back gets a part of its keys, and each for good:
    /// as its share rises, more are added. `None` only if every share is 0.
    pub fn best(&self, candidates: &impl Candidates, key: u64) -> Option<usize> {
        let has_come_back = |place: usize| {
            let share = candidates.share(place);
            share >= FULL || part_of_key(key, self.runners[place].identity) < share
        };
        self.first(key, has_come_back).or_else(|| self.first(key, |place| candidates.share(place) > 0))
    }

    /// The first of those that may take part. Most are seen to be later without a logarithm, as -ln(1 - u) >= u, and
    /// only the others are asked whether they may.
    fn first(&self, key: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let mut first: Option<First> = None;
        for (place, runner) in self.runners.iter().enumerate() {
            let part = fraction(mix(key ^ runner.identity));
            if first.as_ref().is_some_and(|first| part * ROUNDING > first.time * runner.weight) {
                continue;
            }
            if !may(place) {
                continue;
            }
            let time = -(-part).ln_1p() / runner.weight;
            if first.as_ref().is_none_or(|first| self.is_before(place, time, first)) {
                first = Some(First { place, time });
            }
        }
        first.map(|first| first.place)
    }

    /// Equal times are told apart by identity, so that the order in the list never matters.
    fn is_before(&self, place: usize, time: f64, first: &First) -> bool {
        let by_identity = || self.runners[place].identity.cmp(&self.runners[first.place].identity);
        time.total_cmp(&first.time).then_with(by_identity).is_lt()
    }
}

/// In [0, 1), from the upper 52 bits: they become the fraction of a floating-point number in [1, 2).
fn fraction(hash: u64) -> f64 {
    f64::from_bits(1.0_f64.to_bits() | (hash >> 12)) - 1.0
}

/// Below which share the key stays away from this backend; 0 to 255, and nothing to do with the score.
fn part_of_key(key: u64, identity: u64) -> u32 {
    u32::from(mix(key.rotate_left(32) ^ identity).to_be_bytes()[0])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, key};
    use super::*;

    const KEYS: u32 = 100_000;
    const NAMES: [&str; 11] = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1", "i:1", "j:1", "k:1"];

    /// Where each of the keys goes, by name.
    fn map<'a>(names: &[&'a str], weights: &[u32], shares: &[u32]) -> Vec<&'a str> {
        let (ranks, backends) = (Rendezvous::new(weights, names.iter().copied()), Fixed::idle(shares));
        (0..KEYS).map(|number| names[ranks.best(&backends, key(number)).expect("some are usable")]).collect()
    }

    /// Asserts that only keys to or from that one have moved, a part of them within three standard deviations.
    fn assert_moved(before: &[&str], after: &[&str], name: &str, part: f64) {
        let moved: Vec<_> = before.iter().zip(after).filter(|(before, after)| before != after).collect();
        assert!(moved.iter().all(|(before, after)| **before == name || **after == name), "none between two others");
        let (moved, keys) = (f64::from(u32::try_from(moved.len()).expect("fewer than keys")), f64::from(KEYS));
        assert!((moved - keys * part).abs() <= 3.0 * (keys * part * (1.0 - part)).sqrt(), "{moved}");
    }

    #[test]
    fn a_lost_backend_moves_its_own_keys_only() {
        let (ten, mut nine) = (&NAMES[..10], NAMES[..10].to_vec());
        nine.remove(4);
        let before = map(ten, &[1; 10], &[FULL; 10]);
        assert_moved(&before, &map(&nine, &[1; 9], &[FULL; 9]), "e:1", 0.1);
        // The same if it stays in the list and cannot be used.
        let mut shares = [FULL; 10];
        shares[4] = 0;
        assert_eq!(map(ten, &[1; 10], &shares), map(&nine, &[1; 9], &[FULL; 9]));
    }

    #[test]
    fn an_added_backend_takes_its_part_from_all() {
        let before = map(&NAMES[..10], &[1; 10], &[FULL; 10]);
        let after = map(&NAMES, &[1; 11], &[FULL; 11]);
        assert_moved(&before, &after, "k:1", 1.0 / 11.0);
        assert!(after.iter().zip(&before).all(|(after, before)| after == before || *after == "k:1"));
    }

    /// From 1 of 10 to 3 of 12: 3/12 - 1/10 of the keys.
    #[test]
    fn a_greater_weight_moves_keys_to_its_backend_only() {
        let (before, mut weights) = (map(&NAMES[..10], &[1; 10], &[FULL; 10]), [1; 10]);
        weights[7] = 3;
        assert_moved(&before, &map(&NAMES[..10], &weights, &[FULL; 10]), "h:1", 0.15);
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let weights: Vec<u32> = (1..=11).map(|place| 1 + place % 3).collect();
        let (mut names, mut turned) = (NAMES, weights.clone());
        names.rotate_left(3);
        turned.rotate_left(3);
        names.reverse();
        turned.reverse();
        assert_eq!(map(&NAMES, &weights, &[FULL; 11]), map(&names, &turned, &[FULL; 11]));
    }

    /// Keys come back one after the other, and none leaves again while the share rises.
    #[test]
    fn a_backend_that_comes_back_gets_more_and_more_of_its_keys() {
        let full = map(&NAMES[..10], &[2; 10], &[FULL; 10]);
        let mut shares = [FULL; 10];
        let mut part = |share: u32| {
            shares[2] = share;
            map(&NAMES[..10], &[2; 10], &shares)
        };
        let (none, half, most) = (part(0), part(FULL / 2), part(FULL * 3 / 4));
        assert_moved(&none, &half, "c:1", 0.05);
        assert_moved(&none, &most, "c:1", 0.075);
        let stays = |before: &[&str], after: &[&str]| before.iter().zip(after).all(|(b, a)| *b != "c:1" || a == b);
        assert!(stays(&half, &most) && stays(&most, &full));
    }

    /// The shortcut without a logarithm changes nothing.
    #[test]
    fn the_first_is_the_least_of_all_times() {
        let weights: Vec<u32> = (0..11).map(|place| 1 + place * place * 9).collect();
        let ranks = Rendezvous::new(&weights, NAMES.iter().copied());
        for number in 0..10_000 {
            let time = |place: &usize| {
                let runner = &ranks.runners[*place];
                -(-fraction(mix(key(number) ^ runner.identity))).ln_1p() / runner.weight
            };
            let least = (0..11).min_by(|a, b| time(a).total_cmp(&time(b)));
            assert_eq!(ranks.best(&Fixed::idle(&[FULL; 11]), key(number)), least);
        }
    }
}
