//! Writes to its data without end. `large`: a value of more than 64 KiB, which is refused; `often`: small ones, until the
//! limit of reads and writes ends it; `much`: the largest ones there may be.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;

struct KvFlood;

impl Dialogue for KvFlood {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let size = match turn.text.as_str() {
            "large" => (64 << 10) + 1,
            "much" => 64 << 10,
            _ => 1,
        };
        let value = vec![7; size];
        for number in 0_u64.. {
            let Err(e) = kv::set(&format!("{} {number}", turn.number), &value) else { continue };
            let text = format!("refused: {}", e.code);
            let reply = Reply { kind: "text".into(), text, ..Default::default() };
            return Ok(Outcome { replies: vec![reply], ..Default::default() });
        }
        Ok(Outcome::default())
    }
}

confab_plugin_sdk::intent!(KvFlood);
