//! Asks for the same stock again and again, whatever the answer. The limit of capability calls ends it.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Turn};
use confab_plugin_sdk::prelude::*;

struct CallsInALoop;

impl Dialogue for CallsInALoop {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        loop {
            let _ = host::invoke("inventory", "availability", r#"{"sku": "SKU-1001"}"#);
        }
    }
}

confab_plugin_sdk::intent!(CallsInALoop);
