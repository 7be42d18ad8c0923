//! Looks for data of other bots, connections and tenants: by walking up, by separators that stores use, by no prefix at all.
//! It keeps the message under the key `own` first and says all keys and values that it came to see.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;

/// Ways to name what belongs to somebody else.
const ELSEWHERE: &[&str] = &[
    "../",
    "..",
    "/",
    "//",
    "*",
    "**",
    "%",
    "?",
    "[a-z]*",
    "\0",
    "\u{ff}",
    "{",
    "}",
    ":",
    "kv:",
    "kv/",
    "bot/",
    "connection/",
    "{shop}",
    "shop",
    "shop/",
    "shop\0",
    "other",
    "conversation",
    "head",
    "confab:",
    "\u{10ffff}",
];

struct ScansOthersData;

impl Dialogue for ScansOthersData {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let failed = |e: kv::KvError| Failure { code: e.code, message: e.message };
        kv::set("own", turn.text.as_bytes()).map_err(failed)?;
        let mut seen = Vec::new();
        for (prefix, after) in [("", None), ("", Some("")), ("", Some("\0")), ("o", None), ("own", Some("../"))] {
            for entry in kv::scan(prefix, after, u32::MAX).map_err(failed)? {
                seen.push(format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value)));
            }
        }
        for elsewhere in ELSEWHERE {
            for entry in kv::scan(elsewhere, None, 1_000).map_err(failed)? {
                seen.push(format!("{}={}", entry.key, String::from_utf8_lossy(&entry.value)));
            }
            if let Some(value) = kv::get(elsewhere).map_err(failed)? {
                seen.push(format!("{elsewhere}={}", String::from_utf8_lossy(&value)));
            }
        }
        seen.sort();
        seen.dedup();
        let text = seen.join("; ");
        let reply = Reply { kind: "text".into(), text, ..Default::default() };
        Ok(Outcome { replies: vec![reply], ..Default::default() })
    }
}

confab_plugin_sdk::intent!(ScansOthersData);
