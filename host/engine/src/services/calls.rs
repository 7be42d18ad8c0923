//! The capability calls of a turn: their numbers, and what they gave, for whoever serves the turn again.
//!
//! See [`crate::net`]: the version that steps in must not make calls twice that were made already.

use crate::cache::Served;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The calls of one try to serve a turn.
#[derive(Default)]
pub(super) struct Calls {
    made: u32,
    memory: Memory,
}

#[derive(Default)]
enum Memory {
    /// Nobody will ask.
    #[default]
    None,
    /// Calls are noted for whoever may have to serve the turn again.
    Noting(Notes),
    /// Calls were made before; the same ones get their results.
    Knowing(Notes),
}

/// Calls by number.
type Notes = Arc<Mutex<HashMap<u32, Call>>>;

struct Call {
    capability: String,
    function: String,
    arguments: Map<String, Value>,
    served: Served,
}

impl Calls {
    /// Notes calls from now on. Comes back: the calls of the next try, which know what was noted until then.
    pub(super) fn noting(&mut self) -> Calls {
        let notes = Notes::default();
        self.memory = Memory::Noting(notes.clone());
        Calls { made: 0, memory: Memory::Knowing(notes) }
    }

    /// Begins a call.
    pub(super) fn begin(&mut self) {
        self.made += 1;
    }

    /// Number of the call that was begun last, from 1. Idempotency keys are made of it.
    pub(super) fn number(&self) -> u32 {
        self.made
    }

    /// What the call of the same number gave before, if it was the same call.
    pub(super) fn known(&self, capability: &str, function: &str, arguments: &Map<String, Value>) -> Option<Served> {
        let Memory::Knowing(notes) = &self.memory else { return None };
        let notes = notes.lock();
        let call = notes.get(&self.made)?;
        let same = call.capability == capability && call.function == function && call.arguments == *arguments;
        same.then(|| call.served.clone())
    }

    /// The call that was begun last gave this.
    pub(super) fn ended(&self, capability: &str, function: &str, arguments: Map<String, Value>, served: &Served) {
        if let Memory::Noting(notes) = &self.memory {
            let (capability, function) = (capability.to_owned(), function.to_owned());
            notes.lock().insert(self.made, Call { capability, function, arguments, served: served.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use confab_sandbox::CapabilityError;
    use serde_json::json;

    fn served(answer: Result<Value, CapabilityError>) -> Served {
        Served::fetched(answer, 7)
    }

    fn arguments(number: u32) -> Map<String, Value> {
        Map::from_iter([("number".to_owned(), json!(number))])
    }

    #[test]
    fn the_same_call_at_the_same_place_gets_the_remembered_result_and_any_other_does_not() {
        let mut first = Calls::default();
        let mut second = first.noting();
        for number in 1..=3 {
            first.begin();
            assert_eq!(first.known("orders", "get", &arguments(number)), None);
            let answer = if number == 2 { Err(CapabilityError::new("not-found", "no")) } else { Ok(json!(number)) };
            first.ended("orders", "get", arguments(number), &served(answer));
        }
        // The fourth call was begun, and its end never came.
        first.begin();
        second.begin();
        assert_eq!(second.known("orders", "get", &arguments(1)), Some(served(Ok(json!(1)))));
        second.begin();
        assert_eq!(second.known("orders", "track", &arguments(2)), None);
        assert_eq!(second.known("tickets", "get", &arguments(2)), None);
        assert_eq!(second.known("orders", "get", &arguments(3)), None);
        assert_eq!(second.known("orders", "get", &arguments(2)).unwrap().answer.unwrap_err().code, "not-found");
        second.begin();
        assert_eq!(second.known("orders", "get", &arguments(3)), Some(served(Ok(json!(3)))));
        second.begin();
        assert_eq!((second.number(), second.known("orders", "get", &arguments(4))), (4, None));
    }

    #[test]
    fn nothing_is_kept_where_nobody_may_have_to_serve_the_turn_again() {
        let mut calls = Calls::default();
        calls.begin();
        calls.ended("orders", "get", arguments(1), &served(Ok(json!(1))));
        assert_eq!(calls.known("orders", "get", &arguments(1)), None);
    }
}
