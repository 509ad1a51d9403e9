use super::*;
use crate::settings::group::HashKey;

const HASH: Balance = Balance::Hash(HashKey::Client);
const ALL: [Balance; 5] = [Balance::Random, Balance::RoundRobin, Balance::LeastConnections, Balance::TwoChoices, HASH];

/// Backends as the test wants them.
pub(super) struct Fixed {
    pub shares: Vec<u32>,
    pub in_flight: Vec<u32>,
}

impl Fixed {
    pub fn idle(shares: &[u32]) -> Fixed {
        Fixed { shares: shares.to_vec(), in_flight: vec![0; shares.len()] }
    }
}

impl Candidates for Fixed {
    fn len(&self) -> usize {
        self.shares.len()
    }

    fn share(&self, place: usize) -> u32 {
        self.shares[place]
    }

    fn in_flight(&self, place: usize) -> u32 {
        self.in_flight[place]
    }
}

fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("10.0.{}.{}:8080", index / 256, index % 256)).collect()
}

pub(super) fn chooser(balance: &Balance, weights: &[u32], seed: u64) -> Chooser {
    let addresses = addresses(weights.len());
    Chooser::new(balance, weights, addresses.iter().map(String::as_str), Some(seed))
}

pub(super) fn key(number: u32) -> u64 {
    hash_key(&number.to_be_bytes())
}

/// How often each place is chosen in so many choices with different keys.
fn counts(chooser: &Chooser, candidates: &Fixed, choices: u32) -> Vec<u32> {
    let mut counts = vec![0; candidates.len()];
    for number in 0..choices {
        counts[chooser.choose(candidates, key(number)).expect("some are usable")] += 1;
    }
    counts
}

/// Within three standard deviations of a binomial distribution.
fn assert_in_proportion(counts: &[u32], wanted: &[u32], what: &str) {
    let (choices, sum) = (f64::from(counts.iter().sum::<u32>()), f64::from(wanted.iter().sum::<u32>()));
    for (count, wanted) in counts.iter().zip(wanted) {
        let part = f64::from(*wanted) / sum;
        let deviation = (choices * part * (1.0 - part)).sqrt();
        assert!((f64::from(*count) - choices * part).abs() <= 3.0 * deviation, "{what}: {counts:?}");
    }
}

/// Each finishes before the next comes; least-connections then knows no difference but the weight.
#[test]
fn each_backend_gets_the_share_of_its_weight() {
    for balance in [Balance::Random, Balance::RoundRobin, Balance::TwoChoices, HASH] {
        for weights in [&[1, 1, 1][..], &[5, 1, 1], &[4, 2, 1], &[1000, 700, 1], &[3, 3, 2, 2, 2, 7, 1, 1, 1, 1]] {
            let all = Fixed::idle(&vec![FULL; weights.len()]);
            let counts = counts(&chooser(&balance, weights, 3), &all, 30_000);
            assert_in_proportion(&counts, weights, balance.name());
        }
    }
}

/// Nothing finishes: the requests under way are in proportion to the weights, but for one at most.
#[test]
fn the_least_busy_backend_for_its_weight_is_chosen() {
    for (weights, shares, wanted) in [
        ([1, 1, 1], [FULL, FULL, FULL], [1000, 1000, 1000]),
        ([4, 2, 1], [FULL, FULL, FULL], [4000, 2000, 1000]),
        ([2, 2, 1], [FULL, FULL / 2, FULL], [2000, 1000, 1000]),
        ([2, 2, 1], [0, FULL / 2, FULL], [0, 1000, 1000]),
    ] {
        let (chooser, mut backends) = (chooser(&Balance::LeastConnections, &weights, 1), Fixed::idle(&shares));
        for _ in 0..wanted.iter().sum() {
            let place = chooser.choose(&backends, 0).expect("some are usable");
            backends.in_flight[place] += 1;
        }
        for (in_flight, wanted) in backends.in_flight.iter().zip(wanted) {
            assert!(in_flight.abs_diff(wanted) <= 1, "{:?} for {weights:?} {shares:?}", backends.in_flight);
        }
    }
}

#[test]
fn equally_busy_backends_are_chosen_at_random() {
    let chooser = chooser(&Balance::LeastConnections, &[1; 5], 1);
    let backends = Fixed { shares: vec![FULL, FULL, 0, FULL, FULL], in_flight: vec![3, 3, 0, 7, 3] };
    assert_in_proportion(&counts(&chooser, &backends, 30_000), &[1, 1, 0, 0, 1], "least-connections");
}

/// Of two different draws among four the busiest is chosen never, the second busiest in one case of six, and so on.
#[test]
fn of_two_random_backends_the_less_busy_one_is_chosen() {
    let backends = Fixed { shares: vec![FULL; 4], in_flight: vec![4, 1, 3, 2] };
    let counts = counts(&chooser(&Balance::TwoChoices, &[1; 4], 1), &backends, 30_000);
    assert_in_proportion(&counts, &[0, 3, 1, 2], "two-choices");
}

