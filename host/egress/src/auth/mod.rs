//! Credentials: from what a tenant wrote to what is put on a request.
//!
//! An [`Authoriser`] is made once, when a connection is set up: secrets are resolved, header values built and
//! templates compiled, so that whatever can be wrong is wrong then. [`Authoriser::apply`] is the only place where a
//! credential meets a request.
//!
//! Two of them change while they are used: a [`session`] that is logged in for, and the tokens of [`oauth2`].

pub(crate) mod oauth2;
pub(crate) mod session;

mod aws;
mod hmac;
mod json_body;
mod template;

use std::slice::from_ref;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};

use crate::config::Auth;
use crate::error::{ConfigError, SendError};
use crate::headers::fit_for_credentials;
use crate::path::Base;
use crate::secret::{Credential, Secret, SecretRef};
use crate::source::SecretSource;

use self::aws::AwsAuth;
use self::hmac::HmacAuth;
use self::json_body::JsonBody;
use self::oauth2::OAuth2;
use self::oauth2::ready::Room;
use self::session::{Session, SessionAuth};

/// How an endpoint's requests are authorised, ready for use.
pub(crate) enum Authoriser {
    /// Nothing is added, or it already stands in the endpoint's base (`Auth::Path`).
    None,
    /// A header with a fixed value.
    Header { name: HeaderName, value: HeaderValue },
    /// A query parameter.
    Query { name: String, value: Secret },
    /// A value in the body.
    JsonBody(JsonBody),
    /// A header whose value comes from a login.
    Session(Box<SessionAuth>),
    /// Headers made of the request and a key.
    Hmac(Box<HmacAuth>),
    /// The same as AWS has it.
    Aws(Box<AwsAuth>),
    /// A header whose value comes from an authorization server.
    OAuth2(Box<OAuth2>),
}

impl Authoriser {
    /// The headers that the credential goes into.
    pub(crate) fn headers(&self) -> &[HeaderName] {
        match self {
            Self::None | Self::Query { .. } | Self::JsonBody(_) => &[],
            Self::Header { name, .. } => from_ref(name),
            Self::Session(session) => from_ref(session.header()),
            Self::OAuth2(oauth2) => from_ref(oauth2.header()),
            Self::Hmac(hmac) => hmac.headers(),
            Self::Aws(aws) => aws.headers(),
        }
    }

    /// Does an answer with this status mean that the credential is over?
    pub(crate) fn is_over(&self, status: u16) -> bool {
        match self {
            Self::Session(session) => session.is_over(status),
            Self::OAuth2(_) => OAuth2::is_over(status),
            _ => false,
        }
    }

    /// The credential that was renewed after such an answer got the same.
    pub(crate) fn renewal_did_not_help(&self) {
        if let Self::OAuth2(oauth2) = self {
            oauth2.did_not_help();
        }
    }

    /// Take the credential out of a URL that the system made of one that it was sent.
    pub(crate) fn forget(&self, url: &mut url::Url) {
        let Self::Query { name, .. } = self else { return };
        let Some(query) = url.query() else { return };
        let is_ours = |pair: &&str| url::form_urlencoded::parse(pair.as_bytes()).any(|(key, _)| key == name.as_str());
        let rest: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
        let rest = Some(rest.join("&")).filter(|rest| !rest.is_empty());
        url.set_query(rest.as_deref());
    }

    /// Put the credential on a request. Nothing may be changed in it after this: it may be signed.
    pub(crate) fn apply(&self, request: &mut reqwest::Request, session: Option<&Session>) -> Result<(), SendError> {
        match self {
            Self::None => {}
            Self::Header { name, value } => {
                request.headers_mut().insert(name.clone(), value.clone());
            }
            Self::Query { name, value } => {
                // A second parameter of the same name would leave it to the system which one counts.
                if request.url().query_pairs().any(|(key, _)| key == name.as_str()) {
                    return Err(SendError::refused(format!(
                        "the query parameter {name} is set by the host; leave it out"
                    )));
                }
                request.url_mut().query_pairs_mut().append_pair(name, value.expose());
            }
            Self::JsonBody(place) => {
                if let Some(body) = place.fill(request)? {
                    *request.body_mut() = Some(body.into());
                }
            }
            Self::Session(_) | Self::OAuth2(_) => {
                if let (Some(header), Some(session)) = (self.headers().first(), session) {
                    request.headers_mut().insert(header.clone(), session.value());
                }
            }
            Self::Hmac(auth) => auth.sign(request, SystemTime::now())?,
            Self::Aws(auth) => auth.sign(request, SystemTime::now())?,
        }
        Ok(())
    }
}

/// What an endpoint's `auth` was made into.
pub(crate) struct Authorised {
    pub(crate) authoriser: Authoriser,
    /// The base, with a credential in its path where that is how the system has it.
    pub(crate) base: Base,
    /// What must never come back.
    pub(crate) secrets: Vec<Secret>,
}

/// Resolves secrets for one endpoint, and collects what is wrong with the place where each stands.
pub(crate) struct Setup<'a> {
    pub(crate) source: &'a SecretSource,
    pub(crate) tenant: &'a str,
    /// Where the endpoint stands: `endpoints.erp`.
    pub(crate) at: &'a str,
    pub(crate) errors: &'a mut Vec<ConfigError>,
    /// What was resolved so far.
    pub(crate) secrets: Vec<Secret>,
    /// For OAuth2.
    pub(crate) room: &'a Room<'a>,
}

