//! A client of the HTTP API, as a shop's website would have one.
//!
//! What must be true of every answer is checked here, once: a request id, and for a refusal a problem document that says what to do.

use crate::server::Server;
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than a turn may take with everything in it.
const TIMEOUT: Duration = Duration::from_secs(150);
/// A detail shorter than this says nothing.
const DETAIL_CHARS: usize = 15;

/// A client with a key.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// A refusal that has been checked.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Headers.
    pub headers: HeaderMap,
    /// The document.
    pub document: Value,
}

/// A client for plain HTTP to 127.0.0.1.
///
/// # Errors
/// When TLS can't be set up.
pub fn plain_http() -> Result<reqwest::Client> {
    // TLS is never used, but the library wants to know how.
    let tls = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().timeout(TIMEOUT).build()?)
}

impl Client {
    /// A client of a server, without a key.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn anonymous(server: &Server) -> Result<Client> {
        let http = plain_http()?;
        Ok(Client { http, url: server.url().to_owned(), key: None })
    }

    /// A client of a server, with a key.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(server: &Server, key: &str) -> Result<Client> {
        Ok(Client { key: Some(key.to_owned()), ..Self::anonymous(server)? })
    }

    /// The same with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Client {
        Client { key: Some(key.to_owned()), ..self.clone() }
    }

    /// A request that is not sent yet, with the key.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        }
    }

    /// `GET`
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        send(self.request(Method::GET, path)).await
    }

    /// The JSON of a `GET` that must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn json(&self, path: &str) -> Result<Value> {
        self.get(path).await?.json().with_context(|| format!("GET {path}"))
    }

    /// `POST` of JSON.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.post_as(path, Some("application/json"), body.to_string()).await
    }

    /// `POST` of anything.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post_as(
        &self,
        path: &str,
        content_type: Option<&str>,
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer> {
        let mut request = self.request(Method::POST, path);
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        send(request.body(body)).await
    }

    /// A conversation that has not begun.
    pub fn talk(&self) -> Talk {
        Talk { client: self.clone(), bot: None, visitor: None, locale: None, id: None }
    }

    /// The messages of a conversation, as `GET /api/conversations/{id}` has them. `query` begins with `?`.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn transcript(&self, conversation: &str, query: &str) -> Result<Vec<Value>> {
        let document = self.json(&format!("/api/conversations/{conversation}{query}")).await?;
        ensure!(document["conversation_id"] == conversation, "another conversation: {document}");
        document["messages"].as_array().cloned().with_context(|| format!("no messages: {document}"))
    }
}

/// Sends a request and takes the whole answer.
///
/// # Errors
/// When no answer comes, or one without a request id.
pub async fn send(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let answer = Answer { status, headers, body: response.bytes().await? };
    ensure!(!answer.header("x-request-id").is_empty(), "an answer without x-request-id: {answer:?}");
    Ok(answer)
}

impl Answer {
    /// A header's value; empty for none.
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }

    /// The JSON of an answer that must be a success.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.status.is_success(), "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(serde_json::from_slice(&self.body)?)
    }

    /// The refusal that this answer must be, with everything that is true of every refusal checked.
    ///
    /// # Errors
    /// When something is not as it must be.
    pub fn problem(&self, status: u16, code: &str) -> Result<Problem> {
        let text = String::from_utf8_lossy(&self.body);
        ensure!(self.status == status, "status {}, not {status}: {text}", self.status);
        let content_type = self.header("content-type");
        ensure!(content_type == "application/problem+json", "content-type `{content_type}`: {text}");
        let document: Value = serde_json::from_slice(&self.body).with_context(|| text.to_string())?;
        let field = |name: &str| document[name].as_str().unwrap_or_default();
        ensure!(field("code") == code, "code `{}`, not `{code}`: {text}", field("code"));
        ensure!(document["status"] == status, "the document has another status: {text}");
        ensure!(!field("type").is_empty() && !field("title").is_empty(), "no type or title: {text}");
        ensure!(field("detail").chars().count() >= DETAIL_CHARS, "the detail helps nobody: {text}");
        ensure!(field("request_id") == self.header("x-request-id"), "request_id is not the header's: {text}");
        if status == 401 {
            ensure!(self.header("www-authenticate").starts_with("Bearer"), "401 without WWW-Authenticate: {text}");
        }
        Ok(Problem { headers: self.headers.clone(), document })
    }
}

