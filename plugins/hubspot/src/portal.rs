//! The account: settings, pipelines and properties (read once, remembered), records, and creating one once.
//!
//! HubSpot's search is an index that lags behind by seconds, so nothing here relies on it for what was just written: records
//! are read by id or unique property, and what belongs to a contact by its associations.

use crate::api;
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{dates, html, json, once};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Records that one batch reads.
const BATCH: usize = 100;
/// How far the clocks of host and HubSpot may differ.
const SKEW_MS: u64 = 300_000;
/// Records like the first one's that a repeat looks at.
const ALIKE: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) key_property: String,
    remember_minutes: u64,
    pub(crate) leads: LeadSettings,
    pub(crate) tickets: TicketSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            key_property: "confab_key".into(),
            remember_minutes: 60,
            leads: LeadSettings::default(),
            tickets: TicketSettings::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeadObject {
    #[default]
    Lead,
    Deal,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LeadSettings {
    pub(crate) object: LeadObject,
    pub(crate) pipeline: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) states: BTreeMap<String, String>,
    pub(crate) score_property: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TicketSettings {
    pub(crate) pipeline: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) closed_stage: Option<String>,
    pub(crate) states: BTreeMap<String, String>,
    pub(crate) public_prefix: String,
    pub(crate) url: Option<String>,
}

