//! The rates and pauses of connections, shared by all hosts through the store.

use async_trait::async_trait;
use confab_egress::{Rate, SharedBudget, SharedBudgetError, Slot};
use confab_store::{LanePause, Pace, PaceStep, Paced, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// See the module.
pub(crate) struct StoreBudget(pub(crate) Arc<dyn Store>);

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn failed(error: StoreError) -> SharedBudgetError {
    SharedBudgetError(error.to_string())
}

#[async_trait]
impl SharedBudget for StoreBudget {
    async fn reserve(
        &self,
        connection: &str,
        endpoint: &str,
        rates: &[Rate],
        within: Duration,
    ) -> Result<Slot, SharedBudgetError> {
        let pace = |rate: &Rate| Pace { interval_us: us(rate.interval), tolerance_us: us(rate.tolerance) };
        let step = PaceStep {
            schedule: connection.to_owned(),
            lane: endpoint.to_owned(),
            paces: rates.iter().map(pace).collect(),
            take_within: Some(within),
            pause: LanePause::Keep,
        };
        let Paced { wait, taken, paused } = self.0.pace(step).await.map_err(failed)?;
        Ok(Slot { wait, taken, paused })
    }

    async fn pause(&self, connection: &str, endpoint: &str, pause: Duration) -> Result<(), SharedBudgetError> {
        self.change(connection, endpoint, LanePause::AtLeast(pause)).await
    }

    async fn resume(&self, connection: &str, endpoint: &str) -> Result<(), SharedBudgetError> {
        self.change(connection, endpoint, LanePause::End).await
    }
}

impl StoreBudget {
    async fn change(&self, connection: &str, endpoint: &str, pause: LanePause) -> Result<(), SharedBudgetError> {
        let step = PaceStep {
            schedule: connection.to_owned(),
            lane: endpoint.to_owned(),
            paces: Vec::new(),
            take_within: None,
            pause,
        };
        self.0.pace(step).await.map(drop).map_err(failed)
    }
}
