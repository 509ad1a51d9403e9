//! Whether a backend can be used: taken out after failures in a row, back after one trial request, or as active checks
//! say.
//!
//! Looking costs a few loads, since every request looks; what changes the state is rare, and takes the lock.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::policy::FULL;
use super::upkeep::Consecutive;
use crate::settings::group::GroupSettings;
use crate::settings::show_duration;

/// A backend is out for no longer than this before it is tried again.
const LONGEST_OUT: Duration = Duration::from_secs(60);

/// What is known of one backend's health.
#[derive(Debug)]
pub struct Health {
    /// 0 while it is in; else the millisecond from which on one request may try it.
    out_until: AtomicU64,
    /// Active checks have taken it out.
    check_failed: AtomicBool,
    /// A trial request is under way.
    trial: AtomicBool,
    /// The last trial's place among the trials of all backends; 0 if there was none.
    last_trial: AtomicU64,
    /// Failures in a row.
    fails: AtomicU32,
    /// The millisecond in which it came back; 0 if it was never out.
    back_since: AtomicU64,
    detail: Mutex<Detail>,
}

#[derive(Debug)]
struct Detail {
    since: SystemTime,
    why: String,
    /// How long it was out last, for doubling.
    last_out: Duration,
    /// What is wrong with it although it is in, because no other is left; while that lasts.
    failing: Option<String>,
    /// When that was last told.
    told: Option<Instant>,
    checks: Consecutive,
    last_check: Option<(SystemTime, Result<(), String>)>,
}

/// A backend's state, for people.
#[derive(Clone, Debug)]
pub struct State {
    /// In one word: `up`, `slow-start`, `down` or `trial`.
    pub word: &'static str,
    /// Since when it is up or down.
    pub since: SystemTime,
    /// Why.
    pub why: String,
    /// When it was last checked actively, and with what result.
    pub last_check: Option<(SystemTime, Result<(), String>)>,
}

/// The clock of all deadlines that are kept in atomics: milliseconds since the process first looked, and never 0.
fn millis(now: Instant) -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = now.saturating_duration_since(*START.get_or_init(Instant::now));
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

impl Health {
    pub(super) fn new(settings: &GroupSettings) -> Health {
        let checks = &settings.settings.checks;
        Health {
            out_until: AtomicU64::new(0),
            check_failed: AtomicBool::new(false),
            trial: AtomicBool::new(false),
            last_trial: AtomicU64::new(0),
            fails: AtomicU32::new(0),
            back_since: AtomicU64::new(0),
            detail: Mutex::new(Detail {
                since: SystemTime::now(),
                why: "never out so far".to_owned(),
                last_out: Duration::ZERO,
                failing: None,
                told: None,
                checks: Consecutive::new(checks.rise, checks.fall),
                last_check: None,
            }),
        }
    }

