//! Trains a classifier of 20,000 words in `prepare`, 2.6 MB of memory, and looks words up in it: what a snapshot is for.

use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Reply, Turn};
use confab_plugin_sdk::prelude::*;
use std::sync::OnceLock;

const WORDS: u32 = 20_000;
const CLASSES: usize = 26;

/// A word with its weight for each class.
type Row = (String, [f32; CLASSES]);

static TRAINED: OnceLock<Vec<Row>> = OnceLock::new();

struct Trained;

impl Dialogue for Trained {
    fn prepare(definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let mut seed = definition.bytes().fold(1_u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let mut rows: Vec<Row> = (0..WORDS)
            .map(|number| {
                let weights = std::array::from_fn(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 8) as f32 / 16_777_216.0
                });
                (format!("word{:05}", number.wrapping_mul(7_919) % WORDS), weights)
            })
            .collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let _ = TRAINED.set(rows);
        Ok(Vec::new())
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let rows = TRAINED.get().map(Vec::as_slice).unwrap_or_default();
        let mut sums = [0.0_f32; CLASSES];
        for word in turn.text.split_whitespace() {
            let Ok(at) = rows.binary_search_by(|(known, _)| known.as_str().cmp(word)) else { continue };
            if let Some((_, weights)) = rows.get(at) {
                sums.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += weight);
            }
        }
        let best = sums.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
        Ok(Outcome {
            replies: vec![Reply { kind: "text".into(), text: format!("class {best}"), ..Default::default() }],
            ..Outcome::default()
        })
    }
}

confab_plugin_sdk::intent!(Trained);
