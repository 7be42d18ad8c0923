//! Waiting for something that must come true, with a deadline. Nothing here waits for a time to pass.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Longer than anything may take on two busy cores; a test that fails waits this long once.
pub const LONG: Duration = Duration::from_secs(120);
/// How often to look.
const EVERY: Duration = Duration::from_millis(20);

/// Looks again and again until there is something, and gives it back.
///
/// # Errors
/// When looking fails, or nothing came within the time.
pub async fn until<T, F, L>(what: &str, within: Duration, mut look: F) -> Result<T>
where
    F: FnMut() -> L,
    L: Future<Output = Result<Option<T>>>,
{
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {within:?}");
        }
        tokio::time::sleep(EVERY).await;
    }
}