/// Six requests are few for a weight of ten.
#[test]
fn less_busy_is_meant_for_the_weight() {
    let backends = Fixed { shares: vec![FULL; 2], in_flight: vec![6, 1] };
    assert_eq!(counts(&chooser(&Balance::TwoChoices, &[10, 1], 1), &backends, 100), [100, 0]);
}

#[test]
fn a_backend_that_comes_back_gets_a_part_of_its_share() {
    for balance in [Balance::Random, Balance::RoundRobin, Balance::TwoChoices] {
        let half = Fixed::idle(&[FULL / 2, FULL, FULL]);
        for (weights, wanted) in [([1, 1, 1], [1, 2, 2]), ([4, 2, 1], [2, 2, 1]), ([100, 2, 1], [50, 2, 1])] {
            let counts = counts(&chooser(&balance, &weights, 5), &half, 30_000);
            assert_in_proportion(&counts, &wanted, balance.name());
        }
    }
}

#[test]
fn what_cannot_be_used_is_never_chosen_and_the_others_share_its_part() {
    let shares: Vec<u32> = (0..100).map(|place| if place % 10 == 3 { FULL } else { 0 }).collect();
    let weights: Vec<u32> = (0..100).map(|place| 1 + place % 7).collect();
    for balance in ALL {
        let counts = counts(&chooser(&balance, &weights, 1), &Fixed::idle(&shares), 30_000);
        let wanted: Vec<u32> = weights.iter().zip(&shares).map(|(weight, share)| weight * share).collect();
        if balance == Balance::LeastConnections {
            assert!(counts.iter().zip(&shares).all(|(count, share)| *count == 0 || *share > 0), "{counts:?}");
        } else {
            assert_in_proportion(&counts, &wanted, balance.name());
        }
    }
}

/// Even if it has hardly come back, and hardly weighs anything.
#[test]
fn there_is_no_choice_only_if_nothing_is_usable() {
    for balance in ALL {
        for count in [1_usize, 2, 10, 300] {
            let mut weights = vec![1000; count];
            weights[count / 2] = 1;
            let (chooser, mut backends) = (chooser(&balance, &weights, 1), Fixed::idle(&vec![0; count]));
            for number in 0..100 {
                assert_eq!(chooser.choose(&backends, key(number)), None, "{balance} of {count}");
            }
            backends.shares[count / 2] = 1;
            for number in 0..100 {
                assert_eq!(chooser.choose(&backends, key(number)), Some(count / 2), "{balance} of {count}");
            }
        }
        let nothing = chooser(&balance, &[], 1);
        assert_eq!(nothing.choose(&Fixed::idle(&[]), 0), None, "{balance} of none");
    }
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let backends = Fixed { shares: vec![FULL, 0, 100, FULL, FULL], in_flight: vec![1, 0, 0, 1, 2] };
    for balance in ALL {
        let choices = |seed| {
            let chooser = chooser(&balance, &[3, 5, 2, 3, 1], seed);
            (0..64).map(|number| chooser.choose(&backends, key(number))).collect::<Vec<_>>()
        };
        assert_eq!(choices(7), choices(7), "{balance}");
        let drawn = !matches!(balance, Balance::RoundRobin | Balance::Hash(_));
        assert_eq!(choices(7) != choices(8), drawn, "{balance}");
    }
}

/// The published values of FNV-1a (draft-eastlake-fnv), mixed: other numbers would move every client to another
/// backend with an update.
#[test]
fn the_hash_of_a_key_is_the_same_for_ever() {
    assert_eq!(hash_key(b""), mix(0xcbf2_9ce4_8422_2325));
    assert_eq!(hash_key(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    assert_eq!(hash_key(b"foobar"), mix(0x8594_4171_f739_67e8));
    // The first number that SplitMix64 gives after the seed 0: mix(its increment).
    assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0xe220_a839_7b1d_cdaf);
}

/// Not a test: `cargo test --release what_a_choice_costs -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures"]
fn what_a_choice_costs() {
    const CHOICES: u32 = 50_000;
    for (case, heaviest, out) in
        [("equal weights", 1, 0), ("weights 1-10", 10, 0), ("1-1000", 1000, 0), ("half out", 10, 2), ("all out", 10, 1)]
    {
        for balance in ALL {
            let costs = [2_u32, 10, 100, 1000].map(|count| {
                let weights: Vec<u32> = (0..count).map(|place| 1 + place * 7 % heaviest).collect();
                let usable = |place: u32| if out > 0 && place.is_multiple_of(out) { 0 } else { FULL };
                let backends = Fixed::idle(&(0..count).map(usable).collect::<Vec<_>>());
                let chooser = chooser(&balance, &weights, 1);
                let begun = std::time::Instant::now();
                for number in 0..CHOICES {
                    std::hint::black_box(chooser.choose(&backends, mix(u64::from(number))));
                }
                begun.elapsed() / CHOICES
            });
            println!("{case:15} {balance:18} {costs:?}", balance = balance.name());
        }
    }
}
