//! YAML with places: every value that can be wrong by itself knows its line.

use super::{Finding, Place};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// `tenant.yaml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantYaml {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
}

/// `bots/*.yaml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BotYaml {
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    pub(super) plugin: Spanned<String>,
    pub(super) definition: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) connections: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub(super) fallback: BTreeMap<String, String>,
    pub(super) conversation_ttl: Option<Spanned<String>>,
    /// What becomes of a message that comes while another one is being answered.
    pub(super) while_busy: Option<super::documents::WhileBusy>,
    /// That people take over where the bot hands over.
    pub(super) people: Option<PeopleYaml>,
    /// Events that it wants to hear of.
    #[serde(default)]
    pub(super) events: BTreeMap<String, Spanned<super::events::EventYaml>>,
}

/// People who take conversations over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PeopleYaml {
    pub(super) wait: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) unavailable: BTreeMap<String, String>,
}

/// `connections/*.yaml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectionYaml {
    pub(super) id: Spanned<String>,
    pub(super) connector: Spanned<String>,
    pub(super) settings: Option<Spanned<serde_json::Value>>,
    #[serde(default)]
    pub(super) endpoints: BTreeMap<String, Spanned<EndpointYaml>>,
    #[serde(default)]
    pub(super) files: BTreeMap<String, Spanned<String>>,
    pub(super) ca: Option<Spanned<serde_json::Value>>,
    pub(super) limits: Option<Spanned<serde_json::Value>>,
    pub(super) rate: Option<Spanned<confab_egress::RateConfig>>,
    pub(super) retry: Option<Spanned<confab_egress::RetryConfig>>,
    #[serde(default)]
    pub(super) cache: super::cache::CacheYaml,
    pub(super) webhook: Option<Spanned<super::events::WebhookYaml>>,
}

/// An endpoint of a connection. What has a type of its own in egress is read into that afterwards, so that what is wrong
/// with it is told with the place where it begins.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndpointYaml {
    pub(super) url: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<Spanned<serde_json::Value>>,
    pub(super) token: Option<Spanned<serde_json::Value>>,
    pub(super) auth: Option<Spanned<serde_json::Value>>,
    pub(super) timeout_ms: Option<u32>,
    pub(super) ca: Option<Spanned<serde_json::Value>>,
    pub(super) client_certificate: Option<Spanned<serde_json::Value>>,
    pub(super) redirects: Option<Spanned<serde_json::Value>>,
    pub(super) idempotency_header: Option<String>,
}

pub(super) fn place<T>(spanned: &Spanned<T>) -> Option<Place> {
    let location = spanned.referenced;
    (location.line() > 0).then(|| Place { line: location.line(), column: location.column() })
}

/// Reads a file into a type, or says where it doesn't fit.
pub(super) fn read<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Finding> {
    serde_saphyr::from_str(text).map_err(|e| {
        let place = e.location().map(|l| Place { line: l.line(), column: l.column() });
        let message = e.without_snippet().to_string();
        let first = message.lines().next().unwrap_or("not readable").to_owned();
        Finding::error(file, first).at(place)
    })
}
