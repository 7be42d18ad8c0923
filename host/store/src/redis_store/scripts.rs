//! The Lua scripts, each in a file of its own, known to the server by their hashes.

use redis::Script;

/// All scripts; made once for each store, because hashing them is not free.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) begin: Script,
    pub(super) commit: Script,
    pub(super) release: Script,
    pub(super) answer: Script,
    pub(super) document: Script,
    pub(super) documents: Script,
    pub(super) change_documents: Script,
    pub(super) kv_set: Script,
    pub(super) kv_insert: Script,
    pub(super) kv_delete: Script,
    pub(super) kv_add: Script,
    pub(super) kv_scan: Script,
    pub(super) kv_tally: Script,
    pub(super) append_records: Script,
    pub(super) pace: Script,
    pub(super) cache_read: Script,
    pub(super) cache_write: Script,
    pub(super) cache_give_up: Script,
    pub(super) cache_generations: Script,
    pub(super) cache_advance: Script,
    pub(super) lease_take: Script,
    pub(super) lease_write: Script,
    pub(super) lease_free: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        Self {
            begin: Script::new(include_str!("scripts/begin.lua")),
            commit: Script::new(include_str!("scripts/commit.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            answer: Script::new(include_str!("scripts/answer.lua")),
            document: Script::new(include_str!("scripts/document.lua")),
            documents: Script::new(include_str!("scripts/documents.lua")),
            change_documents: Script::new(include_str!("scripts/change_documents.lua")),
            kv_set: Script::new(include_str!("scripts/kv_set.lua")),
            kv_insert: Script::new(include_str!("scripts/kv_insert.lua")),
            kv_delete: Script::new(include_str!("scripts/kv_delete.lua")),
            kv_add: Script::new(include_str!("scripts/kv_add.lua")),
            kv_scan: Script::new(include_str!("scripts/kv_scan.lua")),
            kv_tally: Script::new(include_str!("scripts/kv_tally.lua")),
            append_records: Script::new(include_str!("scripts/append_records.lua")),
            pace: Script::new(include_str!("scripts/pace.lua")),
            cache_read: Script::new(include_str!("scripts/cache_read.lua")),
            cache_write: Script::new(include_str!("scripts/cache_write.lua")),
            cache_give_up: Script::new(include_str!("scripts/cache_give_up.lua")),
            cache_generations: Script::new(include_str!("scripts/cache_generations.lua")),
            cache_advance: Script::new(include_str!("scripts/cache_advance.lua")),
            lease_take: Script::new(include_str!("scripts/lease_take.lua")),
            lease_write: Script::new(include_str!("scripts/lease_write.lua")),
            lease_free: Script::new(include_str!("scripts/lease_free.lua")),
        }
    }
}
