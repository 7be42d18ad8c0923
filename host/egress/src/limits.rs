//! Every number of this crate, with its reason.
//!
//! Sizes and counts that an operator may want to change are fields of [`Limits`]; the rest are constants, because
//! another value would be a bug and not a preference. All are enforced here, whatever the sandbox has checked before.

use std::time::Duration;

use crate::breaker::BreakerPolicy;
use crate::config::ConnectionLimits;
use crate::error::ConfigError;

/// Sizes, counts and times of outgoing calls. [`Limits::default`] is what the documentation promises to plugins.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Headers that a guest may set on a request. Real APIs want fewer than ten.
    pub request_headers: usize,
    /// Bytes of all names and values of a request's headers together. Most servers refuse more than 16 KiB.
    pub request_header_bytes: usize,
    /// Bytes of a request's body: what may cross one host call (DESIGN, Limits).
    pub request_body_bytes: usize,
    /// Bytes of a request's path with query. Common servers and proxies stop at 8 KiB.
    pub path_bytes: usize,
    /// Bytes of all names and values of an answer's headers together. Larger than what a guest may send, since
    /// content security policies and link headers of shops reach 20 KiB.
    pub response_header_bytes: usize,
    /// Bytes of an answer's body, counted after decompression: what may cross one host call.
    pub response_body_bytes: usize,
    /// Bytes of the answer to a session's login. A token and some user data; it is given to a template.
    pub login_body_bytes: usize,
    /// Time for a call when neither the request nor the endpoint says. A visitor waits for it.
    pub default_timeout: Duration,
    /// The longest that anybody may ask for: the wall time of a connector's call.
    pub max_timeout: Duration,
    /// Time to resolve, connect and finish the TLS handshake. A system that is up takes less than one second.
    pub connect_timeout: Duration,
    /// Calls of one connection at a time. Others wait within their own timeout. Keeps one tenant from taking all
    /// sockets, and a tenant's small ERP from being run over by its own bot.
    pub concurrency: usize,
    /// How long a refused login is not tried again: systems lock accounts after a handful of wrong passwords.
    pub login_refused_pause: Duration,
    /// When an endpoint that keeps failing is left alone, and for how long.
    pub breaker: BreakerPolicy,
    /// How long a login that got no answer is not tried again, so that callers who waited for it share the failure.
    pub login_failed_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_headers: 64,
            request_header_bytes: 16 * 1024,
            request_body_bytes: 4 * 1024 * 1024,
            path_bytes: 8 * 1024,
            response_header_bytes: 64 * 1024,
            response_body_bytes: 4 * 1024 * 1024,
            login_body_bytes: 256 * 1024,
            default_timeout: Duration::from_secs(10),
            max_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            concurrency: 32,
            breaker: BreakerPolicy::ENDPOINT,
            login_refused_pause: Duration::from_secs(30),
            login_failed_pause: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// These with what a tenant made smaller; none where it made nothing smaller. What is wrong with that is noted.
    pub(crate) fn narrowed(&self, by: &ConnectionLimits, errors: &mut Vec<ConfigError>) -> Option<Self> {
        if *by == ConnectionLimits::default() {
            return None;
        }
        let mut limits = self.clone();
        for (field, wanted, limit) in [
            ("concurrency", by.concurrency, &mut limits.concurrency),
            ("request_bytes", by.request_bytes, &mut limits.request_body_bytes),
            ("request_header_bytes", by.request_header_bytes, &mut limits.request_header_bytes),
            ("response_bytes", by.response_bytes, &mut limits.response_body_bytes),
            ("response_header_bytes", by.response_header_bytes, &mut limits.response_header_bytes),
        ] {
            match wanted {
                Some(wanted) if wanted == 0 || wanted > *limit => {
                    let message = format!("is not between 1 and {limit}, which is this host's own limit");
                    errors.push(ConfigError::new(format!("limits.{field}"), message));
                }
                Some(wanted) => *limit = wanted,
                None => {}
            }
        }
        Some(limits)
    }
}

/// A call that was given less time than this (by its guest, not by the endpoint's configuration) and got no answer in
/// it says nothing about the system: a slow but well one takes this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Idle connections are closed after this: shorter than the 60 to 75 s after which common servers close theirs, so
/// that a request seldom meets a connection that is just being closed.
pub(crate) const POOL_IDLE: Duration = Duration::from_secs(50);

/// Secrets with fewer characters are not looked for in answers: replacing every `1234` of an ERP's answer would
/// damage it.
pub(crate) const REDACT_MIN_CHARS: usize = 6;

