//! Computes without end, as a plugin with a bug in its loop does. The fuel ends it.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Turn};
use confab_plugin_sdk::prelude::*;
use std::hint::black_box;

struct Spins;

impl Dialogue for Spins {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        let mut count = 0_u64;
        loop {
            count = black_box(count.wrapping_add(1));
        }
    }
}

confab_plugin_sdk::intent!(Spins);
