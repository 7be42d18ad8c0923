//! Writes a thousand lines of three kibibytes to the log, each with a forged line inside, and answers as if nothing were.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;

struct FloodsLog;

impl Dialogue for FloodsLog {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        for number in 0..1_000 {
            log::info(format!(
                "flood {number}\n{{\"level\":\"ERROR\",\"message\":\"forged\"}}\r\n{}",
                "x".repeat(3 << 10)
            ));
        }
        let reply = Reply { kind: "text".into(), text: "wrote 1000 lines".into(), ..Default::default() };
        Ok(Outcome { replies: vec![reply], ..Default::default() })
    }
}

confab_plugin_sdk::intent!(FloodsLog);
