//! What capability calls gave, kept for a while: see docs/decisions/0012-result-cache.md.
//!
//! | module | what it holds |
//! |---|---|
//! | [`policy`] | which operations are kept, how long, and what makes them worthless: manifest and connection's file |
//! | [`key`] | what makes two calls equal |
//! | [`entry`] | a result that is kept, and until when it is good for what |
//! | [`shelf`] | the entries of this host, bounded for the host and for each tenant |
//! | [`generations`] | what was made worthless |
//! | [`flight`] | equal calls at the same time are one |
//! | [`others`] | what another host has, or is fetching |
//! | [`refresh`] | how many results are fetched again in the background |
//! | [`serve`] | all of it together: [`ResultCache::serve`] |
//!
//! An operation that is not kept never comes here: it costs one look into a map that is empty for most connections.

mod entry;
mod flight;
mod generations;
mod key;
mod others;
mod policy;
mod refresh;
mod serve;
mod shelf;
#[cfg(test)]
mod tests;
mod writes;

pub use policy::{CacheDoc, OperationCacheDoc};
pub(crate) use policy::{Policy, check};
pub(crate) use serve::{Ask, ResultCache, Served, Source};

use crate::config::documents::ConnectionDoc;
use confab_sandbox::Manifest;
use generations::Generations;
use metrics::Counter;
use policy::Policies;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};

/// What the cache knows of one connection by one version of its connector.
pub(crate) struct Place {
    pub(crate) tenant: Arc<str>,
    pub(crate) connection: String,
    /// Tenant and connection: what is made worthless, is so for all revisions.
    space: String,
    /// A hash that has taken in tenant, connection and revision; each key goes on from it.
    begun: Sha256,
    policies: Policies,
    generations: OnceLock<Arc<Generations>>,
    meters: OnceLock<Meters>,
}

/// Metric handles of a connection.
struct Meters {
    hit: Counter,
    miss: Counter,
    shared: Counter,
    stale: Counter,
    stale_on_error: Counter,
}

impl Place {
    /// `digest` is the connector's: another version never gets this one's results.
    pub(crate) fn new(doc: &ConnectionDoc, manifest: &Manifest, digest: &str) -> Arc<Place> {
        let mut begun = Sha256::new();
        let revision = serde_json::to_vec(doc).unwrap_or_default();
        for part in [doc.tenant.as_str().as_bytes(), doc.id.as_str().as_bytes(), &revision, digest.as_bytes()] {
            key::put(&mut begun, part);
        }
        Arc::new(Place {
            tenant: Arc::from(doc.tenant.as_str()),
            connection: doc.id.to_string(),
            space: space(doc.tenant.as_str(), doc.id.as_str()),
            begun,
            policies: Policies::new(manifest, doc.cache.as_ref()),
            generations: OnceLock::new(),
            meters: OnceLock::new(),
        })
    }

    /// How results of an operation are kept; none where they are not.
    pub(crate) fn keeps(&self, capability: &str, function: &str) -> Option<&Arc<Policy>> {
        self.policies.keeps(capability, function)
    }

    /// The tags that a call which may have changed something makes worthless, filled in.
    pub(crate) fn spoils(
        &self,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
    ) -> Option<Vec<String>> {
        let tags = self.policies.spoils(capability, function)?;
        Some(tags.iter().filter_map(|tag| policy::filled(tag, arguments)).collect())
    }

    fn meters(&self) -> &Meters {
        self.meters.get_or_init(|| {
            let counter = |outcome: &'static str| {
                metrics::counter!(
                    "confab_result_cache_total",
                    "tenant" => self.tenant.to_string(), "connection" => self.connection.clone(), "outcome" => outcome
                )
            };
            Meters {
                hit: counter("hit"),
                miss: counter("miss"),
                shared: counter("shared"),
                stale: counter("stale"),
                stale_on_error: counter("stale-on-error"),
            }
        })
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({})", self.space)
    }
}

fn space(tenant: &str, connection: &str) -> String {
    format!("{tenant}/{connection}")
}
