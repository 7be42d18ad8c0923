//! Who holds which lane, in memory: one process owns the file, and a restart frees all lanes.
//!
//! 1. To take a lane, look at the due ones in a snapshot that was begun with the holds locked. A hold ends only when
//!    what its holder settled is on disk, so a lane that nobody holds then has in the snapshot all that was settled.
//! 2. A hold is of one life of a lane (`born`): a lane that was dropped and pushed anew is free, whoever held the old.
//! 3. While a settling is being written, the lane can't be taken, however late it is. If it can't be written, the lane
//!    stays held, as if its holder had been killed.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lanes::LANE_HOLD;

#[derive(Debug)]
pub(super) struct HeldLanes {
    holds: Mutex<Holds>,
    /// Told of each change that may have made a lane due, or due sooner.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct Holds {
    last_token: u64,
    by_lane: HashMap<String, Hold>,
}

#[derive(Debug)]
struct Hold {
    token: u64,
    born: u64,
    ends: Ends,
}

#[derive(Debug, Clone, Copy)]
enum Ends {
    At(Instant),
    WhenSettled,
}

impl HeldLanes {
    /// Tokens grow from here, so that those of an earlier process mean nothing.
    pub(super) fn new(first_token: u64) -> Self {
        Self { holds: Mutex::new(Holds { last_token: first_token, by_lane: HashMap::new() }), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock()
    }

    /// Holds the lane for another time; `false` if the token is not its holder's.
    pub(super) fn extend(&self, lane: &str, token: u64) -> bool {
        let ends = Ends::At(Instant::now() + LANE_HOLD);
        self.holds.lock().of(lane, token).map(|hold| hold.ends = ends).is_some()
    }

    /// Bars others until [`HeldLanes::free`], and tells which life of the lane is held. `None` if the token is not its
    /// holder's.
    pub(super) fn begin_settling(&self, lane: &str, token: u64) -> Option<u64> {
        let mut holds = self.holds.lock();
        let hold = holds.of(lane, token)?;
        hold.ends = Ends::WhenSettled;
        Some(hold.born)
    }

    pub(super) fn free(&self, lane: &str, token: u64) {
        let mut holds = self.holds.lock();
        if holds.of(lane, token).is_some() {
            holds.by_lane.remove(lane);
        }
    }

    /// Takes a life of a lane from whoever holds it.
    pub(super) fn revoke(&self, lane: &str, born: u64) {
        let mut holds = self.holds.lock();
        if holds.by_lane.get(lane).is_some_and(|hold| hold.born == born) {
            holds.by_lane.remove(lane);
        }
    }
}

impl Holds {
    pub(super) fn is_free(&self, lane: &str, born: u64, now: Instant) -> bool {
        self.by_lane.get(lane).is_none_or(|hold| match hold.ends {
            _ if hold.born != born => true,
            Ends::At(end) => end <= now,
            Ends::WhenSettled => false,
        })
    }

    /// Gives the lane to somebody; returns its token.
    pub(super) fn take(&mut self, lane: &str, born: u64, now: Instant) -> u64 {
        self.last_token = self.last_token.saturating_add(1);
        let hold = Hold { token: self.last_token, born, ends: Ends::At(now + LANE_HOLD) };
        self.by_lane.insert(lane.to_owned(), hold);
        self.last_token
    }

    fn of(&mut self, lane: &str, token: u64) -> Option<&mut Hold> {
        self.by_lane.get_mut(lane).filter(|hold| hold.token == token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_is_being_settled_is_not_taken_however_late() {
        let held = HeldLanes::new(7);
        let token = held.lock().take("lane", 1, Instant::now());
        assert_eq!(held.begin_settling("lane", token), Some(1));
        tokio::time::advance(LANE_HOLD * 2).await;
        assert!(!held.lock().is_free("lane", 1, Instant::now()));
        // It could not be written.
        assert!(held.extend("lane", token));
        assert!(!held.lock().is_free("lane", 1, Instant::now()));
        tokio::time::advance(LANE_HOLD).await;
        assert!(held.lock().is_free("lane", 1, Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn another_life_of_a_lane_is_free_and_only_its_own_hold_ends() {
        let held = HeldLanes::new(7);
        let old = held.lock().take("lane", 1, Instant::now());
        assert!(held.lock().is_free("lane", 2, Instant::now()));
        let new = held.lock().take("lane", 2, Instant::now());
        assert!(new > old && old > 7);
        held.free("lane", old);
        held.revoke("lane", 1);
        assert_eq!(held.begin_settling("lane", old), None);
        assert!(!held.lock().is_free("lane", 2, Instant::now()));
        held.revoke("lane", 2);
        assert!(held.lock().by_lane.is_empty());
    }
}