impl Setup<'_> {
    /// Note a fault.
    pub(crate) fn wrong(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(ConfigError::new(format!("{}.{field}", self.at), message));
    }

    /// A secret's value, or a note of why there is none.
    pub(crate) fn secret(&mut self, field: &str, reference: &SecretRef) -> Option<Secret> {
        match self.source.resolve(self.tenant, reference) {
            Ok(secret) => {
                self.secrets.push(secret.clone());
                Some(secret)
            }
            Err(error) => {
                self.wrong(field, error.to_string());
                None
            }
        }
    }

    /// A credential that may be written as it is.
    pub(crate) fn credential(&mut self, field: &str, credential: &Credential) -> Option<String> {
        match credential {
            Credential::Plain(text) => Some(text.clone()),
            Credential::Secret(reference) => self.secret(field, reference).map(|secret| secret.expose().to_owned()),
        }
    }

    /// A header's name that a credential may go into.
    pub(crate) fn header_name(&mut self, field: &str, name: &str) -> Option<HeaderName> {
        let parsed = HeaderName::from_bytes(name.as_bytes()).ok().filter(fit_for_credentials);
        if parsed.is_none() {
            self.wrong(field, "is not a header that can carry a credential; authorization is the usual one");
        }
        parsed
    }

    fn header_value(&mut self, field: &str, text: &str) -> Option<HeaderValue> {
        let value = sensitive(text);
        if value.is_none() {
            self.wrong(field, "has characters that can't stand in a header (a line end, perhaps); look at the secret");
        }
        value
    }

    fn header(&mut self, name: HeaderName, field: &str, text: &str) -> Option<Authoriser> {
        let value = self.header_value(field, text)?;
        Some(Authoriser::Header { name, value })
    }

    /// Make an endpoint's `auth` ready. `None` when something was noted as wrong.
    pub(crate) fn authorise(mut self, auth: &Auth, base: Base) -> Option<Authorised> {
        let mut base = base;
        let authoriser = match auth {
            Auth::None => Some(Authoriser::None),
            Auth::Bearer { token } => {
                let token = self.secret("auth.token", token)?;
                self.header(http::header::AUTHORIZATION, "auth.token", &format!("Bearer {}", token.expose()))
            }
            Auth::Header { name, value, prefix } => {
                let name = self.header_name("auth.name", name);
                let value = self.secret("auth.value", value)?;
                let text = format!("{}{}", prefix.as_deref().unwrap_or_default(), value.expose());
                self.header(name?, "auth.value", &text)
            }
            Auth::Query { name, value } => {
                let value = self.secret("auth.value", value)?;
                if name.is_empty() {
                    self.wrong("auth.name", "is empty; it is the name of the query parameter");
                    return None;
                }
                Some(Authoriser::Query { name: name.clone(), value })
            }
            Auth::Path { prefix, value } => {
                let value = self.secret("auth.value", value)?;
                match base.with_segment(&format!("{}{}", prefix.as_deref().unwrap_or_default(), value.expose())) {
                    Ok(with) => base = with,
                    Err(problem) => {
                        self.wrong("auth.value", problem);
                        return None;
                    }
                }
                Some(Authoriser::None)
            }
            Auth::JsonBody { path, pointer, value } => {
                let value = self.secret("auth.value", value)?;
                match JsonBody::new(&base, path, pointer, value) {
                    Ok(place) => Some(Authoriser::JsonBody(place)),
                    Err((field, problem)) => {
                        self.wrong(field, problem);
                        None
                    }
                }
            }
            Auth::Basic { username, password } => {
                let user = self.credential("auth.username", username);
                let password = match password {
                    Some(reference) => self.secret("auth.password", reference).map(|s| s.expose().to_owned()),
                    None => Some(String::new()),
                };
                let (user, password) = (user?, password?);
                if user.contains(':') {
                    self.wrong("auth.username", "has a colon in it, which basic authentication can't carry");
                    return None;
                }
                let encoded = STANDARD.encode(format!("{user}:{password}"));
                self.secrets.push(Secret::new(encoded.trim_end_matches('=').to_owned()));
                self.header(http::header::AUTHORIZATION, "auth", &format!("Basic {encoded}"))
            }
            Auth::Session(config) => {
                SessionAuth::new(config, &base, &mut self).map(|session| Authoriser::Session(Box::new(session)))
            }
            Auth::Hmac(config) => HmacAuth::new(config, &mut self).map(|hmac| Authoriser::Hmac(Box::new(hmac))),
            Auth::Aws(config) => AwsAuth::new(config, &mut self).map(|aws| Authoriser::Aws(Box::new(aws))),
            Auth::Oauth2(config) => {
                let room = self.room;
                OAuth2::new(config, room, &mut self).map(|oauth2| Authoriser::OAuth2(Box::new(oauth2)))
            }
        };
        Some(Authorised { authoriser: authoriser?, base, secrets: self.secrets })
    }
}

/// A header's value that is not printed and not indexed by HTTP/2's compression.
pub(crate) fn sensitive(text: &str) -> Option<HeaderValue> {
    // UTF-8 beyond ASCII is allowed here: some systems take such passwords, and the operator wrote it.
    let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
