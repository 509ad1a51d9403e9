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

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

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
            let time = exponential(part) / runner.weight;
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

/// -ln(1 - `part`), for parts in [0, 1) that are multiples of 2^-52, as [`fraction`] makes them, so that 1 - `part` is
/// exact.
///
/// Not `f64::ln_1p`: the last bit of that is another one in each C library, and all proxies of a fleet are to choose the
/// same backend. And nothing else needs libm, which would cost each process 40 KB.
fn exponential(part: f64) -> f64 {
    // x = m * 2^e with m between the roots of 1/2 and 2; ln m = 2 artanh s, with s = (m - 1) / (m + 1).
    let x = 1.0 - part;
    let (mut e, mut m) = (0.0, x);
    while m < FRAC_1_SQRT_2 {
        (e, m) = (e + 1.0, m * 2.0);
    }
    let s = (m - 1.0) / (m + 1.0);
    // s + s^3 / 3 + s^5 / 5 ...: |s| < 0.172, so that the eleventh summand is less than the last bit of the first.
    let artanh = s * (0..10).rev().fold(0.0, |sum, k| sum * s * s + 1.0 / f64::from(2 * k + 1));
    e * LN_2 - 2.0 * artanh
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

    #[test]
    fn an_exponential_time_is_a_logarithm() {
        let hashes = (0..64).flat_map(|shift| [u64::MAX >> shift, !(u64::MAX >> shift)]);
        for hash in hashes.chain((0..10_000).map(key)) {
            let (ours, libm) = (exponential(fraction(hash)), -(-fraction(hash)).ln_1p());
            assert!((ours - libm).abs() <= 4.0 * f64::EPSILON * libm, "{hash:x}: {ours} and {libm}");
        }
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
