//! Setting up: the operator's policy becomes an [`Egress`], a tenant's configuration becomes a [`Connection`].
//!
//! Everything that can be known to be wrong is found here, all at once and with its place, so that a connection
//! that exists can only fail for reasons of the day. No request is made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::auth::Setup;
use crate::auth::oauth2::ready::Room;
use crate::auth::oauth2::store::TokenStore;
use crate::breaker::Clock;
use crate::budget::{Budget, Rate, Schedule, SharedBudget};
use crate::client;
use crate::config::{ConnectionSpec, EndpointConfig};
use crate::connection::{Connection, Endpoint};
use crate::dns::{Lookup, SystemLookup};
use crate::error::ConfigError;
use crate::health::Breakers;
use crate::identity::Identity;
use crate::limits::{Limits, REDACT_MIN_CHARS};
use crate::path::Base;
use crate::policy::EgressPolicy;
use crate::redact::Redactor;
use crate::secret::{Secret, SecretRef};
use crate::source::{SecretError, SecretSource};

/// The way out, as the operator has set it up. One a process.
pub struct Egress {
    secrets: SecretSource,
    shared: Arc<Shared>,
    breakers: Breakers,
    budget: Option<Arc<dyn SharedBudget>>,
    tokens: Option<Arc<dyn TokenStore>>,
}

/// What all connections use.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) policy: EgressPolicy,
    pub(crate) limits: Limits,
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) roots: Arc<rustls::RootCertStore>,
    pub(crate) tls: rustls::ClientConfig,
}

impl Egress {
    /// Set up with the machine's own DNS. Reads certificates; makes no request.
    ///
    /// # Errors
    /// When a file of the policy's `ca_files` can't be used.
    pub fn new(policy: EgressPolicy, secrets: SecretSource, limits: Limits) -> Result<Self, ConfigError> {
        Self::with_lookup(policy, secrets, limits, Arc::new(SystemLookup::new()))
    }

    /// Set up with another way to resolve names: for tests and for the SDK's test host. Addresses are checked all
    /// the same.
    ///
    /// # Errors
    /// As [`Egress::new`].
    pub fn with_lookup(
        policy: EgressPolicy,
        secrets: SecretSource,
        limits: Limits,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, ConfigError> {
        let roots = client::roots(&policy.ca_files)?;
        let tls = client::config(Arc::clone(&roots), None).map_err(|e| ConfigError::new("egress.tls", e))?;
        let shared = Arc::new(Shared { policy, limits, lookup, roots, tls });
        Ok(Self { secrets, shared, breakers: Breakers::new(Clock::System), budget: None, tokens: None })
    }

    /// Let the breakers of connections made from now on see another time: for tests.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { breakers: Breakers::new(clock), ..self }
    }

    /// Let connections made from now on share their rates and pauses with other hosts.
    #[must_use]
    pub fn with_shared_budget(self, budget: Arc<dyn SharedBudget>) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// Keep the tokens of OAuth2 here, for all hosts. Without it they are in memory alone, and connections that a
    /// person connects can't be set up.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<dyn TokenStore>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// The value of a tenant's secret, for what the host itself signs and verifies.
    ///
    /// # Errors
    /// As [`SecretSource::resolve`].
    pub fn secret(&self, tenant: &str, reference: &SecretRef) -> Result<Secret, SecretError> {
        self.secrets.resolve(tenant, reference)
    }

    /// Check a connection's configuration, read its secrets, and give the handle to call through. Keep the handle:
    /// it has the sockets, the sessions and the count of calls.
    ///
    /// # Errors
    /// All that is wrong, each with its place.
    pub fn connect(&self, spec: ConnectionSpec) -> Result<Arc<Connection>, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let mut secrets = Vec::new();
        let mut endpoints = BTreeMap::new();
        let limits = self.shared.limits.narrowed(&spec.limits, &mut errors);
        let schedule = Arc::new(Schedule::new(rates(&spec, &mut errors)));
        let retry = spec.retry.clone().unwrap_or_default();
        if let Err((field, message)) = retry.check() {
            errors.push(ConfigError::new(format!("retry.{field}"), message));
        }
        for (number, config) in spec.endpoints.iter().enumerate() {
            if config.name.is_empty() || config.name.len() > 64 || config.name.chars().any(char::is_control) {
                errors.push(ConfigError::new(format!("endpoints[{number}].name"), "has not 1 to 64 plain characters"));
                continue;
            }
            if endpoints.contains_key(&config.name) {
                errors.push(ConfigError::new(format!("endpoints.{}", config.name), "is there twice"));
                continue;
            }
            // A faulty endpoint is noted as well, so that a second one of the same name is still found.
            let endpoint = self.endpoint(&spec, config, &schedule, &mut errors, &mut secrets);
            endpoints.insert(config.name.clone(), endpoint);
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        if secrets.iter().any(|secret| secret.expose().chars().count() < REDACT_MIN_CHARS) {
            tracing::warn!(
                tenant = spec.tenant,
                connection = spec.connection,
                "a secret of this connection has fewer than {REDACT_MIN_CHARS} characters; it is not redacted in answers"
            );
        }
        let redactor = Redactor::new(secrets.iter().map(Secret::expose));
        let endpoints = endpoints.into_iter().filter_map(|(name, endpoint)| Some((name, endpoint?))).collect();
        // What all connections share, but for the limits that this one has for itself.
        let shared = match limits {
            Some(limits) => Arc::new(Shared { limits, ..Shared::clone(&self.shared) }),
            None => Arc::clone(&self.shared),
        };
        let connection = Connection::new(spec.tenant, spec.connection, endpoints, redactor, retry, shared);
        for note in connection.notes() {
            tracing::warn!(tenant = connection.tenant(), connection = connection.id(), note, "a connection needs care");
        }
        Ok(Arc::new(connection))
    }

