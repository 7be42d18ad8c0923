//! Says what it heard and counts the turns of the conversation: the smallest bot there is.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;

struct Echo;

impl Dialogue for Echo {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let seen = turn.state.first().copied().unwrap_or(0).wrapping_add(1);
        Ok(Outcome {
            replies: vec![Reply {
                kind: "text".into(),
                text: format!("{}: {}", seen, turn.text),
                ..Default::default()
            }],
            state: vec![seen],
            ..Default::default()
        })
    }
}

confab_plugin_sdk::intent!(Echo);
