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
//! | `auth` | the credential: header, query, path, a session that is logged in for at first use, or a token of OAuth2 that is renewed |
//! | `policy` | scheme, host, port and path of the request *as it will be sent* |
//! | `dns`, `address` | names are resolved here once, each address is checked, only checked ones are connected to |
//! | `health`, [`breaker`] | an endpoint that keeps failing is left alone for a while |
//! | `exchange` | one request and its answer, with caps that hold after decompression |
//! | `redact` | credentials that the system echoes are replaced by `***` |
//! | `report` | one log line for a failed call, two metrics for each |
//!
//! Beside them: `config` (what a tenant writes), `call` (what a guest asks for and gets), `secret` and `source`
//! (names of secrets, and where their values come from), `limits` (every number, with its reason), `client` (TLS and
//! connection pools), `error`.
//!
//! What it does not do yet: cache, retry. Each wraps or follows one of the rooms above: a cache goes round
//! `exchange`, a retry round the pipeline's inner part.
//!
//! This is the only crate that names reqwest.
#![forbid(unsafe_code)]

pub mod breaker;

mod address;
mod auth;
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
mod limits;
mod path;
mod policy;
mod redact;
mod report;
mod secret;
mod source;

pub use address::{is_global, is_metadata};
pub use auth::oauth2::authorize::{AuthState, Authorization, AuthorizationCode, Disconnected};
pub use auth::oauth2::config::{Algorithm, ClientAuth, Grant, OAuth2Config};
pub use auth::oauth2::store::{TokenOwner, TokenStore, TokenStoreError};
pub use call::{CallMeta, InResponse, OutRequest, Sent};
pub use config::{Auth, ConnectionSpec, EndpointConfig, LoginConfig, SessionConfig};
pub use connection::Connection;
pub use dns::{Lookup, LookupError, SystemLookup};
pub use download::{DownloadError, download};
pub use egress::Egress;
pub use error::{ConfigError, ErrorCode, SendError};
pub use limits::Limits;
pub use policy::{EgressPolicy, HostGrant, HostGrantError};
pub use secret::{Credential, Secret, SecretRef, SecretRefError};
pub use source::{SecretError, SecretSource};
