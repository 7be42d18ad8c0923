//! Names are resolved here, once, and the addresses that were checked are the ones connected to.
//!
//! 1. reqwest asks [`CheckedResolver`] for a host's addresses when it opens a connection.
//! 2. A [`Lookup`] answers (hickory in production, given answers in tests).
//! 3. If *any* address is not permitted, all are refused: a name with one public and one private address is an attack
//!    (DNS rebinding) or a mistake, and trying the public one would hide it.
//! 4. reqwest connects to these addresses and to nothing else; no second lookup happens.
//!
//! hickory and not the system's resolver: `getaddrinfo` blocks a thread a lookup, so that a tenant with a slow name
//! server could take all of them. It reads `/etc/hosts` and `/etc/resolv.conf`, not `nsswitch.conf` (no mDNS).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::limits::{DNS_CACHE, DNS_RETRIES, DNS_TRY};
use crate::policy::Reach;

/// Finds a host's addresses.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a host. Called when a connection is opened, not for each request, and never for a literal
    /// address.
    ///
    /// # Errors
    /// When the name has none, or no answer came.
    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError>;
}

/// A name that could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} could not be resolved: {reason}")]
pub struct LookupError {
    /// The name.
    pub host: String,
    /// Why.
    pub reason: String,
}

/// A name whose addresses are not all permitted.
#[derive(Debug, thiserror::Error)]
#[error("the host has an address that is not permitted")]
pub(crate) struct AddressRefused;

/// DNS as the machine is configured for it (`/etc/resolv.conf`, `/etc/hosts`), with a cache.
pub struct SystemLookup {
    resolver: Result<TokioResolver, String>,
}

impl SystemLookup {
    /// Read the machine's configuration. When there is none, each lookup fails and says so.
    #[must_use]
    pub fn new() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.timeout = DNS_TRY;
            options.attempts = DNS_RETRIES;
            options.cache_size = DNS_CACHE;
            // Both families, so that a private address can't hide behind a public one of the other family.
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        });
        Self { resolver: resolver.map_err(|e| format!("this machine's DNS configuration can't be read: {e}")) }
    }
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let failed = |reason: String| LookupError { host: host.to_owned(), reason };
        let resolver = self.resolver.as_ref().map_err(|reason| failed(reason.clone()))?;
        let found = resolver.lookup_ip(host).await.map_err(|error| failed(error.to_string()))?;
        Ok(found.iter().collect())
    }
}

/// The resolver of one client: looks up, checks, and gives only what may be connected to.
pub(crate) struct CheckedResolver {
    lookup: Arc<dyn Lookup>,
    reach: Reach,
}

impl CheckedResolver {
    pub(crate) const fn new(lookup: Arc<dyn Lookup>, reach: Reach) -> Self {
        Self { lookup, reach }
    }
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.lookup);
        let reach = self.reach;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = lookup.lookup(&host).await?;
            if let Some(address) = found.iter().copied().find(|ip| !reach.permits(*ip)) {
                // The address is for the operator; a guest that learned it could map the inner network by name.
                tracing::warn!(host, %address, "the host resolves to an address that is not permitted");
                return Err(AddressRefused.into());
            }
            if found.is_empty() {
                return Err(LookupError { host, reason: "it has no addresses".to_owned() }.into());
            }
            // Port 0: reqwest puts in the URL's.
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}
