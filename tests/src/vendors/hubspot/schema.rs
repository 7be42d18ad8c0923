//! What an account has: objects with their properties, pipelines, types of associations, and the scopes that each needs.
//!
//! Shapes of bodies are another matter: those are in `tests/fixtures/hubspot/schemas.json`, which comes from HubSpot's own client.

use anyhow::{Context, Result};
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `object: property kind, ...`. Kinds: `s` text, `e(...)` enumeration, `n` number, `t` moment, `m` e-mail; `!` unique, `r` read-only.
const PROPERTIES: &str = "
contacts: firstname s, lastname s, email m!, phone s, mobilephone s, company s, hs_additional_emails s, hs_merged_object_ids s r, hubspot_owner_id s,
 hs_searchable_calculated_phone_number s r, hs_searchable_calculated_mobile_number s r, createdate t r, lastmodifieddate t r, hs_object_id n r
leads: hs_lead_name s, hs_lead_label e(HOT|WARM|COLD), hs_lead_type e(NEW_BUSINESS|UPSELL), hs_pipeline s, hs_pipeline_stage s, hubspot_owner_id s, confab_key s!, hs_object_id n r, hs_createdate t r
deals: dealname s, pipeline s, dealstage s, description s, amount n, hubspot_owner_id s, confab_key s!, createdate t r, hs_object_id n r
tickets: subject s, content s, hs_pipeline s, hs_pipeline_stage s, hs_ticket_priority e(LOW|MEDIUM|HIGH|URGENT),
 hs_ticket_category e(PRODUCT_ISSUE|BILLING_ISSUE|FEATURE_REQUEST|GENERAL_INQUIRY), hubspot_owner_id s, confab_key s!, createdate t r, hs_lastmodifieddate t r, hs_object_id n r
notes: hs_note_body s, hs_timestamp t, hubspot_owner_id s, hs_object_id n r, createdate t r
";
const SCHEMAS: &str = include_str!("../../../fixtures/hubspot/schemas.json");

/// A property.
#[derive(Clone, Debug)]
pub struct Property {
    /// `s`, `e`, `n`, `t` or `m`.
    pub kind: char,
    /// Values of an enumeration.
    pub options: Vec<String>,
    /// No two records have the same value.
    pub unique: bool,
    /// HubSpot sets it.
    pub read_only: bool,
}

/// Properties by object and name.
pub fn properties() -> BTreeMap<String, BTreeMap<String, Property>> {
    let mut objects = BTreeMap::new();
    for line in PROPERTIES.replace("\n ", " ").lines() {
        let Some((object, rest)) = line.split_once(": ") else { continue };
        let parse = |part: &str| {
            let (name, kind) = part.trim().split_once(' ')?;
            let options = kind
                .split_once('(')
                .and_then(|(_, o)| o.split_once(')'))
                .map(|(o, _)| o.split('|').map(str::to_owned).collect());
            let outside = kind.split_once(')').map_or(kind, |(_, rest)| rest);
            let property = Property {
                kind: kind.chars().next()?,
                options: options.unwrap_or_default(),
                unique: outside.contains('!'),
                read_only: outside.contains(" r"),
            };
            Some((name.to_owned(), property))
        };
        objects.insert(object.trim().to_owned(), rest.split(',').filter_map(parse).collect());
    }
    objects
}

/// The type of an association without label.
pub fn association(from: &str, to: &str) -> Option<u64> {
    let known = [
        ("tickets", "contacts", 16),
        ("deals", "contacts", 3),
        ("leads", "contacts", 578),
        ("notes", "contacts", 202),
        ("notes", "deals", 214),
        ("notes", "tickets", 228),
        ("notes", "leads", 855),
    ];
    known.iter().find(|(f, t, _)| *f == from && *t == to).map(|(_, _, id)| *id)
}

/// Scopes of which one is needed.
pub fn scopes(object: &str, write: bool) -> Vec<String> {
    match object {
        "tickets" => vec!["tickets".into()],
        // Notes are reached with what reaches their contacts.
        "notes" => vec![format!("crm.objects.contacts.{}", if write { "write" } else { "read" })],
        other => vec![format!("crm.objects.{other}.{}", if write { "write" } else { "read" })],
    }
}

/// Pipelines of an object, as `GET /crm/v3/pipelines/{object}` gives them.
pub fn pipelines(object: &str) -> Option<Value> {
    let stages = |stages: &[(&str, &str, Value)]| -> Vec<Value> {
        let at = "2024-01-01T00:00:00Z";
        let of = |(order, (id, label, metadata)): (usize, &(&str, &str, Value))| json!({"id": id, "label": label, "displayOrder": order, "metadata": metadata, "createdAt": at, "updatedAt": at, "archived": false, "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT"});
        stages.iter().enumerate().map(of).collect()
    };
    let (open, closed) =
        (json!({"ticketState": "OPEN", "isClosed": "false"}), json!({"ticketState": "CLOSED", "isClosed": "true"}));
    let (id, label, stages) = match object {
        "tickets" => (
            "0",
            "Support Pipeline",
            stages(&[
                ("1", "New", open.clone()),
                ("2", "Waiting on contact", open.clone()),
                ("3", "Waiting on us", open),
                ("4", "Closed", closed),
            ]),
        ),
        "leads" => (
            "lead-pipeline-id",
            "Lead pipeline",
            stages(&[
                ("new-stage-id", "New", json!({"leadState": "NEW"})),
                ("attempting-stage-id", "Attempting", json!({})),
                ("connected-stage-id", "Connected", json!({})),
                ("qualified-stage-id", "Qualified", json!({})),
                ("unqualified-stage-id", "Disqualified", json!({})),
            ]),
        ),
        "deals" => (
            "default",
            "Sales Pipeline",
            stages(&[
                ("appointmentscheduled", "Appointment Scheduled", json!({"isClosed": "false", "probability": "0.2"})),
                ("qualifiedtobuy", "Qualified To Buy", json!({"isClosed": "false", "probability": "0.4"})),
                ("closedwon", "Closed Won", json!({"isClosed": "true", "probability": "1.0"})),
                ("closedlost", "Closed Lost", json!({"isClosed": "true", "probability": "0.0"})),
            ]),
        ),
        _ => return None,
    };
    let at = "2024-01-01T00:00:00Z";
    Some(
        json!({"results": [{"id": id, "label": label, "displayOrder": 0, "stages": stages, "createdAt": at, "updatedAt": at, "archived": false}]}),
    )
}

/// Validators of the models that are used, by name.
///
/// # Errors
/// When a schema is none.
pub fn validators() -> Result<BTreeMap<&'static str, Validator>> {
    let all: Value = serde_json::from_str(SCHEMAS)?;
    let names = [
        "SimplePublicObjectInputForCreate",
        "SimplePublicObjectInput",
        "PublicObjectSearchRequest",
        "BatchReadInputSimplePublicObjectId",
        "SimplePublicObject",
        "SimplePublicObjectWithAssociations",
        "CollectionResponseWithTotalSimplePublicObjectForwardPaging",
        "BatchResponseSimplePublicObject",
        "ModelError",
        "CollectionResponsePipelineNoPaging",
    ];
    let mut out = BTreeMap::new();
    for name in names {
        let definitions = all.get("definitions").context("no definitions")?;
        definitions.get(name).with_context(|| format!("no model {name}"))?;
        let schema = json!({"$schema": "http://json-schema.org/draft-07/schema#", "$ref": format!("#/definitions/{name}"), "definitions": definitions});
        out.insert(name, jsonschema::validator_for(&schema).map_err(|e| anyhow::anyhow!("{name}: {e}"))?);
    }
    Ok(out)
}