    fn detail(&self) -> MutexGuard<'_, Detail> {
        self.detail.lock().expect("no panic under the lock of a backend's health")
    }

    /// Whether it is neither out nor failed by its checks.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.out_until.load(Ordering::Relaxed) == 0 && !self.check_failed.load(Ordering::Relaxed)
    }

    /// Failures in a row.
    pub(super) fn fails(&self) -> u32 {
        self.fails.load(Ordering::Relaxed)
    }

    /// How much of its share it may have: 0 if it is out, [`FULL`] if it is well or may be tried, less while it comes
    /// back slowly.
    pub(super) fn share(&self, now: Instant, slow_start: Duration) -> u32 {
        if self.check_failed.load(Ordering::Relaxed) {
            return 0;
        }
        let until = self.out_until.load(Ordering::Relaxed);
        if until != 0 {
            return if until <= millis(now) && !self.trial.load(Ordering::Relaxed) { FULL } else { 0 };
        }
        match self.back_since.load(Ordering::Relaxed) {
            0 => FULL,
            back => rising_share(millis(now).saturating_sub(back), slow_start),
        }
    }

    /// Whether a request is trying it.
    pub(super) fn is_on_trial(&self) -> bool {
        self.trial.load(Ordering::Relaxed)
    }

    /// When it was tried last, for the choice among those that are all out: a place among all trials.
    pub(super) fn last_trial(&self) -> u64 {
        self.last_trial.load(Ordering::Relaxed)
    }

    /// How long it is until it may be tried, if it is out and its time is not over.
    pub(super) fn may_be_tried_in(&self, now: Instant) -> Option<Duration> {
        let left = self.out_until.load(Ordering::Relaxed).checked_sub(millis(now)).filter(|left| *left > 0)?;
        (!self.check_failed.load(Ordering::Relaxed)).then(|| Duration::from_millis(left))
    }

    /// Claims the one trial request of a backend that is out. `Some(false)` if it needs none, `None` if another has it.
    pub(super) fn claim(&self) -> Option<bool> {
        static TRIALS: AtomicU64 = AtomicU64::new(1);
        if self.is_up() {
            return Some(false);
        }
        self.trial.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).ok()?;
        self.last_trial.store(TRIALS.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(true)
    }

    /// A trial that ended without saying anything, because its client went away.
    pub(super) fn give_up_trial(&self) {
        self.trial.store(false, Ordering::Release);
    }

    /// A trial that waits for its client: when it has been out for as long again, another may begin. Not at once: what
    /// comes of many uploads would be known when they are all there.
    pub(super) fn lend_trial(&self, now: Instant) {
        let (time, out) = (millis(now), self.detail().last_out);
        let later = |until: u64| (1..=time).contains(&until).then(|| millis(now + out));
        let _ = self.out_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        self.give_up_trial();
    }

    /// A response came. Returns why it is well, if it was out and this was its trial, or if it was failing.
    pub(super) fn succeed(&self, trial: bool, now: Instant) -> Option<String> {
        let mut failing = None;
        if self.fails.load(Ordering::Relaxed) != 0 {
            self.fails.store(0, Ordering::Relaxed);
            failing = self.detail().failing.take();
        }
        if !trial {
            return failing.map(|_| "it answers again".to_owned());
        }
        let back = self.out_until.swap(0, Ordering::Relaxed) != 0;
        let why = back.then(|| self.come_back("a trial request succeeded", now));
        self.give_up_trial();
        why
    }

    fn come_back(&self, why: &str, now: Instant) -> String {
        self.back_since.store(millis(now), Ordering::Relaxed);
        let mut detail = self.detail();
        (detail.since, detail.why, detail.failing) = (SystemTime::now(), why.to_owned(), None);
        why.to_owned()
    }

    /// A request failed for which the backend is to blame. It is taken out if `may_go`, when there were enough of them
    /// or this was its trial. Returns what is new: for how long it is out, or that it stays although it fails, and why.
    pub(super) fn fail(
        &self,
        why: &str,
        trial: bool,
        settings: &GroupSettings,
        now: Instant,
        may_go: impl FnOnce() -> bool,
    ) -> Option<String> {
        let fails = self.fails.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let was_out = self.out_until.load(Ordering::Relaxed) != 0;
        let upkeep = &settings.settings.upkeep;
        let enough = upkeep.max_fails != 0 && fails >= upkeep.max_fails && !was_out;
        let why = format!("{fails} failures in a row, the last: {why}");
        let text = if (was_out && trial) || (enough && may_go()) {
            self.take_out(why, trial, upkeep.fail_timeout, now)
        } else if enough {
            self.note_failing(why, upkeep.fail_timeout, now)
        } else {
            None
        };
        if trial {
            self.give_up_trial();
        }
        text
    }

    fn take_out(&self, why: String, trial: bool, fail_timeout: Duration, now: Instant) -> Option<String> {
        let mut detail = self.detail();
        let until = self.out_until.load(Ordering::Relaxed);
        let was_out = until != 0;
        if was_out && !trial {
            return None; // Two requests failed at once, and the other one was faster.
        }
        (detail.why, detail.failing) = (why, None);
        if millis(now) < until {
            return None; // Tried before its time, since there was no better one: that it is still out is nothing new.
        }
        let up_for = detail.since.elapsed().unwrap_or_default();
        let again = was_out || (detail.last_out > Duration::ZERO && up_for < detail.last_out);
        let longest = LONGEST_OUT.max(fail_timeout);
        let out = if again { (detail.last_out * 2).min(longest) } else { fail_timeout };
        detail.last_out = out;
        self.out_until.store(millis(now + out), Ordering::Relaxed);
        if !was_out {
            detail.since = SystemTime::now();
        }
        let time = show_duration(u64::try_from(out.as_millis()).unwrap_or(u64::MAX));
        Some(format!("out for {time}: {}", detail.why))
    }

    /// It stays in, as the last one. Tells so once, and again at most as often as others are tried.
    fn note_failing(&self, why: String, fail_timeout: Duration, now: Instant) -> Option<String> {
        let mut detail = self.detail();
        if self.fails.load(Ordering::Relaxed) == 0 {
            return None; // It has answered meanwhile.
        }
        if detail.failing.is_none() && detail.told.is_some_and(|told| now < told + fail_timeout) {
            return None;
        }
        let text = format!("failing, but no other is left: {why}");
        detail.told = Some(now);
        detail.failing.replace(why).is_none().then_some(text)
    }

    /// The result of an active check. Returns the new state in words, if that has changed.
    pub(super) fn check(&self, result: Result<(), String>, now: Instant) -> Option<String> {
        let mut detail = self.detail();
        let good = result.is_ok();
        let why = result.as_ref().err().cloned().unwrap_or_default();
        detail.last_check = Some((SystemTime::now(), result));
        detail.checks.note(good)?;
        self.check_failed.store(!good, Ordering::Relaxed);
        if !good {
            (detail.since, detail.why, detail.failing) = (SystemTime::now(), format!("check failed: {why}"), None);
            return Some(format!("down: {}", detail.why));
        }
        drop(detail);
        // Requests have no more to say about it than the checks: what they held against it is forgotten.
        self.out_until.store(0, Ordering::Relaxed);
        self.fails.store(0, Ordering::Relaxed);
        Some(format!("up: {}", self.come_back("checks succeed", now)))
    }

    /// The state, for people.
    #[must_use]
    pub fn state(&self, now: Instant, slow_start: Duration) -> State {
        let detail = self.detail();
        let word = match (self.is_up(), self.trial.load(Ordering::Relaxed)) {
            (false, true) => "trial",
            (false, false) => "down",
            (true, _) if self.share(now, slow_start) < FULL => "slow-start",
            (true, _) => "up",
        };
        let why = detail.failing.as_ref().unwrap_or(&detail.why).clone();
        State { word, since: detail.since, why, last_check: detail.last_check.clone() }
    }
}

