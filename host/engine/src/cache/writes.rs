//! Writes make kept results worthless, whoever makes them: a bot, or a person by the admin API.

use super::ResultCache;
use crate::registry::Connection;
use confab_sandbox::CapabilityError;
use serde_json::{Map, Value};

/// Codes that say that the system has refused, so that nothing can have changed.
const REFUSED: [&str; 8] = [
    "not-found",
    "invalid-input",
    "proof-required",
    "forbidden",
    "conflict",
    "rate-limited",
    "unsupported",
    "misconfigured",
];

impl Connection {
    /// A call has ended: with an error of the connector's, or (none) with a result or in a way that nobody knows. Where its
    /// operation spoils kept results and it may have changed something, they are worthless now.
    pub(crate) async fn changed(
        &self,
        cache: &ResultCache,
        capability: &str,
        function: &str,
        arguments: &Map<String, Value>,
        error: Option<&CapabilityError>,
    ) {
        if error.is_some_and(|error| REFUSED.contains(&error.code.as_str())) {
            return;
        }
        if let Some(tags) = self.cache.spoils(capability, function, arguments) {
            cache.invalidate(self.tenant.as_str(), self.id.as_str(), &tags).await;
        }
    }
}
