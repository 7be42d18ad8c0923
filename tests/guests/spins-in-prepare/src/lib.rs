//! Never gets ready: `prepare` computes without end. Publishing it must fail and hold up nobody.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Turn};
use confab_plugin_sdk::prelude::*;
use std::hint::black_box;

struct SpinsInPrepare;

impl Dialogue for SpinsInPrepare {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let mut count = 0_u64;
        loop {
            count = black_box(count.wrapping_add(1));
        }
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        Ok(Outcome::default())
    }
}

confab_plugin_sdk::intent!(SpinsInPrepare);
