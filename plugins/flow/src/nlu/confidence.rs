//! From evidence to one confidence between 0 and 1.
//!
//! A logistic function of four figures. Its coefficients were fitted on simulated small bots: draws of 5 to 20 intents
//! with 4 to 10 examples from CLINC150, with its out-of-scope queries and queries of the other intents as strangers
//! (`cargo test -p confab-plugin-flow --release -- --ignored fit --nocapture` repeats it), and checked on HWU64.
//! Nearness to the closest example and the share of words known to any intent were tried and added nothing.
//! 0.5 is where a wrong acceptance and a wrong refusal cost the same.

/// What speaks for a class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Evidence {
    /// The classifier's margin.
    pub(crate) margin: f32,
    /// Over the next class.
    pub(crate) lead: f32,
    /// Share of the words that examples of the class have.
    pub(crate) of_class: f32,
    /// Number of words and entities.
    pub(crate) words: usize,
}

/// Figures of the function, and its constant last.
pub(crate) const FIGURES: usize = 5;

/// See above; rewritten by hand from the output of `fit`.
pub(crate) const COEFFICIENTS: [f32; FIGURES] = [5.05, 2.15, 1.9, 0.2, -0.2];

impl Evidence {
    /// The figures that the function weighs.
    pub(crate) fn figures(&self) -> [f32; FIGURES] {
        [self.margin, self.lead.clamp(-1.0, 1.0), self.of_class, (self.words.max(1) as f32).ln(), 1.0]
    }

    /// 0 to 1.
    pub(crate) fn confidence(&self) -> f32 {
        let sum: f32 = self.figures().iter().zip(COEFFICIENTS).map(|(figure, coefficient)| figure * coefficient).sum();
        1.0 / (1.0 + (-sum).exp())
    }
}
