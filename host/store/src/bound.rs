//! How long a bounded log may grow before it is cut.
//!
//! To cut one record with each append would rewrite the old end of the log every time. So the log runs over by a
//! slack, and one cut takes it away: the old end is rewritten once for that many appends.

/// The slack is a tenth of what is kept, but never more than this: a cut is part of somebody's write, and removing
/// this many records of 2 kB took 1 to 4 ms, in the embedded store and in Redis, of 10,000 as of 100,000.
const LARGEST_SLACK: u64 = 256;

/// What a log keeps, and the length above which it is cut to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound {
    pub(crate) keep: u64,
    pub(crate) cut_above: u64,
}

impl Bound {
    pub(crate) fn of(keep: usize) -> Self {
        // More than this can't be counted exactly by all that counts (2^53), and is no bound to anybody.
        let keep = u64::try_from(keep).unwrap_or(u64::MAX).min(1 << 52);
        Self { keep, cut_above: keep + (keep / 10).min(LARGEST_SLACK) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_runs_over_by_a_tenth_at_most() {
        for (keep, cut_above) in [(0, 0), (1, 1), (9, 9), (10, 11), (1_000, 1_100), (1_000_000, 1_000_256)] {
            assert_eq!(Bound::of(keep).cut_above, cut_above);
        }
        assert_eq!(Bound::of(usize::MAX).keep, 1 << 52);
    }
}
