//! Says how many there are of the article that the message names. It imports the inventory as if it were linked with a
//! connector; which one answers, the bot's binding says.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::use_capability::inventory;

struct Typed;

impl Dialogue for Typed {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let text = match inventory::availability(&turn.text, None) {
            Ok(levels) => {
                let places: Vec<String> = levels
                    .iter()
                    .map(|level| {
                        let place = level.location.as_deref().unwrap_or("all");
                        format!("{place}: {} of {} {}", level.available, level.on_hand, level.name)
                    })
                    .collect();
                places.join("; ")
            }
            Err(e) => format!("error {}", e.code),
        };
        let reply = Reply { kind: "text".into(), text, ..Default::default() };
        Ok(Outcome { replies: vec![reply], ..Default::default() })
    }
}

confab_plugin_sdk::intent!(Typed);
