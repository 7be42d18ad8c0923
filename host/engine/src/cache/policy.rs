//! Which operations are kept, and how long: what the connector's manifest declares, and what a connection's file changes of it.
//!
//! ```yaml
//! cache: off                                     # nothing of this connection is kept
//! cache:
//!   inventory.availability: {ttl_s: 5}           # the rest as the manifest says
//!   orders.get: off
//! ```
//!
//! Only what reads can be kept. What a write makes worthless, the manifest alone says: who switches the cache off switches off
//! nothing that others need.

use super::generations::bucket;
use confab_sandbox::Manifest;
use confab_sandbox::manifest::CacheManifest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Longest that a `not-found` is kept, in milliseconds: what was just created must be found soon.
const NEGATIVE_MS: u64 = 10_000;
/// Bounds of `ttl_s`, `stale_while_revalidate_s` and `stale_if_error_s`, as in a manifest.
const MOST: [(&str, u32, u32); 3] =
    [("ttl_s", 1, 86_400), ("stale_while_revalidate_s", 0, 86_400), ("stale_if_error_s", 0, 604_800)];

/// What a connection's file says of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheDoc {
    /// Nothing is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// By operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operations: BTreeMap<String, OperationCacheDoc>,
}

/// What it says of one operation. What is none is as the manifest has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperationCacheDoc {
    /// It is not kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// Seconds for which a result is fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
    /// Seconds after that in which it is served while a new one is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_while_revalidate_s: Option<u32>,
    /// Seconds after freshness in which it is served when the system does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_if_error_s: Option<u32>,
    /// What it depends on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// How results of one operation are kept. Times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(super) ttl: u64,
    pub(super) revalidate: u64,
    pub(super) on_error: u64,
    tags: Vec<String>,
}

/// Capability to function to `T`.
type ByOperation<T> = HashMap<String, HashMap<String, T>>;

/// The policies of a connection.
#[derive(Debug, Default)]
pub(super) struct Policies {
    keeps: ByOperation<Arc<Policy>>,
    spoils: ByOperation<Vec<String>>,
}

impl Policies {
    pub(super) fn new(manifest: &Manifest, doc: Option<&CacheDoc>) -> Policies {
        let mut policies = Policies::default();
        let mut found: BTreeMap<&str, CacheManifest> = BTreeMap::new();
        for operation in &manifest.operations {
            if !operation.invalidates.is_empty() {
                put(&mut policies.spoils, &operation.name, operation.invalidates.clone());
            }
            if let Some(cache) = &operation.cache {
                found.insert(&operation.name, cache.clone());
            }
        }
        for (name, own) in doc.iter().flat_map(|doc| &doc.operations) {
            let mut cache = found.remove(name.as_str()).unwrap_or_default();
            cache.ttl_s = own.ttl_s.unwrap_or(cache.ttl_s);
            cache.stale_while_revalidate_s = own.stale_while_revalidate_s.unwrap_or(cache.stale_while_revalidate_s);
            cache.stale_if_error_s = own.stale_if_error_s.unwrap_or(cache.stale_if_error_s);
            cache.tags = own.tags.clone().unwrap_or(cache.tags);
            if !own.off {
                found.insert(name, cache);
            }
        }
        if doc.is_some_and(|doc| doc.off) {
            found.clear();
        }
        for (name, cache) in found {
            if cache.ttl_s > 0 && manifest.reads(name) {
                put(&mut policies.keeps, name, Arc::new(Policy::of(&cache)));
            }
        }
        policies
    }

    pub(super) fn keeps(&self, capability: &str, function: &str) -> Option<&Arc<Policy>> {
        get(&self.keeps, capability, function)
    }

    pub(super) fn spoils(&self, capability: &str, function: &str) -> Option<&Vec<String>> {
        get(&self.spoils, capability, function)
    }
}

fn put<T>(all: &mut ByOperation<T>, name: &str, value: T) {
    if let Some((capability, function)) = name.split_once('.') {
        all.entry(capability.to_owned()).or_default().insert(function.to_owned(), value);
    }
}

/// An interface of another package is called by its path, and named by its last part: `acme:erp/returns`, `returns.list`.
fn get<'a, T>(all: &'a ByOperation<T>, capability: &str, function: &str) -> Option<&'a T> {
    if all.is_empty() {
        return None;
    }
    all.get(capability.rsplit('/').next().unwrap_or(capability))?.get(function)
}

impl Policy {
    pub(super) fn of(cache: &CacheManifest) -> Policy {
        let ms = |seconds: u32| u64::from(seconds) * 1_000;
        Policy {
            ttl: ms(cache.ttl_s),
            revalidate: ms(cache.stale_while_revalidate_s),
            on_error: ms(cache.stale_if_error_s),
            tags: cache.tags.clone(),
        }
    }

    /// The same for an answer that there is nothing.
    pub(super) fn negative(&self) -> Policy {
        Policy { ttl: self.ttl.min(NEGATIVE_MS), revalidate: 0, on_error: 0, tags: Vec::new() }
    }

    /// The buckets of [generations](super::generations) that a result of a call depends on: the whole connection, and its tags.
    pub(super) fn buckets(&self, arguments: &Map<String, Value>) -> Vec<u16> {
        let mut buckets = vec![super::generations::WHOLE];
        buckets.extend(self.tags.iter().filter_map(|tag| filled(tag, arguments)).map(|tag| bucket(&tag)));
        buckets
    }
}

