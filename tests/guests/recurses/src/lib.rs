//! Calls itself without end. The guest's stack is the host's to guard: it ends as a trap, never as a crash.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;
use std::hint::black_box;

struct Recurses;

impl Dialogue for Recurses {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        let reply = Reply { kind: "text".into(), text: deeper(0).to_string(), ..Default::default() };
        Ok(Outcome { replies: vec![reply], ..Default::default() })
    }
}

/// The addition after the call keeps it from becoming a loop.
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { deeper(depth + 1).wrapping_add(black_box(depth)) }
}

confab_plugin_sdk::intent!(Recurses);