    fn endpoint(
        &self,
        spec: &ConnectionSpec,
        config: &EndpointConfig,
        schedule: &Arc<Schedule>,
        errors: &mut Vec<ConfigError>,
        secrets: &mut Vec<Secret>,
    ) -> Option<Endpoint> {
        let at = format!("endpoints.{}", config.name);
        let mut wrong = |field: &str, message: String| errors.push(ConfigError::new(format!("{at}.{field}"), message));
        let limits = &self.shared.limits;
        let timeout = config.timeout_ms.map_or(limits.default_timeout, |ms| Duration::from_millis(ms.into()));
        if timeout.is_zero() || timeout > limits.max_timeout {
            wrong("timeout_ms", format!("is not between 1 and {}", limits.max_timeout.as_millis()));
        }
        let header = config.idempotency_header.as_ref().map(|name| HeaderName::from_bytes(name.as_bytes()));
        if matches!(header, Some(Err(_))) {
            wrong("idempotency_header", "is not a header's name".to_owned());
        }
        let methods = methods(&config.methods).map_err(|message| wrong("methods", message)).ok();
        let base = Base::parse(&config.base_url).map_err(|message| wrong("base_url", message)).ok();
        let reach = base
            .as_ref()
            .and_then(|base| self.shared.policy.reach(base.url()).map_err(|message| wrong("base_url", message)).ok());
        let identity = Identity::new(config, &spec.tenant, &at, &self.secrets, &self.shared.roots, errors);
        let (tokens, connection, endpoint) = (self.tokens.as_ref(), &*spec.connection, &*config.name);
        let host = base.as_ref().and_then(|base| base.url().host_str()).unwrap_or_default().to_owned();
        let tls = identity.as_ref().and_then(|identity| identity.as_ref()).map(|identity| &identity.tls);
        let room = Room { shared: &self.shared, tokens, connection, endpoint, tls, host: &host };
        let setup =
            Setup { source: &self.secrets, tenant: &spec.tenant, at: &at, errors, secrets: Vec::new(), room: &room };
        let authorised = setup.authorise(&config.auth, base?)?;
        secrets.extend(authorised.secrets);
        // By the base URL as it is written: the one made ready may have a credential in it.
        let key = [&spec.tenant, &spec.connection, &config.name, &config.base_url].map(String::clone);
        Some(Endpoint {
            health: self.breakers.of(key, limits.breaker),
            name: config.name.clone(),
            base: authorised.base,
            methods: methods?,
            timeout,
            reach: reach?,
            auth: authorised.authoriser,
            identity: identity?,
            redirects: config.redirects,
            budget: Budget::new(
                &spec.tenant,
                &spec.connection,
                &config.name,
                Arc::clone(schedule),
                self.budget.clone(),
            ),
            idempotency_header: header.and_then(Result::ok),
        })
    }
}

fn rates(spec: &ConnectionSpec, errors: &mut Vec<ConfigError>) -> Vec<Rate> {
    let Some(config) = &spec.rate else { return Vec::new() };
    config.rates().unwrap_or_else(|(field, message)| {
        let at = if field == "rate" { "rate".to_owned() } else { format!("rate.{field}") };
        errors.push(ConfigError::new(at, message));
        Vec::new()
    })
}

/// The methods that an endpoint allows. Neither CONNECT nor TRACE nor anything unheard of.
fn methods(names: &[String]) -> Result<Vec<Method>, String> {
    let usual = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    if names.is_empty() {
        return Ok(usual.to_vec());
    }
    names
        .iter()
        .map(|name| {
            usual
                .iter()
                .chain([&Method::HEAD])
                .find(|method| method.as_str().eq_ignore_ascii_case(name))
                .cloned()
                .ok_or_else(|| format!("\"{}\" is none of GET, HEAD, POST, PUT, PATCH, DELETE", name.escape_default()))
        })
        .collect()
}
