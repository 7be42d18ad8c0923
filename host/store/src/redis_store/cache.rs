//! The cache that hosts share, on Redis. Everything expires by the server's clock, so hosts need not agree on the time.

use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

use super::RedisStore;
use super::call::ScriptCall;
use super::keys;
use super::link::Repeat;
use crate::clock::millis;
use crate::error::StoreError;
use crate::shared_cache::{Generations, SharedCache, SharedRead};

/// Field of the hash of generations that holds their version; the others are numbers of buckets.
const VERSION: &str = "v";

#[async_trait]
impl SharedCache for RedisStore {
    async fn read(&self, space: &str, key: &str, lease: Duration) -> Result<SharedRead, StoreError> {
        let ticket = self.request();
        let call = ScriptCall::default()
            .key(keys::cache_entry(space, key))
            .key(keys::cache_lease(space, key))
            .text(ticket.as_str())
            .number(millis(lease));
        // Not repeated: the second run would find the lease of the first and call it another host's.
        let script = &self.shared.scripts.cache_read;
        let (what, left, entry): (u8, u64, Bytes) =
            self.shared.link.run("read a cached result", Repeat::Never, script, &call).await?;
        let stale = || (!entry.is_empty()).then(|| entry.clone());
        Ok(match what {
            0 => SharedRead::Fresh { left: Duration::from_millis(left), entry },
            1 => SharedRead::Fetch { ticket, stale: stale() },
            _ => SharedRead::Wait { stale: stale() },
        })
    }

    async fn write(
        &self,
        space: &str,
        key: &str,
        entry: Bytes,
        fresh: Duration,
        keep: Duration,
    ) -> Result<(), StoreError> {
        let call = ScriptCall::default()
            .key(keys::cache_entry(space, key))
            .key(keys::cache_lease(space, key))
            .bytes(&entry)
            .number(millis(fresh))
            .number(millis(keep.max(fresh)));
        let script = &self.shared.scripts.cache_write;
        let _one: u64 = self.shared.link.run("cache a result", Repeat::Safe, script, &call).await?;
        Ok(())
    }

    async fn give_up(&self, space: &str, key: &str, ticket: &str) -> Result<(), StoreError> {
        let call = ScriptCall::default().key(keys::cache_lease(space, key)).text(ticket);
        let script = &self.shared.scripts.cache_give_up;
        let _one: u64 = self.shared.link.run("give up a cached result", Repeat::Safe, script, &call).await?;
        Ok(())
    }

    async fn generations(&self, space: &str, known: u64) -> Result<Option<Generations>, StoreError> {
        let call = ScriptCall::default().key(keys::cache_generations(space)).text(known.to_string());
        let script = &self.shared.scripts.cache_generations;
        let read: Option<Vec<(String, u64)>> =
            self.shared.link.run("read what is worthless in the cache", Repeat::Safe, script, &call).await?;
        Ok(read.map(|fields| {
            let mut generations = Generations::default();
            for (field, generation) in fields {
                match field.parse() {
                    Ok(bucket) => generations.buckets.push((bucket, generation)),
                    Err(_) if field == VERSION => generations.version = generation,
                    Err(_) => {}
                }
            }
            generations
        }))
    }

    async fn advance(&self, space: &str, buckets: &[u16], keep: Duration) -> Result<u64, StoreError> {
        let mut call = ScriptCall::default().key(keys::cache_generations(space)).number(millis(keep));
        for bucket in buckets {
            call = call.number(u64::from(*bucket));
        }
        // Made twice, entries are only worthless twice.
        let script = &self.shared.scripts.cache_advance;
        self.shared.link.run("make cached results worthless", Repeat::Safe, script, &call).await
    }
}