impl Problem {
    /// A header's value; empty for none.
    pub fn header(&self, name: &str) -> &str {
        header(&self.headers, name)
    }

    /// What happened and what to do.
    pub fn detail(&self) -> &str {
        self.document["detail"].as_str().unwrap_or_default()
    }

    /// Fails unless it points at this field of the body.
    ///
    /// # Errors
    /// When it does not.
    pub fn points_at(self, pointer: &str) -> Result<Problem> {
        ensure!(self.document["errors"][0]["pointer"] == pointer, "does not point at {pointer}: {}", self.document);
        Ok(self)
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A conversation, seen from the visitor's side: it sends the id that it got with the first answer.
#[derive(Clone, Debug)]
pub struct Talk {
    client: Client,
    bot: Option<String>,
    visitor: Option<Value>,
    locale: Option<String>,
    id: Option<String>,
}

/// What the bot said.
#[derive(Clone, Debug)]
pub struct Said {
    /// All texts.
    pub response: String,
    /// The turn.
    pub turn: String,
    /// The whole answer.
    pub body: Value,
}

impl Talk {
    /// With this bot.
    #[must_use]
    pub fn with(mut self, bot: &str) -> Talk {
        self.bot = Some(bot.to_owned());
        self
    }

    /// As this visitor: an id, or an object.
    #[must_use]
    pub fn by(mut self, visitor: impl Into<Value>) -> Talk {
        self.visitor = Some(visitor.into());
        self
    }

    /// In this language.
    #[must_use]
    pub fn in_language(mut self, locale: &str) -> Talk {
        self.locale = Some(locale.to_owned());
        self
    }

    /// In the conversation of this id.
    #[must_use]
    pub fn about(mut self, id: &str) -> Talk {
        self.id = Some(id.to_owned());
        self
    }

    /// The same conversation through another client: another host, another key.
    #[must_use]
    pub fn through(&self, client: &Client) -> Talk {
        Talk { client: client.clone(), ..self.clone() }
    }

    /// The conversation's id.
    ///
    /// # Errors
    /// Before the first answer.
    pub fn id(&self) -> Result<&str> {
        self.id.as_deref().context("the conversation has not begun")
    }

    /// Sends a message. Any status is an answer.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn send(&self, message: &str) -> Result<Answer> {
        let mut body = json!({"message": message});
        if let Value::Object(fields) = &mut body {
            for (name, value) in [("bot", &self.bot), ("locale", &self.locale), ("conversation_id", &self.id)] {
                if let Some(value) = value {
                    fields.insert(name.to_owned(), Value::from(value.as_str()));
                }
            }
            if let Some(visitor) = &self.visitor {
                fields.insert("visitor".to_owned(), visitor.clone());
            }
        }
        self.client.post("/api/chat", &body).await
    }

    /// Says something and takes the answer, which must be one.
    ///
    /// # Errors
    /// When it is refused, or answered in another conversation.
    pub async fn say(&mut self, message: &str) -> Result<Said> {
        let body = self.send(message).await?.json().with_context(|| format!("saying `{message}`"))?;
        let text = |name: &str| body[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {body}"));
        let (response, turn, id) = (text("response")?, text("turn_id")?, text("conversation_id")?);
        ensure!(self.id.as_ref().is_none_or(|known| *known == id), "answered in another conversation: {body}");
        self.id = Some(id);
        Ok(Said { response, turn, body })
    }

    /// Says something; the answer must have these words in it.
    ///
    /// # Errors
    /// When it has not.
    pub async fn hears(&mut self, message: &str, words: &[&str]) -> Result<Said> {
        let said = self.say(message).await?;
        for word in words {
            ensure!(said.response.contains(word), "said `{message}`, wanted `{word}`, heard: {}", said.response);
        }
        Ok(said)
    }
}
