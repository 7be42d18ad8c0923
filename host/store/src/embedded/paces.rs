//! Schedules, in memory only: one process is all there is to share them, and a restart takes longer than most of their
//! intervals. Computes what `redis_store/scripts/pace.lua` does.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::api::{LanePause, PaceStep, Paced};

/// Below this many schedules nothing is pruned.
const FIRST_PRUNE: usize = 1_024;

#[derive(Debug, Default)]
struct Schedule {
    /// For each limit, when its bucket is empty.
    empty: Vec<u64>,
    paused: HashMap<String, u64>,
}

impl Schedule {
    fn says_something(&self, now: u64) -> bool {
        self.empty.iter().chain(self.paused.values()).any(|until| *until > now)
    }
}

#[derive(Debug)]
pub(super) struct Paces {
    began: Instant,
    known: Mutex<(HashMap<String, Schedule>, usize)>,
}

impl Default for Paces {
    fn default() -> Self {
        Self { began: Instant::now(), known: Mutex::new((HashMap::new(), FIRST_PRUNE)) }
    }
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Paces {
    pub(super) fn step(&self, step: PaceStep) -> Paced {
        self.step_at(step, us(self.began.elapsed()))
    }

    fn step_at(&self, step: PaceStep, now: u64) -> Paced {
        let mut known = self.known.lock();
        let (schedules, prune_at) = &mut *known;
        if schedules.len() >= *prune_at {
            schedules.retain(|_, schedule| schedule.says_something(now));
            *prune_at = (schedules.len() * 2).max(FIRST_PRUNE);
        }
        let schedule = schedules.entry(step.schedule).or_default();
        schedule.empty.resize(step.paces.len(), 0);
        match step.pause {
            LanePause::Keep => {}
            LanePause::AtLeast(pause) => {
                let until = schedule.paused.entry(step.lane.clone()).or_default();
                *until = (*until).max(now.saturating_add(us(pause)));
            }
            LanePause::End => {
                schedule.paused.remove(&step.lane);
            }
        }
        let paused = schedule.paused.get(&step.lane).copied().unwrap_or(0);
        let limits = step.paces.iter().zip(&mut schedule.empty);
        let at = limits.fold(now.max(paused), |at, (pace, empty)| at.max(empty.saturating_sub(pace.tolerance_us)));
        let taken = step.take_within.is_some_and(|within| at - now <= us(within));
        if taken {
            for (pace, empty) in step.paces.iter().zip(&mut schedule.empty) {
                *empty = (*empty).max(at).saturating_add(pace.interval_us);
            }
        }
        let (wait, paused) = (Duration::from_micros(at - now), Duration::from_micros(paused.saturating_sub(now)));
        Paced { wait, taken, paused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_that_say_nothing_are_forgotten() {
        let paces = Paces::default();
        for n in 0..50_000 {
            let step = PaceStep {
                schedule: format!("s{n}"),
                lane: "l".to_owned(),
                paces: Vec::new(),
                take_within: Some(Duration::ZERO),
                pause: LanePause::AtLeast(Duration::from_micros(5)),
            };
            assert!(!paces.step_at(step, n).taken);
        }
        assert!(paces.known.lock().0.len() <= FIRST_PRUNE);
    }
}
