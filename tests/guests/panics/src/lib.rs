//! Panics when a message says `panic`; counts the turns of the conversation otherwise, so that a test can see that a
//! failed turn leaves the state as it was.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;

struct Panics;

impl Dialogue for Panics {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        assert_ne!(turn.text, "panic", "told to panic");
        let seen = turn.state.first().copied().unwrap_or(0).wrapping_add(1);
        let reply = Reply { kind: "text".into(), text: format!("{}: {}", seen, turn.text), ..Default::default() };
        Ok(Outcome { replies: vec![reply], state: vec![seen], ..Default::default() })
    }
}

confab_plugin_sdk::intent!(Panics);
