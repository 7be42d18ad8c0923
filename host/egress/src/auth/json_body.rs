//! Credentials that stand in a JSON body, as in Odoo's `execute_kw(db, uid, KEY, ...)`.
//!
//! The plugin writes `null` where the credential belongs, and the host puts it there when everything else about the
//! request has been checked. The body that the plugin made is never changed: each try of a request is filled anew, in
//! a body of its own, which is dropped when it has been sent. Rules:
//!
//! 1. Only requests to the declared path are filled. A plugin can't have the credential put into another page of the
//!    system (a form, say) that would keep it where the plugin can read it.
//! 2. A value other than `null` at the pointer is refused: it would be a credential of the plugin's own, or a mistake.
//! 3. Where there is nothing at the pointer, the request goes without: some calls need no credential.
//! 4. What is sent is the body as it was understood here (duplicate names are gone, the last of each counts), so that
//!    the system can't read another value at the pointer than the host did.
//!
//! What comes back is searched for the credential like every other answer ([`crate::redact`]).

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::error::SendError;
use crate::path::Base;
use crate::secret::Secret;

/// A place in a JSON body, and what belongs there.
pub(crate) struct JsonBody {
    /// With the endpoint's prefix.
    path: String,
    pointer: String,
    value: Secret,
}

impl JsonBody {
    /// Check a configuration. `path` is below the endpoint's base and begins with a slash. The error has the field and
    /// what is wrong with it.
    pub(crate) fn new(
        base: &Base,
        path: &str,
        pointer: &str,
        value: Secret,
    ) -> Result<Self, (&'static str, &'static str)> {
        if !path.starts_with('/') || path.contains(['?', '#']) {
            return Err(("auth.path", "is not a path below the endpoint, such as /jsonrpc"));
        }
        if !pointer.starts_with('/') {
            return Err(("auth.pointer", "is not a JSON pointer, such as /params/args/2"));
        }
        let prefix = base.url().path().trim_end_matches('/');
        Ok(Self { path: format!("{prefix}{path}"), pointer: pointer.to_owned(), value })
    }

    /// The body with the credential in it; `None` where the request goes as it is.
    pub(crate) fn fill(&self, request: &reqwest::Request) -> Result<Option<Bytes>, SendError> {
        let body = request.body().and_then(reqwest::Body::as_bytes);
        let Some(body) = body.filter(|_| request.url().path() == self.path) else {
            return Ok(None);
        };
        let is_json = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !is_json.is_some_and(|kind| kind.to_ascii_lowercase().contains("json")) {
            return Err(SendError::invalid(format!("a request to {} must be JSON, and say so", self.path)));
        }
        let mut json: Value = serde_json::from_slice(body)
            .map_err(|_| SendError::invalid(format!("the body of a request to {} is not JSON", self.path)))?;
        match json.pointer_mut(&self.pointer) {
            None => return Ok(None),
            Some(place) if place.is_null() => *place = Value::String(self.value.expose().to_owned()),
            Some(_) => {
                let message = format!("{} of the body is set by the host; write null there", self.pointer);
                return Err(SendError::refused(message));
            }
        }
        // A value that was just parsed can always be written.
        let filled = serde_json::to_vec(&json).map_err(|_| SendError::invalid("the body can't be written as JSON"))?;
        Ok(Some(filled.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, kind: &str, body: &'static str) -> reqwest::Request {
        let url = format!("https://erp.example/base{path}").parse().unwrap();
        let mut request = reqwest::Request::new(http::Method::POST, url);
        request.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
        *request.body_mut() = Some(body.into());
        request
    }

    fn filled(request: &reqwest::Request) -> Result<Option<String>, String> {
        let base = Base::parse("https://erp.example/base").unwrap();
        let auth = JsonBody::new(&base, "/jsonrpc", "/params/args/2", Secret::new("key-\"0815".into())).unwrap();
        let filled = auth.fill(request).map_err(|error| error.message)?;
        Ok(filled.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
    }

    #[test]
    fn null_at_the_pointer_becomes_the_credential() {
        let call = request("/jsonrpc", "application/json", r#"{"params":{"args":["db",7,null,"m"]},"id":1}"#);
        let sent: Value = serde_json::from_str(&filled(&call).unwrap().unwrap()).unwrap();
        assert_eq!(sent, serde_json::json!({"params": {"args": ["db", 7, "key-\"0815", "m"]}, "id": 1}));
        // The plugin's own body is as it was.
        assert!(call.body().unwrap().as_bytes().unwrap().windows(4).any(|four| four == b"null"));
    }

    #[test]
    fn what_needs_no_credential_goes_as_it_is() {
        assert_eq!(filled(&request("/jsonrpc", "application/json", r#"{"params":{"args":[]}}"#)), Ok(None));
        for path in ["/web/form", "/jsonrpc/2", "/jsonrpc/", "/x/jsonrpc"] {
            assert_eq!(filled(&request(path, "application/json", r#"{"params":{"args":[1,2,null]}}"#)), Ok(None));
        }
    }

    #[test]
    fn a_plugin_can_not_put_a_value_of_its_own_there() {
        let own = filled(&request("/jsonrpc", "application/json", r#"{"params":{"args":[1,2,"mine"]}}"#));
        assert!(own.unwrap_err().contains("set by the host"));
        // The last of two equal names counts, here and in what is sent.
        let twice = r#"{"params":{"args":[1,2,"mine"]},"params":{"args":[1,2,null]}}"#;
        let sent = filled(&request("/jsonrpc", "application/json", twice)).unwrap().unwrap();
        assert!(!sent.contains("mine") && sent.matches("params").count() == 1, "{sent}");
    }

    #[test]
    fn only_json_is_sent_there() {
        assert!(filled(&request("/jsonrpc", "text/plain", r#"{"params":{"args":[1,2,null]}}"#)).is_err());
        assert!(filled(&request("/jsonrpc", "application/json", "<xml/>")).is_err());
    }

    #[test]
    fn places_are_checked() {
        let base = Base::parse("https://erp.example").unwrap();
        let field = |path, pointer| JsonBody::new(&base, path, pointer, Secret::new("key".into())).err().map(|e| e.0);
        assert_eq!(field("jsonrpc", "/a"), Some("auth.path"));
        assert_eq!(field("/jsonrpc?x=1", "/a"), Some("auth.path"));
        assert_eq!(field("/jsonrpc", ""), Some("auth.pointer"));
        assert_eq!(field("/jsonrpc", "/a/0"), None);
    }
}
