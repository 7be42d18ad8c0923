//! Chance that can be had again: the same seed gives the same messages, copies and pauses. What the machine does with them, and
//! so which host dies in the middle of what, is another matter.

use std::time::Duration;

/// A stream of chance (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// For this thing among those of the same kind.
    pub fn new(seed: u64, of: &str, number: u64) -> Dice {
        let kind = of.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let mut dice = Dice(kind.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // Neighbours are apart after one step.
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to 1, without it.
    pub fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Yes with this probability.
    pub fn chance(&mut self, of: f64) -> bool {
        self.part() < of
    }

    /// Any number below this one; 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or_default()
    }

    /// A time between two.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + most.saturating_sub(least).mul_f64(self.part())
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Dice;

    #[test]
    fn the_same_thing_has_the_same_chance_again_and_its_neighbour_has_not() {
        let rolled = |number| {
            let mut dice = Dice::new(1, "visitor", number);
            (0..4).map(|_| dice.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(rolled(7), rolled(7));
        assert_ne!(rolled(7), rolled(8));
        let mut dice = Dice::new(1, "visitor", 0);
        let share = (0..10_000).filter(|_| dice.chance(0.05)).count();
        assert!((300..700).contains(&share), "{share} of 10,000 at 5 %");
    }
}
