//! What is known now of one endpoint's willingness: until when it wants to be left alone, how many requests it still
//! takes until its next reset. Plain state without waiting; see the parent for who waits.

use std::time::Duration;

use tokio::time::Instant;

use super::learn::{Allowance, LONGEST_PAUSE};

/// The first pause after a refusal that did not say how long; each further one in a row is twice as long.
const FIRST_GUESS: Duration = Duration::from_secs(1);

/// No guess is longer.
const LONGEST_GUESS: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Lane {
    paused_until: Option<Instant>,
    /// Calls that waited are let out one by one: when the next one may go.
    held_until: Option<Instant>,
    allowance: Option<Known>,
    /// Requests that are under way.
    in_flight: u64,
    /// Requests begun so far.
    begun: u64,
    /// Refusals in a row that did not say how long.
    guesses: u32,
}

/// So many requests may still be begun until then.
#[derive(Debug)]
struct Known {
    left: u64,
    until: Instant,
    /// Of the request whose answer said so.
    said_by: u64,
}

impl Lane {
    /// Until when nothing may be sent, if that is so now.
    pub(super) fn blocked(&mut self, now: Instant) -> Option<Instant> {
        if self.allowance.as_ref().is_some_and(|known| known.until <= now) {
            self.allowance = None;
        }
        let used_up = self.allowance.as_ref().filter(|known| known.left == 0).map(|known| known.until);
        let until = self.paused_until.max(used_up).max(self.held_until);
        until.filter(|until| *until > now)
    }

    /// Whether it has ever to be asked how many are left.
    pub(super) fn is_free(&mut self, now: Instant) -> bool {
        self.blocked(now).is_none() && self.allowance.is_none()
    }

    /// A request begins. Comes back: its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.in_flight += 1;
        self.begun += 1;
        if let Some(known) = &mut self.allowance {
            known.left = known.left.saturating_sub(1);
        }
        self.begun
    }

    /// A request is over.
    pub(super) fn end(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Keeps the next request until then.
    pub(super) fn hold(&mut self, until: Instant) {
        self.held_until = Some(until);
    }

    /// Leaves it alone until then. False when that was known.
    pub(super) fn pause(&mut self, until: Instant) -> bool {
        let news = self.paused_until.is_none_or(|known| known < until);
        if news {
            self.paused_until = Some(until);
        }
        news
    }

    /// Forgets all that it was told: it may be sent to at once.
    pub(super) fn resume(&mut self) {
        (self.paused_until, self.held_until, self.allowance, self.guesses) = (None, None, None, 0);
    }

    /// What request `number`, which is still counted as under way, was told about the others.
    pub(super) fn allow(&mut self, number: u64, now: Instant, said: Allowance) {
        // Which of those under way it has counted, nobody knows.
        let left = said.left.saturating_sub(self.in_flight.saturating_sub(1));
        let current = self.allowance.as_ref().filter(|known| known.until > now);
        // Answers overtake each other: an older one counts only if it says less.
        if current.is_none_or(|known| number > known.said_by || left < known.left) {
            self.allowance = Some(Known { left, until: now + said.reset.min(LONGEST_PAUSE), said_by: number });
        }
    }

    /// How long to leave it alone after a refusal that did not say.
    pub(super) fn guess(&mut self) -> Duration {
        let pause = FIRST_GUESS.saturating_mul(1 << self.guesses.min(10)).min(LONGEST_GUESS);
        self.guesses = self.guesses.saturating_add(1);
        pause
    }

    /// It took a request.
    pub(super) fn was_taken(&mut self) {
        self.guesses = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(left: u64, ms: u64) -> Allowance {
        Allowance { left, reset: Duration::from_millis(ms) }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_counted_down_and_comes_back_at_the_reset() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        let first = lane.begin();
        lane.allow(first, now, said(2, 500));
        lane.end();
        for _ in 0..2 {
            assert_eq!(lane.blocked(now), None);
            lane.begin();
        }
        let reset = now + Duration::from_millis(500);
        assert_eq!(lane.blocked(now), Some(reset));
        assert_eq!(lane.blocked(reset), None);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_under_way_are_taken_off_and_answers_may_overtake() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        let (first, second) = (lane.begin(), lane.begin());
        lane.allow(second, now, said(1, 1_000));
        assert!(lane.blocked(now).is_some(), "the first one may be that one");
        lane.end();
        lane.allow(first, now, said(9, 1_000));
        assert!(lane.blocked(now).is_some(), "an older answer");
        lane.end();
        let third = lane.begin();
        lane.allow(third, now, said(3, 1_000));
        assert_eq!(lane.blocked(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longer_pause_stays_and_guesses_double() {
        let (mut lane, now) = (Lane::default(), Instant::now());
        assert!(lane.pause(now + Duration::from_secs(5)));
        assert!(!lane.pause(now + Duration::from_secs(2)));
        assert_eq!(lane.blocked(now), Some(now + Duration::from_secs(5)));
        let guesses: Vec<u64> = (0..8).map(|_| lane.guess().as_secs()).collect();
        assert_eq!(guesses, [1, 2, 4, 8, 16, 32, 60, 60]);
        lane.was_taken();
        assert_eq!(lane.guess().as_secs(), 1);
    }
}
