//! The only way out of the host.
//!
//! A connector runs in a sandbox without sockets. What it can do is ask for `send(endpoint, request)`: the endpoint
//! is a *name*; where it is and how it is authorised stands in the tenant's connection, and the credential is added
//! here, after the guest has let go of the request. A request goes through these rooms, in this order:
//!
//! | module | what it decides |
//! |---|---|
//! | [`egress`](Egress) | whether a configuration can work; everything wrong with it at once |
//! | [`connection`](Connection) | the pipeline itself: endpoint, method, time, one place among 32 |
//! | `path`, `headers` | what a guest may write into a request |
//! | `auth` | the credential: header, query, path, a value in the body, a session that is logged in for at first use, a token of OAuth2 that is renewed, or a signature |
//! | `policy` | scheme, host, port and path of the request *as it will be sent* |
//! | `dns`, `address` | names are resolved here once, each address is checked, only checked ones are connected to |
//! | `budget` | no request leaves before the system wants it: the tenant's rate, and what its answers say |
//! | `health`, [`breaker`] | an endpoint that keeps failing is left alone for a while |
//! | `redirect` | which redirects are followed, and with what |
//! | `exchange` | one request and its answer, with caps that hold after decompression |
//! | `retry` | whether a try that failed is made again |
//! | `redact` | credentials that the system echoes are replaced by `***` |
//! | `report` | one log line for a failed call, two metrics and a span for each |
//!
//! Beside them: `config` (what a tenant writes), `call` (what a guest asks for and gets), `secret` and `source`
//! (names of secrets, and where their values come from), `limits` (every number, with its reason), `client` (TLS and
//! connection pools), `identity` (an endpoint's own authority and client certificate), `error`.
//!
//! What it does not do: cache. Results are kept round the capability call, by the engine (decision 12).
//!
//! This is the only crate that names reqwest.
#![forbid(unsafe_code)]

pub mod breaker;

mod address;
mod auth;
mod budget;
mod call;
mod client;
mod config;
mod connection;
mod dns;
mod download;
mod egress;
mod error;
mod exchange;
mod headers;
mod health;
mod identity;
mod limits;
mod path;
mod policy;
mod redact;
mod redirect;
mod report;
mod retry;
mod secret;
mod source;

pub use address::{is_global, is_metadata};
pub use auth::oauth2::authorize::{AuthState, Authorization, AuthorizationCode, Disconnected};
pub use auth::oauth2::config::{Algorithm, ClientAuth, Grant, OAuth2Config};
pub use auth::oauth2::store::{TokenOwner, TokenStore, TokenStoreError};
pub use budget::{Rate, RateConfig, SharedBudget, SharedBudgetError, Slot};
pub use call::{CallMeta, InResponse, OutRequest, Sent};
pub use config::{
    Auth, AwsConfig, ClientCertificate, ConnectionLimits, ConnectionSpec, EndpointConfig, HmacAlgorithm, HmacConfig,
    KeyEncoding, LoginConfig, Redirects, SessionConfig, SignatureEncoding, TimestampFormat,
};
pub use connection::Connection;
pub use dns::{Lookup, LookupError, SystemLookup};
pub use download::{DownloadError, download};
pub use egress::Egress;
pub use error::{ConfigError, ErrorCode, SendError};
pub use limits::Limits;
pub use policy::{EgressPolicy, HostGrant, HostGrantError};
pub use retry::RetryConfig;
pub use secret::{Credential, Pem, PemError, Secret, SecretRef, SecretRefError};
pub use source::{SecretError, SecretSource};
