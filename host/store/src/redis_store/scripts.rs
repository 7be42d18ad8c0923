//! The Lua scripts, each in a file of its own, known to the servers by their hashes.
//!
//! What several scripts share stands in a file too and is put before them.

/// A script.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) text: &'static str,
    pub(super) hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }
}

/// A script of these files, one after the other.
macro_rules! script {
    ($($file:literal),+) => { Script::new(concat!($(include_str!(concat!("scripts/", $file, ".lua"))),+)) };
}

/// All scripts; made once for each store, because hashing them is not free.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) begin: Script,
    pub(super) renew: Script,
    pub(super) journal: Script,
    pub(super) commit: Script,
    pub(super) release: Script,
    pub(super) delete_conversation: Script,
    pub(super) answer: Script,
    pub(super) push: Script,
    pub(super) lane_look: Script,
    pub(super) lane_take: Script,
    pub(super) lane_extend: Script,
    pub(super) lane_settle: Script,
    pub(super) lane_drop: Script,
    pub(super) lane_hasten: Script,
    pub(super) lane_list: Script,
    pub(super) link: Script,
    pub(super) linked: Script,
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
    pub(super) delete_log: Script,
    pub(super) count: Script,
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
            begin: script!("begin"),
            renew: script!("renew"),
            journal: script!("pushes", "journal"),
            commit: script!("wake", "pushes", "commit"),
            release: script!("wake", "release"),
            delete_conversation: script!("wake", "delete_conversation"),
            answer: script!("answer"),
            push: script!("pushes", "push"),
            lane_look: script!("pushes", "lane_look"),
            lane_take: script!("pushes", "lane_take"),
            lane_extend: script!("lane_holds", "lane_extend"),
            lane_settle: script!("pushes", "lane_holds", "lane_settle"),
            lane_drop: script!("pushes", "lane_drop"),
            lane_hasten: script!("pushes", "lane_hasten"),
            lane_list: script!("pushes", "lane_list"),
            link: script!("link"),
            linked: script!("linked"),
            document: script!("document"),
            documents: script!("documents"),
            change_documents: script!("change_documents"),
            kv_set: script!("kv_set"),
            kv_insert: script!("kv_insert"),
            kv_delete: script!("kv_delete"),
            kv_add: script!("kv_add"),
            kv_scan: script!("kv_scan"),
            kv_tally: script!("kv_tally"),
            append_records: script!("append_records"),
            delete_log: script!("delete_log"),
            count: script!("count"),
            pace: script!("pace"),
            cache_read: script!("cache_read"),
            cache_write: script!("cache_write"),
            cache_give_up: script!("cache_give_up"),
            cache_generations: script!("cache_generations"),
            cache_advance: script!("cache_advance"),
            lease_take: script!("lease_take"),
            lease_write: script!("lease_write"),
            lease_free: script!("lease_free"),
        }
    }
}
