//! Redirects: which are followed, with what, and which are the answer.
//!
//! | the target | what happens |
//! |---|---|
//! | below the same endpoint's base (scheme, host, port, path prefix) | followed, with the connector's headers |
//! | below another endpoint of the same connection | followed by GET and HEAD alone, with *that* endpoint's methods and credential, without the connector's headers and body |
//! | anywhere else, or nothing that can be read | not followed: the redirect is the answer |
//!
//! | status | becomes |
//! |---|---|
//! | 301, 302 | the same for GET and HEAD; not followed for the others, since systems differ in what they mean |
//! | 303 | GET without body (HEAD stays HEAD) |
//! | 307, 308 | the same, with its body |
//!
//! Each hop is a request like the first: its credential is put on anew, and the policy and the addresses are checked
//! anew. After five hops, or where it leads in a circle, the last redirect is the answer. An endpoint with `redirects:
//! none` follows nothing. What a hop answers counts for the endpoint that the connector asked for.

use http::{HeaderMap, Method, header};
use url::Url;

use crate::config::Redirects;
use crate::connection::{Checked, Connection, Endpoint};
use crate::error::SendError;
use crate::exchange::{Answer, Wire};
use crate::limits::REDIRECTS;

/// Headers of the connector that another endpoint gets too: they say what the answer should be like.
static HARMLESS: [header::HeaderName; 2] = [header::ACCEPT, header::ACCEPT_LANGUAGE];

impl Connection {
    /// Follow what an answer redirects to, as far as that may be. Gives the last answer, and whose it is.
    pub(crate) async fn follow<'c>(
        &'c self,
        endpoint: &'c Endpoint,
        checked: &Checked,
        answer: Answer,
        cap: usize,
        wire: &Wire,
    ) -> Result<(&'c Endpoint, Answer), SendError> {
        let (mut endpoint, mut answer) = (endpoint, answer);
        let mut asked: Option<Checked> = None;
        let mut seen = vec![(checked.method.clone(), checked.url.clone())];
        for _ in 0..REDIRECTS {
            let Some((target, next)) = self.hop(endpoint, asked.as_ref().unwrap_or(checked), &answer) else { break };
            let place = (next.method.clone(), next.url.clone());
            if seen.contains(&place) {
                break;
            }
            seen.push(place);
            wire.follows();
            answer = self.ask(target, &next, cap, wire).await?;
            (endpoint, asked) = (target, Some(next));
        }
        Ok((endpoint, answer))
    }

    /// Where an answer leads, if that may be followed.
    fn hop(&self, endpoint: &Endpoint, asked: &Checked, answer: &Answer) -> Option<(&Endpoint, Checked)> {
        let method = match (endpoint.redirects, answer.status) {
            (Redirects::None, _) => return None,
            (Redirects::Follow, 301 | 302) if is_safe(&asked.method) => asked.method.clone(),
            (Redirects::Follow, 303) if asked.method == Method::HEAD => Method::HEAD,
            (Redirects::Follow, 303) => Method::GET,
            (Redirects::Follow, 307 | 308) => asked.method.clone(),
            (Redirects::Follow, _) => return None,
        };
        let mut url = target(&asked.url, &answer.headers, self.shared.limits.path_bytes)?;
        endpoint.auth.forget(&mut url);
        let may = |endpoint: &&Endpoint| endpoint.base.contains(&url) && endpoint.methods.contains(&method);
        // `endpoint` itself is borrowed for less long than the connection is.
        if let Some(same) = self.endpoints.get(&endpoint.name).filter(may) {
            let mut headers = asked.headers.clone();
            let with_body = method == asked.method;
            if !with_body {
                let about_the_body = |name: &&header::HeaderName| name.as_str().starts_with("content-");
                let gone: Vec<_> = headers.keys().filter(about_the_body).cloned().collect();
                gone.iter().for_each(|name| drop(headers.remove(name)));
            }
            let body = if with_body { asked.body.clone() } else { bytes::Bytes::new() };
            return Some((same, Checked { method, url, headers, body }));
        }
        if !is_safe(&method) {
            return None;
        }
        // Of several the one that says most of the path. One that keeps failing is not called this way either.
        let others = self.endpoints.values().filter(|other| other.name != endpoint.name);
        let other = others.filter(may).max_by_key(|other| other.base.url().path().len())?;
        other.health.ask().ok()?;
        let harmless = asked.headers.iter().filter(|(name, _)| HARMLESS.contains(name));
        let headers = harmless.map(|(name, value)| (name.clone(), value.clone())).collect();
        Some((other, Checked { method, url, headers, body: bytes::Bytes::new() }))
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The one URL that an answer names, if it is written as a URL is.
fn target(from: &Url, headers: &HeaderMap, path_bytes: usize) -> Option<Url> {
    let mut locations = headers.get_all(header::LOCATION).iter();
    let (location, None) = (locations.next()?.to_str().ok()?, locations.next()) else { return None };
    // What parsers of URLs read differently: spaces and line ends within, `\` for `/`.
    if !location.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return None;
    }
    let mut url = from.join(location).ok()?;
    url.set_fragment(None);
    let bytes = url.path().len().saturating_add(url.query().map_or(0, str::len));
    (bytes <= path_bytes).then_some(url)
}