impl Default for TicketSettings {
    fn default() -> Self {
        TicketSettings {
            pipeline: None,
            owner: None,
            closed_stage: None,
            states: BTreeMap::new(),
            public_prefix: "[public]".into(),
            url: None,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pipeline {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) stages: Vec<Stage>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub(crate) id: String,
    pub(crate) label: String,
    /// Tickets: counts as closed. Deals: won or lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) closed: bool,
    /// Deals: 0 is lost, 1 is won.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) probability: Option<f64>,
}

impl Pipeline {
    /// A stage by id or label.
    pub(crate) fn stage(&self, wanted: &str) -> Option<&Stage> {
        let label = |s: &&Stage| s.label.trim().to_lowercase() == wanted.trim().to_lowercase();
        self.stages.iter().find(|s| s.id == wanted).or_else(|| self.stages.iter().find(label))
    }
    /// Labels of its stages, for messages.
    pub(crate) fn labels(&self) -> String {
        self.stages.iter().map(|s| s.label.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A property, as far as it matters.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Property {
    pub(crate) exists: bool,
    pub(crate) unique: bool,
    /// Value and label.
    pub(crate) options: Vec<(String, String)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    at: u64,
    id: Option<String>,
}

/// What a call is made with.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) settings: Settings,
    pub(crate) now: u64,
    pub(crate) key: String,
    /// What this call has read of the account.
    read: RefCell<BTreeMap<String, Value>>,
}

impl Portal {
    pub(crate) fn of_call() -> Result<Portal> {
        let key = host::context().idempotency_key;
        Ok(Portal { settings: host::settings()?, now: host::now_millis(), key, read: RefCell::default() })
    }

    /// From this call's memory or the store, or read anew. What is too large for the store is read once a call.
    fn remembered<T: Serialize + DeserializeOwned>(&self, key: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
        let seen = self.read.borrow().get(key).cloned();
        if let Some(seen) = seen {
            return Ok(serde_json::from_value(seen)?);
        }
        let value = kv::remembered(key, self.settings.remember_minutes * 60_000, read)?;
        self.read.borrow_mut().insert(key.to_owned(), serde_json::to_value(&value)?);
        Ok(value)
    }

    /// Pipelines of an object that are in use, in the account's order.
    pub(crate) fn pipelines(&self, object: &str) -> Result<Vec<Pipeline>> {
        self.remembered(&format!("pipelines:{object}"), || {
            let body = api::get(&format!("/crm/v3/pipelines/{object}"))?.ok()?;
            Ok(ordered(&body, "/results")
                .into_iter()
                .map(|p| Pipeline {
                    id: json::text(p, "/id").unwrap_or_default(),
                    label: json::text(p, "/label").unwrap_or_default(),
                    stages: ordered(p, "/stages").into_iter().map(stage).collect(),
                })
                .collect())
        })
    }

    /// The pipeline of the settings, or the first.
    pub(crate) fn pipeline(&self, object: &str, wanted: Option<&str>) -> Result<Pipeline> {
        let all = self.pipelines(object)?;
        let is = |p: &&Pipeline| wanted.is_none_or(|w| p.id == w || p.label.to_lowercase() == w.to_lowercase());
        all.iter().find(is).cloned().ok_or_else(|| {
            let known: Vec<&str> = all.iter().map(|p| p.label.as_str()).collect();
            error(
                Code::Misconfigured,
                format!("HubSpot has no such pipeline of {object}; it has: {}", known.join(", ")),
            )
        })
    }

    /// A property of an object.
    pub(crate) fn property(&self, object: &str, name: &str) -> Result<Property> {
        self.remembered(&format!("property:{object}:{name}"), || {
            let found = api::get(&format!("/crm/v3/properties/{object}/{}", path_segment(name)))?
                .found()?
                .filter(|p| !json::flag(p, "/archived"));
            let body = found.clone().unwrap_or_default();
            let visible = json::list(&body, "/options").iter().filter(|o| !json::flag(o, "/hidden"));
            let options =
                visible.filter_map(|o| Some((json::text(o, "/value")?, json::text(o, "/label").unwrap_or_default())));
            Ok(Property {
                exists: found.is_some(),
                unique: json::flag(&body, "/hasUniqueValue"),
                options: options.collect(),
            })
        })
    }

    /// Forgets what is remembered: something was not as it should be.
    pub(crate) fn forget(&self) -> Result<()> {
        self.read.borrow_mut().clear();
        for prefix in ["pipelines:", "property:"] {
            for entry in kv::scan(prefix, None, 40)? {
                kv::delete(&entry.key)?;
            }
        }
        Ok(())
    }

    /// The type of an association without label, as HubSpot has it between two objects.
    pub(crate) fn association(&self, from: &str, to: &str) -> Result<u64> {
        // Those that the documentation names; others are asked for.
        match (from, to) {
            ("tickets", "contacts") => return Ok(16),
            ("deals", "contacts") => return Ok(3),
            ("leads", "contacts") => return Ok(578),
            _ => {}
        }
        self.remembered(&format!("property:association:{from}:{to}"), || {
            let body = api::get(&format!("/crm/v4/associations/{from}/{to}/labels"))?.ok()?;
            let own = json::list(&body, "/results")
                .iter()
                .filter(|a| json::text(a, "/category").as_deref() == Some("HUBSPOT_DEFINED"));
            let unlabelled = own.filter(|a| json::text(a, "/label").is_none()).find_map(|a| a.get("typeId")?.as_u64());
            unlabelled.ok_or_else(|| {
                error(Code::Misconfigured, format!("HubSpot can't associate {from} with {to} in this account"))
            })
        })
    }

    /// An `associations` entry of a new record.
    pub(crate) fn linked(&self, from: &str, to: &str, id: &str) -> Result<Value> {
        let kind = self.association(from, to)?;
        Ok(json!({"to": {"id": id}, "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]}))
    }

    /// A record by id or a unique property, with ids of associated records.
    pub(crate) fn record(
        &self,
        object: &str,
        id: &str,
        by: Option<&str>,
        properties: &[&str],
        associations: &[&str],
    ) -> Result<Option<Value>> {
        let mut query =
            format!("properties={}", properties.iter().map(|p| path_segment(p)).collect::<Vec<_>>().join(","));
        if !associations.is_empty() {
            query.push_str(&format!("&associations={}", associations.join(",")));
        }
        if let Some(by) = by {
            query.push_str(&format!("&idProperty={}", path_segment(by)));
        }
        api::get(&format!("/crm/v3/objects/{object}/{}?{query}", path_segment(id)))?.found()
    }

    /// Records by their ids: the newest hundred.
    pub(crate) fn batch(&self, object: &str, mut ids: Vec<String>, properties: &[&str]) -> Result<Vec<Value>> {
        ids.sort_by_key(|id| std::cmp::Reverse(id.parse::<u64>().unwrap_or_default()));
        ids.dedup();
        ids.truncate(BATCH);
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        let body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
        let answer = api::post(&format!("/crm/v3/objects/{object}/batch/read"), &body)?;
        // 207: some have been archived since. What is left is what there is.
        let found = if answer.status == 207 { answer.body } else { answer.ok()? };
        Ok(json::list(&found, "/results").to_vec())
    }

    /// Creates a record, or gives the one that an earlier call with the same key made.
    ///
    /// With the key property: read by it, then created with it, which HubSpot refuses a second time. Without: the first
    /// call leaves its time in the store, and a repeat looks among the contact's records for one like it (`name`) since then
    /// that no other call has.
    pub(crate) fn make(
        &self,
        object: &str,
        contact: &str,
        name: (&str, &str),
        mut properties: Map<String, Value>,
        read: &[&str],
    ) -> Result<Value> {
        let (name_property, name) = name;
        properties.insert(name_property.to_owned(), name.into());
        let body = |properties: Map<String, Value>| {
            Ok::<_, Error>(
                json!({"properties": properties, "associations": [self.linked(object, "contacts", contact)?]}),
            )
        };
        let path = format!("/crm/v3/objects/{object}");
        let key = &self.settings.key_property;
        let token = once::token(&self.key);
        if !self.key.is_empty() && !key.is_empty() && self.property(object, key)?.unique {
            if let Some(known) = self.record(object, &token, Some(key), read, &[])? {
                return Ok(known);
            }
            properties.insert(key.clone(), token.clone().into());
            let answer = api::post(&path, &body(properties)?)?;
            if answer.taken().is_some() {
                let known = self.record(object, &token, Some(key), read, &[])?;
                return known.ok_or_else(|| {
                    error(Code::Conflict, format!("HubSpot has this {key} on a record that can't be read"))
                });
            }
            return self.checked(answer.ok());
        }
        let claim = format!("made:{object}:{token}");
        if let Some(earlier) = self.claim(&claim)? {
            if let Some(id) = &earlier.id
                && let Some(known) = self.record(object, id, None, read, &[])?
            {
                return Ok(known);
            }
            let of_contact = self.record("contacts", contact, None, &["email"], &[object])?.unwrap_or_default();
            let since = earlier.at.saturating_sub(SKEW_MS);
            let mut wanted = read.to_vec();
            wanted.push(name_property);
            let alike = self.batch(object, associated(&of_contact, object), &wanted)?.into_iter().filter(|r| {
                json::text(r, &format!("/properties/{name_property}")).as_deref() == Some(name)
                    && json::text(r, "/createdAt").and_then(|at| dates::millis(&at)).is_some_and(|at| at >= since)
            });
            for known in alike.take(ALIKE) {
                if self.hold(object, &json::text(&known, "/id").unwrap_or_default())? {
                    return Ok(known);
                }
            }
        }
        let made = self.checked(api::post(&path, &body(properties)?)?.ok())?;
        if let (false, Some(id)) = (self.key.is_empty(), json::text(&made, "/id")) {
            let kept = self.hold(object, &id);
            let kept = kept.and_then(|_| Ok(kv::set_json(&claim, &Claim { at: self.now, id: Some(id.clone()) })?));
            if let Err(e) = kept {
                log::warn(format!("{object} {id} was made, but that is not noted: {}", e.message));
            }
        }
        Ok(made)
    }

    /// Notes that this call made a record; not if another call did.
    fn hold(&self, object: &str, id: &str) -> Result<bool> {
        let token = once::token(&self.key);
        let holder = kv::insert(&format!("held:{object}:{id}"), token.as_bytes())?;
        Ok(holder.is_none_or(|holder| holder == token.as_bytes()))
    }

    /// What came of it; what is remembered may be old when the account refuses a property or stage.
    pub(crate) fn checked<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.as_ref().is_err_and(|e| e.code == Code::Misconfigured.as_str()) {
            // That it can't be forgotten is the lesser trouble.
            let _ = self.forget();
        }
        outcome
    }

    fn claim(&self, key: &str) -> Result<Option<Claim>> {
        if self.key.is_empty() {
            return Ok(None);
        }
        Ok(kv::insert_json(key, &Claim { at: self.now, id: None })?)
    }

    /// Writes a note once; gives its moment, text and id as HubSpot would. A note has no unique property, so its time is
    /// that of the first call with this key, and a repeat looks for a note of that time on the record.
    pub(crate) fn note(&self, what: &str, text: &str, on: &[(&str, &str)], there: &[Value]) -> Result<Option<Value>> {
        let earlier = self.claim(&format!("note:{what}:{}", once::token(&self.key)))?;
        let at = earlier.as_ref().map_or(self.now, |c| c.at);
        let same = |n: &&Value| value(n, "hs_timestamp").and_then(|t| millis(&t)) == Some(at);
        if earlier.is_some() && there.iter().any(|n| same(&n)) {
            return Ok(None);
        }
        let mut links = Vec::new();
        for (object, id) in on {
            links.push(self.linked("notes", object, id)?);
        }
        let body = json!({"properties": {"hs_timestamp": at.to_string(), "hs_note_body": html::from_text(text)}, "associations": links});
        self.checked(api::post("/crm/v3/objects/notes", &body)?.ok()).map(Some)
    }

    /// The notes on a record that was read with its notes' ids.
    pub(crate) fn notes(&self, record: &Value) -> Result<Vec<Value>> {
        self.batch("notes", associated(record, "notes"), &["hs_note_body", "hs_timestamp"])
    }
}

/// Ids of associated records, each once.
pub(crate) fn associated(record: &Value, object: &str) -> Vec<String> {
    let mut ids: Vec<String> = json::list(record, &format!("/associations/{object}/results"))
        .iter()
        .filter_map(|a| json::id(a, "/id"))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A property of a record.
pub(crate) fn value(record: &Value, property: &str) -> Option<String> {
    json::text(record, &format!("/properties/{property}"))
}

/// A moment as HubSpot writes it (`2026-11-22T10:32:00.000Z`), or as it was written (milliseconds).
pub(crate) fn millis(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| dates::millis(text))
}

/// An id of HubSpot's.
pub(crate) fn id(text: &str) -> Option<&str> {
    let text = text.trim().trim_start_matches('#');
    ((1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

fn ordered<'v>(body: &'v Value, pointer: &str) -> Vec<&'v Value> {
    let mut all: Vec<&Value> = json::list(body, pointer).iter().filter(|v| !json::flag(v, "/archived")).collect();
    all.sort_by_key(|v| v.get("displayOrder").and_then(Value::as_i64).unwrap_or_default());
    all
}

fn stage(stage: &Value) -> Stage {
    let probability = json::number(stage, "/metadata/probability");
    let closed = json::text(stage, "/metadata/ticketState").as_deref() == Some("CLOSED")
        || json::text(stage, "/metadata/isClosed").as_deref() == Some("true");
    Stage {
        id: json::text(stage, "/id").unwrap_or_default(),
        label: json::text(stage, "/label").unwrap_or_default(),
        closed,
        probability,
    }
}
