//! Returns a state of one mebibyte, four times what a conversation may keep.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;

struct BigState;

impl Dialogue for BigState {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        let reply = Reply { kind: "text".into(), text: "remembered".into(), ..Default::default() };
        Ok(Outcome { replies: vec![reply], state: vec![7; 1 << 20], ..Default::default() })
    }
}

confab_plugin_sdk::intent!(BigState);
