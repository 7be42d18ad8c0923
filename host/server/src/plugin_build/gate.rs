//! What the engine's part of the install gate says of a manifest: settings schemas, and how endpoints are signed in to.
//!
//! The gate tells the first thing that is wrong. An author wants all of them, so each part goes to it in a manifest of its own.

use confab_engine::install::manifest_can_be_used;
use confab_sandbox::manifest::{EndpointManifest, Kind, Manifest, is_name};
use serde_json::Value;

/// What is wrong with how an endpoint is signed in to. Its name and methods are judged by others.
pub(super) fn endpoint(endpoint: &EndpointManifest) -> Option<String> {
    let name = if is_name(&endpoint.name) { endpoint.name.as_str() } else { "endpoint" };
    let part = EndpointManifest { name: name.to_owned(), methods: Vec::new(), ..endpoint.clone() };
    refusal(&Manifest { endpoints: vec![part], ..part_of_none() })
}

/// What is wrong with a settings schema.
pub(super) fn settings(schema: &Value) -> Option<String> {
    refusal(&Manifest { settings: Some(schema.clone()), ..part_of_none() })
}

fn refusal(part: &Manifest) -> Option<String> {
    manifest_can_be_used(part).err().map(|refusal| refusal.message)
}

/// A manifest that says nothing wrong.
fn part_of_none() -> Manifest {
    Manifest {
        name: "part".into(),
        version: "1.0.0".into(),
        publisher: "part".into(),
        kind: Kind::Connector,
        description: String::new(),
        settings: None,
        endpoints: Vec::new(),
        operations: Vec::new(),
        webhook: None,
        limits: confab_sandbox::limits::LimitRequest::default(),
        imports: None,
    }
}
