//! Data that a connection keeps. On disk when the call returns; nobody else can see it.

use crate::bindings::imports::confab::plugin::kv as wit;
use serde::{Serialize, de::DeserializeOwned};

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::confab::plugin::kv as door;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::door::kv as door;

pub use wit::{Entry, KvError};

/// Get a value as it was stored.
pub fn get(key: &str) -> Result<Option<Vec<u8>>, KvError> {
    door::get(key)
}
/// Get a value stored as JSON.
pub fn get_json<T: DeserializeOwned>(key: &str) -> Result<Option<T>, KvError> {
    door::get(key)?.map(|bytes: Vec<u8>| from_json(&bytes)).transpose()
}
/// Set a value.
pub fn set(key: &str, value: &[u8]) -> Result<(), KvError> {
    door::set(key, value)
}
/// Set a value as JSON.
pub fn set_json<T: Serialize>(key: &str, value: &T) -> Result<(), KvError> {
    door::set(key, &to_json(value)?)
}
/// Set a value only if the key has none; gives back the one that was there, in which case nothing was written.
pub fn insert(key: &str, value: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
    door::insert(key, value)
}
/// The same as JSON.
pub fn insert_json<T: Serialize + DeserializeOwned>(key: &str, value: &T) -> Result<Option<T>, KvError> {
    door::insert(key, &to_json(value)?)?.map(|bytes: Vec<u8>| from_json(&bytes)).transpose()
}
/// Delete a value.
pub fn delete(key: &str) -> Result<(), KvError> {
    door::delete(key)
}
/// Entries whose key starts with `prefix`, in key order, after `after`; at most 1,000.
pub fn scan(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<Entry>, KvError> {
    door::scan(prefix, after, limit)
}
/// Add to a counter; gives its new value.
pub fn add(key: &str, delta: i64) -> Result<i64, KvError> {
    door::add(key, delta)
}

/// A value that seldom changes: as it was read within the last `most_ms` milliseconds, or read now and kept. One that can't
/// be kept (a value has at most 64 KiB) is read by each call, and the log says so; one of another shape is read anew.
///
/// # Errors
/// Those of `read`.
pub fn remembered<T: Serialize + DeserializeOwned>(
    key: &str,
    most_ms: u64,
    read: impl FnOnce() -> crate::Result<T>,
) -> crate::Result<T> {
    let now = crate::host::now_millis();
    if let Ok(Some(kept)) = get_json::<(u64, T)>(key)
        && now.saturating_sub(kept.0) < most_ms
    {
        return Ok(kept.1);
    }
    let kept = (now, read()?);
    if let Err(e) = set_json(key, &kept) {
        crate::log::warn(format!("{key} is read by each call, as it can't be kept: {}", e.message));
    }
    Ok(kept.1)
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, KvError> {
    serde_json::to_vec(value)
        .map_err(|e| KvError { code: "invalid-input".into(), message: format!("not representable as JSON: {e}") })
}
fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, KvError> {
    serde_json::from_slice(bytes)
        .map_err(|e| KvError { code: "invalid-input".into(), message: format!("stored value has another shape: {e}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Host;

    #[test]
    fn what_seldom_changes_is_read_again_when_it_is_old_or_has_another_shape() {
        let host = Host::new().now(1_000_000);
        let read = |value: u32| host.run(|| remembered("about", 60_000, || Ok(value)).unwrap());
        assert_eq!((read(1), read(2)), (1, 1));
        host.run(|| set("about", b"[1000000, \"text\"]").unwrap());
        assert_eq!((read(3), read(4)), (3, 3));
        let refused = host.run(|| remembered::<u32>("other", 1, || Err(crate::error(crate::Code::Timeout, "late"))));
        assert_eq!(refused.unwrap_err().code, "timeout");
        assert_eq!(host.kv().len(), 1);
    }
}
