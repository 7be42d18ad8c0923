//! WASI's chance and time made of a seed and a moment, so that a call that is run again sees the same.
//!
//! | WASI | is |
//! |---|---|
//! | `random` | SHA-256 of the seed, a domain and a counter, block after block |
//! | `insecure` and its seed | the same in other domains |
//! | `wall-clock` | the moment of the call; it stands still, as `confab:plugin/clock` does |
//! | `monotonic-clock` | begins at that moment and goes on by [`STEP`] each time that somebody looks |
//!
//! SHA-256 instead of a stream cipher: it is here already, its output stays the same with every version of every crate, and
//! 100 ns for 32 bytes are nothing beside the border that they cross.

use sha2::{Digest, Sha256};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtxBuilder};

/// How far the monotonic clock goes at each look. Time stands still otherwise, so that whoever waits for it in a loop gets
/// there: a thousand looks are a second.
const STEP: Duration = Duration::from_millis(1);

/// Gives a context chance and time of this call.
pub(crate) fn in_wasi(ctx: &mut WasiCtxBuilder, seed: &[u8; 32], now_millis: u64) {
    let now = Duration::from_millis(now_millis);
    let mut insecure_seed = [0; 16];
    Stream::new(seed, "wasi:random/insecure-seed").fill(&mut insecure_seed);
    ctx.secure_random(Stream::new(seed, "wasi:random/random"))
        .insecure_random(Stream::new(seed, "wasi:random/insecure"))
        .insecure_random_seed(u128::from_le_bytes(insecure_seed))
        .wall_clock(Standing(now))
        .monotonic_clock(Stepping(AtomicU64::new(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))));
}

/// Bytes without end from a seed. Other domains of the same seed have nothing in common.
struct Stream {
    start: Sha256,
    blocks: u64,
    block: [u8; 32],
    /// Bytes of the block that are used.
    used: usize,
}

impl Stream {
    fn new(seed: &[u8; 32], domain: &str) -> Self {
        let start = Sha256::new_with_prefix(seed).chain_update([0]).chain_update(domain).chain_update([0]);
        Stream { start, blocks: 0, block: [0; 32], used: 32 }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.used == self.block.len() {
                self.block = self.start.clone().chain_update(self.blocks.to_le_bytes()).finalize().into();
                self.blocks = self.blocks.wrapping_add(1);
                self.used = 0;
            }
            *byte = self.block.get(self.used).copied().unwrap_or_default();
            self.used += 1;
        }
    }
}

impl rand_core::TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

struct Standing(Duration);

impl HostWallClock for Standing {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

struct Stepping(AtomicU64);

impl HostMonotonicClock for Stepping {
    fn resolution(&self) -> u64 {
        step()
    }

    fn now(&self) -> u64 {
        self.0.fetch_add(step(), Ordering::Relaxed)
    }
}

fn step() -> u64 {
    u64::try_from(STEP.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_the_same_for_a_seed_however_it_is_read_and_another_for_another() {
        let whole = |seed: u8, domain: &str| {
            let mut bytes = [0; 100];
            Stream::new(&[seed; 32], domain).fill(&mut bytes);
            bytes
        };
        let mut parts = Vec::new();
        let mut stream = Stream::new(&[7; 32], "a");
        for size in [1, 31, 33, 35] {
            let mut part = vec![0; size];
            stream.fill(&mut part);
            parts.extend(part);
        }
        assert_eq!(parts, whole(7, "a"));
        assert_ne!(whole(7, "a"), whole(7, "b"));
        assert_ne!(whole(7, "a"), whole(8, "a"));
        assert_ne!(whole(7, "a")[..32], whole(7, "a")[32..64]);
    }
}
