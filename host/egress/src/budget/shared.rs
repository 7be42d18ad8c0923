//! What several hosts share of a budget: one schedule a connection, one pause an endpoint.
//!
//! Implemented by the engine over its store. All times are distances from now, by the clock of whoever shares them:
//! hosts' clocks differ.

use std::time::Duration;

use async_trait::async_trait;

use super::rate::Rate;

/// A place in the shared schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// How long to wait for it.
    pub wait: Duration,
    /// Whether it was taken; not when it comes later than was asked for.
    pub taken: bool,
    /// How long the endpoint is still to be left alone, as some host was told. `wait` is never less.
    pub paused: Duration,
}

/// The shared budget can't be asked. The host goes on with its own, as if it were alone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SharedBudgetError(pub String);

/// A budget that several hosts share.
#[async_trait]
pub trait SharedBudget: Send + Sync + 'static {
    /// Take the next place for a request of the connection (`TENANT/CONNECTION`) to the endpoint, if it comes within
    /// this time. Without rates only the pause counts.
    ///
    /// # Errors
    /// When nobody can say.
    async fn reserve(
        &self,
        connection: &str,
        endpoint: &str,
        rates: &[Rate],
        within: Duration,
    ) -> Result<Slot, SharedBudgetError>;

    /// The system asked to be left alone: tell all hosts. A longer pause that is known already stays.
    ///
    /// # Errors
    /// When nobody can be told.
    async fn pause(&self, connection: &str, endpoint: &str, pause: Duration) -> Result<(), SharedBudgetError>;

    /// The endpoint may be called again, whatever it asked for. Hosts that know of its pause keep to it all the same.
    ///
    /// # Errors
    /// When nobody can be told.
    async fn resume(&self, connection: &str, endpoint: &str) -> Result<(), SharedBudgetError>;
}
