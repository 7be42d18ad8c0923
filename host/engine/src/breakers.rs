//! What is not called now, and why: endpoints whose breaker is open, plugins in quarantine. For those who look, and for
//! those who have repaired something and don't want to wait for the next probe.

use crate::engine::Engine;
use crate::failures::Whose;
use crate::ids::{ConnectionId, TenantId};
use crate::registry::{Connection, Slot};
use crate::turn::now_millis;
use confab_egress::breaker::BreakerState;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is called.
    Closed,
    /// It is not called.
    Open,
    /// One call is under way that decides.
    Probing,
    /// It asked to be left alone, so it is not called; calls that have the time wait.
    Paused,
}

/// An endpoint of a connection.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointBreaker {
    /// Whose it is.
    pub tenant: String,
    /// The connection.
    pub connection: String,
    /// The endpoint.
    pub endpoint: String,
    /// How it stands.
    pub state: State,
    /// Since when it is not called, in milliseconds since 1970.
    pub since: Option<u64>,
    /// When it may be called again, in milliseconds since 1970.
    pub until: Option<u64>,
    /// Its last failure, if it has not worked since.
    pub reason: Option<String>,
}

/// A plugin in quarantine.
#[derive(Clone, Debug, Serialize)]
pub struct PluginBreaker {
    /// Where it is in quarantine.
    pub tenant: String,
    /// The plugin.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its component.
    pub digest: String,
    /// How it stands.
    pub state: State,
    /// Since when it is not run, in milliseconds since 1970.
    pub since: Option<u64>,
    /// When it may be run again, in milliseconds since 1970.
    pub until: Option<u64>,
    /// The failure that was the last.
    pub reason: Option<String>,
}

/// All that a host knows of breakers. They are each host's own.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Breakers {
    /// Endpoints of connections, those that work among them.
    pub endpoints: Vec<EndpointBreaker>,
    /// Plugins in quarantine.
    pub plugins: Vec<PluginBreaker>,
}

/// The last failure of each of a connection's endpoints that has not worked since.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// Whether there is any: what most calls look at.
    any: AtomicBool,
    by_endpoint: Mutex<BTreeMap<String, Trouble>>,
}

#[derive(Clone, Debug)]
struct Trouble {
    reason: String,
    since: Option<u64>,
}

impl Troubles {
    /// An endpoint failed.
    pub(crate) fn note(&self, egress: &confab_egress::Connection, endpoint: &str, reason: &str) {
        let open = !egress.is_called(endpoint);
        let mut all = self.by_endpoint.lock();
        let trouble = all.entry(endpoint.to_owned()).or_insert_with(|| Trouble { reason: String::new(), since: None });
        reason.clone_into(&mut trouble.reason);
        trouble.since = if open { trouble.since.or_else(|| Some(now_millis())) } else { None };
        self.any.store(true, Ordering::Relaxed);
    }

    /// An endpoint worked.
    pub(crate) fn over(&self, endpoint: &str) {
        if self.any.load(Ordering::Relaxed) {
            let mut all = self.by_endpoint.lock();
            all.remove(endpoint);
            self.any.store(!all.is_empty(), Ordering::Relaxed);
        }
    }

    fn of(&self, endpoint: &str) -> Option<Trouble> {
        self.by_endpoint.lock().get(endpoint).cloned()
    }
}

/// In milliseconds since 1970.
fn moment_in(wait: Duration) -> u64 {
    now_millis().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

fn state(state: BreakerState) -> (State, Option<u64>) {
    match state {
        BreakerState::Closed => (State::Closed, None),
        BreakerState::Probing => (State::Probing, None),
        BreakerState::Open { retry_after, .. } => (State::Open, Some(moment_in(retry_after))),
    }
}

impl Engine {
    fn ready_connections(&self, tenant: Option<&TenantId>) -> Vec<Arc<Connection>> {
        let registry = self.registry();
        let tenants = registry.tenants.values().filter(|known| tenant.is_none_or(|tenant| known.doc.id == *tenant));
        let slots = tenants.flat_map(|tenant| tenant.connections.values());
        let mut ready: Vec<Arc<Connection>> = slots
            .filter_map(|slot| match slot {
                Slot::Ready(connection) => Some(connection.clone()),
                Slot::Broken(_) => None,
            })
            .collect();
        ready.sort_by(|a, b| (&a.tenant, &a.id).cmp(&(&b.tenant, &b.id)));
        ready
    }

    /// What this host does not call now, at a tenant or at all.
    pub fn breakers(&self, tenant: Option<&TenantId>) -> Breakers {
        let mut all = Breakers::default();
        for connection in self.ready_connections(tenant) {
            for (endpoint, breaker) in connection.egress.breakers() {
                let (state, until) = match (state(breaker), connection.egress.paused(&endpoint)) {
                    ((State::Closed, _), Some(pause)) => (State::Paused, Some(moment_in(pause))),
                    (standing, _) => standing,
                };
                let trouble = connection.troubles.of(&endpoint);
                let since = trouble.as_ref().and_then(|trouble| trouble.since).filter(|_| state != State::Closed);
                all.endpoints.push(EndpointBreaker {
                    tenant: connection.tenant.to_string(),
                    connection: connection.id.to_string(),
                    endpoint,
                    state,
                    since,
                    until,
                    reason: trouble.map(|trouble| trouble.reason),
                });
            }
        }
        for ward in self.inner.watch.quarantine.open(tenant.map(TenantId::as_str)) {
            let (state, until) = state(ward.state());
            let opened = ward.opened();
            all.plugins.push(PluginBreaker {
                tenant: ward.tenant.to_string(),
                plugin: ward.plugin.clone(),
                version: ward.version.clone(),
                digest: ward.digest.clone(),
                state,
                since: opened.as_ref().map(|opened| opened.since),
                until,
                reason: opened.map(|opened| opened.reason),
            });
        }
        all
    }

    /// Calls an endpoint again at once: its breaker is closed, and a pause that it asked for is over. False when the tenant has
    /// no such connection that is ready, or it no such endpoint.
    pub async fn reset_endpoint(&self, tenant: &TenantId, connection: &ConnectionId, endpoint: &str) -> bool {
        let connection = match self.registry().connection(tenant, connection) {
            Some(Slot::Ready(connection)) => connection.clone(),
            Some(Slot::Broken(_)) | None => return false,
        };
        connection.troubles.over(endpoint);
        connection.egress.reset(endpoint).await
    }

    /// Runs a plugin again at once at a tenant, in all versions. False when it has not run there since the host's start.
    pub fn reset_plugin(&self, tenant: &TenantId, plugin: &str, request_id: &str) -> bool {
        let watch = &self.inner.watch;
        let wards = watch.quarantine.versions(tenant.as_str(), plugin);
        for ward in &wards {
            if let Some(change) = ward.reset() {
                let whose = Whose { tenant: tenant.as_str(), request_id, ..Whose::default() };
                watch.changed(ward, change, &whose);
            }
        }
        !wards.is_empty()
    }
}
