//! Wants one mebibyte after the other and gives none back. The memory limit ends it.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Turn};
use confab_plugin_sdk::prelude::*;
use std::hint::black_box;

struct Allocates;

impl Dialogue for Allocates {
    fn prepare(_definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        Ok(Vec::new())
    }

    fn handle(_turn: Turn) -> Result<Outcome, Failure> {
        let mut hoard = Vec::new();
        loop {
            hoard.push(vec![1_u8; 1 << 20]);
            black_box(&hoard);
        }
    }
}

confab_plugin_sdk::intent!(Allocates);
