//! Leads are `sale.opportunity`.
//!
//! **Once.** The opportunity's `reference` is made of the idempotency key, and is searched before it is created; so a
//! repeat finds what the first try made, even if its answer was lost. What was found is kept in the connection's
//! store, which saves that search and survives a salesperson's change of the reference. Two tries at the same time
//! can't happen: the host holds the conversation's turn. A note carries the key in its last line, for the same reason.
//!
//! | Tryton | here |
//! |---|---|
//! | `lead` | `new` |
//! | `opportunity` | `qualified` |
//! | `converted`, `won` | `converted` |
//! | `lost`, `cancelled` | `lost` |

use crate::session::{Tryton, id_text, parse_id};
use crate::value::{field, id, text};
use confab_plugin_sdk::leads::{self, Lead, LeadInput, Qualification};
use confab_plugin_sdk::once::reference;
use confab_plugin_sdk::prelude::*;
use serde_json::{Value, json};

const SUBJECT: usize = 200;
const TEXT: usize = 10_000;
const FIELDS: [&str; 6] = ["number", "state", "description", "comment", "party", "reference"];

impl Tryton<'_> {
    pub(crate) fn create_lead(&mut self, input: &LeadInput) -> Result<Lead> {
        let input = leads::valid(input, SUBJECT, TEXT)?;
        let reference = reference(&self.once);
        if let Some(done) = self.lead_made(&reference)? {
            return Ok(done);
        }
        let contact = self.upsert(&input.person)?;
        let (lines, unknown) = self.lead_lines(&input.skus)?;
        let company = self.session()?.company;
        let mut values = json!({
            "party": parse_id(&contact.id), "company": company, "description": input.subject,
            "comment": comment(&input, &contact.name, &unknown),
        });
        if let Some(values) = values.as_object_mut() {
            if !reference.is_empty() {
                values.insert("reference".into(), json!(reference));
            }
            if !lines.is_empty() {
                values.insert("lines".into(), json!([["create", lines]]));
            }
        }
        let made = self.create("sale.opportunity", values)?;
        self.remember(&reference, made)?;
        self.lead_by_id(made)
    }

    /// What an earlier try of the same call made.
    fn lead_made(&mut self, reference: &str) -> Result<Option<Lead>> {
        if reference.is_empty() {
            return Ok(None);
        }
        if let Some(bytes) = self.memory.get(&format!("lead/{reference}"))?
            && let Some(made) = parse_id(&String::from_utf8_lossy(&bytes))
        {
            return self.lead_by_id(made).map(Some);
        }
        let found = self.find(
            "sale.opportunity",
            json!([["reference", "=", reference]]),
            1,
            Value::Null,
            json!(FIELDS),
            json!({}),
        )?;
        let Some(found) = found.first() else {
            return Ok(None);
        };
        if let Some(made) = id(found) {
            self.remember(reference, made)?;
        }
        Ok(Some(lead(found)))
    }

    fn remember(&mut self, reference: &str, made: i64) -> Result<()> {
        if reference.is_empty() {
            return Ok(());
        }
        self.memory.set(&format!("lead/{reference}"), made.to_string().as_bytes())
    }

    /// Lines of the articles that Tryton knows, and those that it doesn't.
    fn lead_lines(&mut self, skus: &[String]) -> Result<(Vec<Value>, Vec<String>)> {
        if skus.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let known = self.find(
            "product.product",
            json!([["code", "in", skus], ["salable", "=", true]]),
            50,
            Value::Null,
            json!(["code", "template.sale_uom"]),
            json!({}),
        )?;
        let unit = |p: &Value| field(p, "template.sale_uom").and_then(Value::as_i64);
        let lines = known.iter().filter_map(|p| Some(json!({"product": id(p)?, "quantity": 1, "unit": unit(p)?})));
        let lines = lines.collect();
        let is_known = |s: &String| known.iter().any(|p| text(p, "code").as_ref() == Some(s));
        Ok((lines, skus.iter().filter(|s| !is_known(s)).cloned().collect()))
    }

    fn opportunity(&mut self, made: i64) -> Result<Value> {
        let found =
            self.find("sale.opportunity", json!([["id", "=", made]]), 1, Value::Null, json!(FIELDS), json!({}))?;
        found.into_iter().next().ok_or_else(|| error(Code::NotFound, format!("there is no lead {made}")))
    }

    fn lead_by_id(&mut self, made: i64) -> Result<Lead> {
        Ok(lead(&self.opportunity(made)?))
    }

    pub(crate) fn qualify_lead(&mut self, lead_id: &str, found: &Qualification) -> Result<Lead> {
        let Some(made) = parse_id(lead_id) else {
            return Err(error(Code::NotFound, "there is no such lead"));
        };
        let found = leads::valid_finding(found, TEXT)?;
        let wanted = match found.state.as_deref() {
            None => None,
            Some("new") => Some("lead"),
            Some("qualified") => Some("opportunity"),
            Some("lost") => Some("lost"),
            Some("converted") => {
                return Err(error(
                    Code::Unsupported,
                    "converting makes a quotation: a salesperson does that in Tryton",
                ));
            }
            Some(_) => {
                return Err(error(Code::InvalidInput, "the state is new, qualified or lost"));
            }
        };
        let known = self.opportunity(made)?;
        let mut values = serde_json::Map::new();
        if let Some(score) = found.score {
            values.insert("conversion_probability".into(), json!(f64::from(score) / 100.0));
        }
        if let Some(note) = found.note.as_deref() {
            let before = text(&known, "comment").unwrap_or_default();
            let marker = if self.once.is_empty() { String::new() } else { format!("[{}]", reference(&self.once)) };
            if marker.is_empty() || !before.contains(&marker) {
                let parts = [before.as_str(), note, marker.as_str()];
                let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
                values.insert("comment".into(), json!(parts.join("\n")));
            }
            if wanted == Some("lost") {
                values.insert("lost_reason".into(), json!(note));
            }
        }
        if !values.is_empty() {
            self.call("sale.opportunity.write", vec![json!([made]), Value::Object(values)])?;
        }
        if let Some(button) = wanted.filter(|w| text(&known, "state").as_deref() != Some(w)) {
            self.call(&format!("sale.opportunity.{button}"), vec![json!([made])])?;
        }
        self.lead_by_id(made)
    }
}

fn lead(record: &Value) -> Lead {
    let state = match text(record, "state").as_deref() {
        Some("lead") => "new".to_owned(),
        Some("opportunity") => "qualified".to_owned(),
        Some("converted" | "won") => "converted".to_owned(),
        Some("lost" | "cancelled") => "lost".to_owned(),
        other => other.unwrap_or_default().to_owned(),
    };
    Lead {
        id: id_text(record).unwrap_or_default(),
        number: text(record, "number"),
        state,
        subject: text(record, "description").unwrap_or_default(),
        contact_id: field(record, "party").and_then(Value::as_i64).map(|id| id.to_string()),
    }
}

/// What the salesperson should read: what they said, who it is as far as the party doesn't say so, and what isn't in the lines.
fn comment(input: &LeadInput, party_name: &str, unknown: &[String]) -> String {
    let name = input.person.name.clone().filter(|name| name != party_name);
    let mut parts = vec![
        input.message.clone().unwrap_or_default(),
        leads::who(&Person { name, ..input.person.clone() }),
        leads::about(&LeadInput { source: input.source.clone(), ..LeadInput::default() }),
    ];
    if !unknown.is_empty() {
        parts.push(format!("Articles that are not in Tryton: {}", unknown.join(", ")));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}