/// Secrets with at least this many characters are looked for in lower case too (a header's name comes back so).
/// Shorter ones may be words, which an ERP's answers are full of.
pub(crate) const REDACT_LOWER_MIN_CHARS: usize = 12;

/// Session credentials and tokens that are still looked for in answers after newer ones replaced them. All endpoints of a
/// connection share the list: with a renewal in five minutes it holds for most of a day.
pub(crate) const REDACT_SESSIONS: usize = 256;

/// Strings in a login's answer with at least this many characters are secrets when they are part of the credential
/// (a session id), shorter ones are user numbers and names.
pub(crate) const LOGIN_SECRET_MIN_CHARS: usize = 16;

/// Rounds of percent-decoding in the search for `..`. Two are seen in attacks; a path that still changes after five
/// is refused.
pub(crate) const DECODE_ROUNDS: usize = 5;

/// A token is renewed up to this long before it expires: a call that is under way then still ends with it.
pub(crate) const TOKEN_SKEW: Duration = Duration::from_secs(60);

/// ... and a short-lived one in the last fifth of its life.
pub(crate) const TOKEN_SKEW_SHARE: u64 = 5;

/// Time for a token request. Real servers take less than a second; a visitor waits for it.
pub(crate) const TOKEN_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a host has the lease of a connection's tokens: a token request and the writes around it. After a host that
/// died in between, the others wait this long.
pub(crate) const TOKEN_HOLD: Duration = Duration::from_secs(12);

/// How long a host waits for another one's renewal: until that one's lease is over, and a little.
pub(crate) const TOKEN_WAIT: Duration = Duration::from_secs(15);

/// Between two looks whether another host has renewed, at least; at most twice that.
pub(crate) const TOKEN_POLL: Duration = Duration::from_millis(50);

/// How long it is tried to save renewed tokens, which can't be had a second time. A Redis that fails over is back
/// within it.
pub(crate) const TOKEN_SAVE_PATIENCE: Duration = Duration::from_secs(60);

/// How often the store is asked whether the tokens in memory still are those of the connection.
pub(crate) const TOKEN_LOOK: Duration = Duration::from_secs(10);

/// How long 401 does not lead to a renewal after one that did not help.
pub(crate) const TOKEN_FUTILE: Duration = Duration::from_secs(60);

/// What a server says a token's life is, at most: ten years.
pub(crate) const TOKEN_LONGEST_LIFE: Duration = Duration::from_secs(10 * 366 * 24 * 3_600);

/// Characters of an authorization server's error code that is shown. The longest of the standards has 29.
pub(crate) const TOKEN_ERROR_CHARS: usize = 64;

/// Instructions of a login template: about a thousand times what a login takes.
pub(crate) const TEMPLATE_FUEL: u64 = 50_000;

/// Fuel of a signature's template, one for 64 bytes or an instruction. A body of 4 MiB takes 65,000, in base64 as much
/// again; with both of it written out, 250,000. Bounds a template's memory to 25 MB.
pub(crate) const SIGN_FUEL: u64 = 400_000;

/// Bytes of a header that a signature's template makes.
pub(crate) const SIGN_HEADER_BYTES: usize = 4 * 1024;

/// Redirects that are followed one after the other. Real APIs answer with one.
pub(crate) const REDIRECTS: usize = 5;

/// A certificate that ends within this time is warned of: what it takes a company to have a new one issued.
pub(crate) const CERTIFICATE_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// Bytes of a secret's file. A private key in PEM has 3 KiB.
pub(crate) const SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Characters of a path, endpoint name or request id in a log line or record.
pub(crate) const LOG_FIELD_CHARS: usize = 256;

/// Characters of a method that was refused. The longest real one has 7.
pub(crate) const METHOD_CHARS: usize = 16;

/// Bytes of a refused path that are looked at for showing it: a guest may write megabytes.
pub(crate) const REFUSED_PATH_BYTES: usize = 4 * 1024;

/// Characters of a message. Some have text of the system's in them (the names in its certificate, say), which can be
/// as long as it likes.
pub(crate) const MESSAGE_CHARS: usize = 1_000;

/// DNS: time for one try at one server. Three tries stay within the connect timeout.
pub(crate) const DNS_TRY: Duration = Duration::from_millis(1_500);

/// DNS: tries after the first one.
pub(crate) const DNS_RETRIES: usize = 2;

/// DNS: answers kept. An address that is kept was checked, and is checked again at each use.
pub(crate) const DNS_CACHE: u64 = 1_024;