/// A tag with its arguments filled in; none where one is missing.
pub(super) fn filled(tag: &str, arguments: &Map<String, Value>) -> Option<String> {
    let mut text = String::with_capacity(tag.len() + 16);
    let mut rest = tag;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        text.push_str(before);
        match arguments.get(&name.replace('-', "_"))? {
            Value::String(value) => text.push_str(value),
            Value::Number(value) => text.push_str(&value.to_string()),
            Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        }
        rest = after;
    }
    text.push_str(rest);
    Some(text)
}

/// What is wrong with a connection's `cache`: the field, and words. `offers` tells whether the connector has an operation.
pub(crate) fn check(doc: &CacheDoc, manifest: &Manifest, offers: impl Fn(&str, &str) -> bool) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    for (name, own) in &doc.operations {
        let field = format!("cache.{name}");
        let known = name.split_once('.').is_some_and(|(capability, function)| offers(capability, function));
        if !known {
            wrong.push((field, format!("cache: connector `{}` has no operation `{name}`", manifest.name)));
            continue;
        }
        if own.off {
            continue;
        }
        if !manifest.reads(name) {
            wrong.push((field, format!("cache: `{name}` changes something, so its results can't be kept")));
            continue;
        }
        let declared = manifest.operation(name).and_then(|operation| operation.cache.as_ref());
        if declared.is_none() && own.ttl_s.is_none() {
            let message = format!("cache: `{name}` is not kept by itself: say for how long with `ttl_s`");
            wrong.push((field.clone(), message));
        }
        let given = [own.ttl_s, own.stale_while_revalidate_s, own.stale_if_error_s];
        for ((what, least, most), given) in MOST.into_iter().zip(given) {
            if given.is_some_and(|given| !(least..=most).contains(&given)) {
                wrong.push((field.clone(), format!("cache: {what} of `{name}` must be {least} to {most}")));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        serde_json::from_value(json!({"name": "x", "version": "1.0.0", "publisher": "p", "kind": "connector", "operations": [
            {"name": "inventory.availability", "cache": {"ttl_s": 15, "stale_if_error_s": 60, "tags": ["stock", "stock:{sku}"]}},
            {"name": "orders.get", "cache": {"ttl_s": 10}},
            {"name": "leads.create", "invalidates": ["leads", "lead:{id}"]},
        ]}))
        .unwrap()
    }

    fn doc(value: Value) -> CacheDoc {
        serde_json::from_value(value).unwrap()
    }

    fn wrong(value: Value) -> Vec<String> {
        let offers = |capability: &str, function: &str| (capability, function) != ("catalog", "sell");
        check(&doc(value), &manifest(), offers)
            .into_iter()
            .map(|(field, message)| format!("{field}: {message}"))
            .collect()
    }

    #[test]
    fn a_connection_changes_what_the_manifest_says_and_no_more() {
        let own = doc(json!({"operations": {
            "inventory.availability": {"ttl_s": 5}, "orders.get": {"off": true}, "catalog.get": {"ttl_s": 60}
        }}));
        let policies = Policies::new(&manifest(), Some(&own));
        let stock = policies.keeps("inventory", "availability").unwrap();
        assert_eq!((stock.ttl, stock.revalidate, stock.on_error), (5_000, 0, 60_000));
        assert_eq!(stock.buckets(json!({"sku": "A"}).as_object().unwrap()).len(), 3);
        assert!(policies.keeps("orders", "get").is_none());
        assert_eq!(policies.keeps("catalog", "get").unwrap().ttl, 60_000);
        assert!(policies.keeps("acme:erp/catalog", "get").is_some() && policies.keeps("catalog", "search").is_none());
        let off = Policies::new(&manifest(), Some(&doc(json!({"off": true}))));
        assert!(off.keeps("inventory", "availability").is_none());
        assert_eq!(off.spoils("leads", "create").map(Vec::len), Some(2));
    }

    #[test]
    fn a_tag_whose_argument_is_missing_is_none() {
        let arguments = json!({"sku": "A-1", "limit": 3, "customer_id": "7", "where": null});
        let tag = |tag: &str| filled(tag, arguments.as_object().unwrap());
        assert_eq!(tag("stock").as_deref(), Some("stock"));
        assert_eq!(tag("stock:{sku}:{limit}").as_deref(), Some("stock:A-1:3"));
        assert_eq!(tag("orders:{customer-id}").as_deref(), Some("orders:7"));
        assert_eq!((tag("stock:{location}"), tag("{where}"), tag("broken{sku")), (None, None, None));
    }

    #[test]
    fn what_can_not_be_kept_is_said() {
        assert!(
            wrong(json!({"operations": {"inventory.availability": {"ttl_s": 5}, "catalog.get": {"ttl_s": 5}}}))
                .is_empty()
        );
        for (operation, own, words) in [
            ("leads.create", json!({"ttl_s": 5}), "changes something"),
            ("catalog.sell", json!({"ttl_s": 5}), "has no operation"),
            ("catalog.get", json!({"stale_if_error_s": 5}), "ttl_s"),
            ("orders.get", json!({"ttl_s": 0}), "1 to 86400"),
            ("orders.get", json!({"stale_if_error_s": 700_000}), "604800"),
        ] {
            let said = wrong(json!({"operations": {operation: own}}));
            assert!(said.len() == 1 && said[0].starts_with(&format!("cache.{operation}: ")), "{said:?}");
            assert!(said[0].contains(words), "{said:?}");
        }
    }
}