/// So many milliseconds after its return: never nothing, or it would never be seen to be well.
fn rising_share(millis: u64, slow_start: Duration) -> u32 {
    let whole = u64::try_from(slow_start.as_millis()).unwrap_or(u64::MAX);
    if millis >= whole {
        return FULL;
    }
    let share = u64::from(FULL).saturating_mul(millis) / whole;
    u32::try_from(share).unwrap_or(FULL).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn settings() -> GroupSettings {
        GroupSettings::new("app", Vec::new(), &Settings::default())
    }

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn failures_in_a_row_take_a_backend_out_and_a_success_between_them_does_not() {
        let (health, settings, now) = (Health::new(&settings()), settings(), Instant::now());
        assert!(health.fail("refused", false, &settings, now, || true).is_none());
        health.succeed(false, now);
        assert!(health.fail("refused", false, &settings, now, || true).is_none());
        assert!(health.is_up());
        let out = health.fail("refused", false, &settings, now, || true).expect("the second in a row");
        assert_eq!(out, "out for 10s: 2 failures in a row, the last: refused");
        assert!(!health.is_up());
        assert_eq!(health.share(after(now, 9), settings.settings.upkeep.slow_start), 0);
        assert_eq!(health.share(after(now, 10), settings.settings.upkeep.slow_start), FULL);
    }

    #[test]
    fn the_last_usable_backend_stays_in() {
        let (health, settings, now) = (Health::new(&settings()), settings(), Instant::now());
        let mut told: Vec<_> = (0..9).filter_map(|_| health.fail("refused", false, &settings, now, || false)).collect();
        assert!(health.is_up());
        assert_eq!(told, ["failing, but no other is left: 2 failures in a row, the last: refused"], "once");
        let slow_start = settings.settings.upkeep.slow_start;
        assert_eq!(health.state(now, slow_start).why, "9 failures in a row, the last: refused");
        assert_eq!(health.succeed(false, now).as_deref(), Some("it answers again"));
        assert_eq!(health.succeed(false, now), None, "that is told once, too");
        assert_eq!(health.state(now, slow_start).why, "never out so far");
        for seconds in [9, 9, 10, 10] {
            told.extend(health.fail("refused", false, &settings, after(now, seconds), || false));
        }
        assert_eq!(told.len(), 2, "one that fails now and then does not fill the log");
    }

    /// So it is when all have failed: each request that finds none tries one of them, in turn.
    #[test]
    fn a_trial_before_its_time_that_fails_changes_nothing() {
        let (health, settings, now) = (Health::new(&settings()), settings(), Instant::now());
        health.fail("refused", false, &settings, now, || true);
        health.fail("refused", false, &settings, now, || true);
        for _ in 0..5 {
            assert_eq!(health.claim(), Some(true));
            assert_eq!(health.fail("refused", true, &settings, after(now, 5), || false), None);
        }
        let slow_start = settings.settings.upkeep.slow_start;
        assert_eq!((health.share(after(now, 9), slow_start), health.share(after(now, 10), slow_start)), (0, FULL));
        assert_eq!(health.state(now, slow_start).why, "7 failures in a row, the last: refused");
        assert_eq!(health.claim(), Some(true));
        let out = health.fail("refused", true, &settings, after(now, 10), || false);
        assert_eq!(out.as_deref(), Some("out for 20s: 8 failures in a row, the last: refused"));
    }

    #[test]
    fn of_two_failures_at_once_one_takes_it_out() {
        let (health, settings, now) = (Health::new(&settings()), settings(), Instant::now());
        health.fail("refused", false, &settings, now, || true);
        let late = health.fail("refused", false, &settings, now, || {
            health.fail("refused", false, &settings, now, || true).is_some()
        });
        assert_eq!(late, None);
        assert_eq!(health.share(after(now, 10), settings.settings.upkeep.slow_start), FULL, "its time is not doubled");
    }

    #[test]
    fn one_trial_decides_and_its_failure_doubles_the_time_to_a_minute_at_most() {
        let (health, settings, mut now) = (Health::new(&settings()), settings(), Instant::now());
        health.fail("refused", false, &settings, now, || true);
        health.fail("refused", false, &settings, now, || true);
        for seconds in [10, 20, 40, 60, 60] {
            assert_eq!(
                health.share(now + Duration::from_millis(seconds * 1000 - 2), settings.settings.upkeep.slow_start),
                0
            );
            now = after(now, seconds);
            assert_eq!(health.share(now, settings.settings.upkeep.slow_start), FULL, "after {seconds} s");
            assert_eq!(health.claim(), Some(true));
            assert_eq!(health.claim(), None, "only one request tries it");
            assert_eq!(health.share(now, settings.settings.upkeep.slow_start), 0);
            assert!(health.fail("refused", true, &settings, now, || false).is_some());
        }
    }

    #[test]
    fn a_good_trial_brings_it_back_with_a_share_that_rises() {
        let (health, settings, now) = (Health::new(&settings()), settings(), Instant::now());
        health.fail("refused", false, &settings, now, || true);
        health.fail("refused", false, &settings, now, || true);
        let back = after(now, 10);
        assert_eq!(health.claim(), Some(true));
        assert!(health.succeed(false, back).is_none(), "an old request's success is no trial");
        assert!(health.succeed(true, back).is_some());
        assert_eq!(health.share(back, settings.settings.upkeep.slow_start), 1);
        assert_eq!(health.share(after(back, 5), settings.settings.upkeep.slow_start), FULL / 2);
        assert_eq!(health.share(after(back, 10), settings.settings.upkeep.slow_start), FULL);
        assert_eq!(health.share(back, Duration::ZERO), FULL);
    }

    #[test]
    fn a_trial_without_a_verdict_leaves_the_next_one_to_another_request() {
        let (health, settings, now) = (Health::new(&settings()), settings(), Instant::now());
        health.fail("refused", false, &settings, now, || true);
        health.fail("refused", false, &settings, now, || true);
        assert_eq!(health.claim(), Some(true));
        health.give_up_trial();
        assert_eq!(health.claim(), Some(true));
    }
}
