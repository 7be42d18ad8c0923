//! Rate-limit counters, in memory only: a restart forgets them, which costs at most one window of a limit. Writing
//! them to disk would make every request a write.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::api::CounterIncrement;
use crate::clock::millis;

/// Below this many counters nothing is pruned: walking fewer costs less than remembering to.
const FIRST_PRUNE: usize = 4_096;

#[derive(Debug, Clone, Copy)]
struct Counter {
    value: u64,
    forget_at: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<State>);

#[derive(Debug)]
struct State {
    counters: HashMap<(String, u64), Counter>,
    /// The next walk happens at this size. It is twice what the last walk left, so a walk's cost is spread over as
    /// many new counters.
    prune_at: usize,
}

impl Default for State {
    fn default() -> Self {
        Self { counters: HashMap::new(), prune_at: FIRST_PRUNE }
    }
}

impl Counters {
    pub(super) fn add(&self, increments: Vec<CounterIncrement>, now: u64) -> Vec<u64> {
        let mut state = self.0.lock();
        if state.counters.len() >= state.prune_at {
            state.counters.retain(|_, counter| counter.forget_at > now);
            state.prune_at = (state.counters.len() * 2).max(FIRST_PRUNE);
        }
        let mut values = Vec::with_capacity(increments.len());
        for step in increments {
            let forget_at = now.saturating_add(millis(step.keep));
            let counter = state.counters.entry((step.key, step.window)).or_insert(Counter { value: 0, forget_at });
            if counter.forget_at <= now {
                counter.value = 0;
            }
            counter.value = counter.value.saturating_add(step.delta);
            counter.forget_at = forget_at;
            values.push(counter.value);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn old_windows_are_forgotten() {
        let counters = Counters::default();
        for window in 0..50_000 {
            let step = CounterIncrement { key: "k".to_owned(), window, delta: 1, keep: Duration::from_millis(100) };
            assert_eq!(counters.add(vec![step], window), [1]);
        }
        assert!(counters.0.lock().counters.len() <= FIRST_PRUNE);
    }
}
