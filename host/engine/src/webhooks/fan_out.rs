//! What happened, put into the lane of each webhook that wants it.
//!
//! A lane lies in one partition and a conversation in another, so this can't be one step with the commit. It is done again when a host
//! dies in the middle; each push has a number by which the webhook's lane knows it again.

use super::{lane_of, message::Told, ready};
use crate::engine::Engine;
use crate::work::{Tries, done};
use bytes::Bytes;
use confab_store::{HeldLane, Once, Partition, Push, Settled};
use std::collections::BTreeMap;
use std::time::Duration;

/// Messages of one turn at most: there are 64 calls and some effects. The number of a push is its entry's times this, and its place.
const MESSAGES: usize = 1_024;

impl Engine {
    pub(crate) async fn fan_out(&self, held: &HeldLane) -> Settled {
        let registry = self.inner.registry.load_full();
        let mut pushes: BTreeMap<Partition, Vec<Push>> = BTreeMap::new();
        let source = format!("{}/{}", super::OUT, held.partition.number());
        for (number, body) in &held.entries {
            let told: Told = match serde_json::from_slice(body) {
                Ok(told) => told,
                Err(error) => {
                    tracing::error!(%error, "what happened in a turn can't be read; no webhook hears of it");
                    continue;
                }
            };
            let Some(tenant) = registry.tenants.get(&told.tenant) else { continue };
            for (message, index) in told.messages.iter().take(MESSAGES).zip(0_u64..) {
                let body = Bytes::from(serde_json::to_vec(message).unwrap_or_default());
                for hook in tenant.webhooks.values() {
                    if !ready::wants(&hook.doc, &told.bot, &message.kind) {
                        continue;
                    }
                    let lane = lane_of(&told.tenant, &hook.doc.id);
                    let number = number.saturating_mul(MESSAGES as u64).saturating_add(index);
                    let once = Once::Numbered { source: source.clone(), number };
                    let to = pushes.entry(self.inner.store.partition_of(&lane)).or_default();
                    to.push(Push { lane, body: body.clone(), due_in: Duration::ZERO, once });
                }
            }
        }
        for (partition, pushes) in pushes {
            if let Err(error) = self.inner.store.push(partition, pushes).await {
                tracing::warn!(%error, "what happened can't be told yet");
                return Tries::of(held).again(held);
            }
        }
        done(held)
    }
}
