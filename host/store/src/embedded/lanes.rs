//! Lanes and links, to be built.

use super::Embedded;
use crate::error::StoreError;
use crate::lanes::{HeldLane, LaneState, Lanes, Partition, Push, Settled};
use crate::links::Links;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

fn todo<T>() -> Result<T, StoreError> {
    Err(StoreError::unavailable("work on lanes", "not built yet"))
}

#[async_trait]
impl Lanes for Embedded {
    fn partitions(&self) -> u16 {
        1
    }
    fn partition_of(&self, _text: &str) -> Partition {
        Partition(0)
    }
    async fn push(&self, _partition: Partition, _pushes: Vec<Push>) -> Result<Vec<bool>, StoreError> {
        todo()
    }
    async fn take_lanes(&self, _most: usize, _entries: usize) -> Result<Vec<HeldLane>, StoreError> {
        todo()
    }
    async fn extend_lane(&self, _held: &HeldLane) -> Result<bool, StoreError> {
        todo()
    }
    async fn settle_lane(&self, _held: HeldLane, _settled: Settled) -> Result<(), StoreError> {
        todo()
    }
    async fn drop_lane(&self, _partition: Partition, _lane: &str) -> Result<bool, StoreError> {
        todo()
    }
    async fn hasten_lane(&self, _partition: Partition, _lane: &str) -> Result<bool, StoreError> {
        todo()
    }
    async fn lanes(&self, _prefix: &str, _limit: usize) -> Result<Vec<LaneState>, StoreError> {
        todo()
    }
    async fn lane_entries(
        &self,
        _partition: Partition,
        _lane: &str,
        _after: u64,
        _limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        todo()
    }
    async fn work_arrived(&self, at_most: Duration) {
        tokio::time::sleep(at_most).await;
    }
}

#[async_trait]
impl Links for Embedded {
    async fn link(&self, _index: &str, _key: &str, _member: &str, _keep: Duration) -> Result<(), StoreError> {
        todo()
    }
    async fn unlink(&self, _index: &str, _key: &str, _member: &str) -> Result<(), StoreError> {
        todo()
    }
    async fn linked(&self, _index: &str, _key: &str, _limit: usize) -> Result<Vec<String>, StoreError> {
        todo()
    }
}
