//! Calls the capability function that a message names as JSON and says, as JSON, what came of it: how a test reaches a
//! connector.
//!
//! `{"capability": "catalog", "function": "get", "arguments": {"sku": "SKU-1001"}}` is answered with `{"ok": ...}` or
//! `{"error": {"code": ..., "message": ...}}`. A message that names no capability calls nothing and is answered with `{}`.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

struct Calls;

impl Dialogue for Calls {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let refuse = |message: String| Failure { code: "invalid-input".into(), message };
        let told: Value = serde_json::from_str(&turn.text).map_err(|e| refuse(e.to_string()))?;
        let word = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default();
        let arguments = told.get("arguments").cloned().unwrap_or_else(|| json!({})).to_string();
        let answer =
            match told.get("capability").map(|_| host::invoke(word("capability"), word("function"), &arguments)) {
                None => json!({}),
                Some(Ok(result)) => {
                    json!({"ok": serde_json::from_str::<Value>(&result).map_err(|e| refuse(e.to_string()))?})
                }
                Some(Err(e)) => json!({"error": {"code": e.code, "message": e.message}}),
            };
        let text = answer.to_string();
        let reply = Reply { kind: "text".into(), text, ..Default::default() };
        Ok(Outcome { replies: vec![reply], ..Default::default() })
    }
}

confab_plugin_sdk::intent!(Calls);
