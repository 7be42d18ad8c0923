//! Leads are `crm.lead`.
//!
//! **Once.** A lead's `referred` ("Referred By") is made of the idempotency key and is searched before it is created,
//! so a repeat finds what the first try made, even if its answer was lost, or if the lead was archived since. Its id is
//! kept in the connection's store, which survives a salesperson's change of the field. A note ends in the key.
//!
//! **Nobody's yet.** Odoo gives what a user makes to that user. A lead from here has no salesperson and no team instead, so
//! that Odoo's own rules, or a person, assign it.
//!
//! **Nobody's data is overwritten.** Odoo writes a lead's phone number back to the partner that it is linked to. So the
//! number goes into the description when there is such a partner; the e-mail address is the partner's own.
//!
//! | Odoo | here |
//! |---|---|
//! | archived | `lost` |
//! | in a stage that is won | `converted` |
//! | a lead, or an opportunity in the first stage | `new` |
//! | an opportunity in any other stage | `qualified` |

use crate::html;
use crate::session::{Odoo, id, literal, one, parse_id, text, unfollowed};
use confab_plugin_sdk::json;
use confab_plugin_sdk::leads::{Lead, LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{once, people};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const SUBJECT: usize = 200;
pub(crate) const TEXT: usize = 10_000;
const SKUS: usize = 20;
const FIELDS: [&str; 6] = ["name", "type", "active", "stage_id", "partner_id", "team_id"];

/// Who writes a message, where it is not the connection's user.
#[derive(Default)]
pub(crate) struct Author {
    pub(crate) partner: Option<i64>,
    pub(crate) email: Option<String>,
}

/// A step of the sales pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stage {
    id: i64,
    won: bool,
    /// The only team that uses it, if it is one team's.
    team: Option<i64>,
}

impl Odoo {
    pub(crate) fn create_lead(&mut self, input: &LeadInput) -> Result<Lead> {
        let person = people::valid(&input.person)?;
        let subject = people::one_line(&input.subject);
        if subject.is_empty() || subject.chars().count() > SUBJECT {
            return Err(error(Code::InvalidInput, format!("a lead needs a subject of at most {SUBJECT} characters")));
        }
        let too_long = |t: &Option<String>| t.as_ref().is_some_and(|t| t.chars().count() > TEXT);
        if too_long(&input.message) || too_long(&input.source) || input.skus.len() > SKUS {
            return Err(error(Code::InvalidInput, format!("at most {TEXT} characters and {SKUS} articles")));
        }
        let reference = once::reference(&self.once);
        let is_it = json!([["referred", "=", reference]]);
        if let Some(made) = self.made_before("crm.lead", &reference, is_it)? {
            return self.lead_by_id(made);
        }
        let partner = self.partner_of(&person)?.as_ref().map(id);
        let company = self.session()?.company;
        let description = html::from_text(&description(input, &person, partner.is_some()));
        let mut values =
            Map::from_iter([("user_id".to_owned(), json!(false)), ("company_id".to_owned(), json!(company))]);
        let mut set = |name: &str, value: Option<&str>| {
            values.extend(value.map(|value| (name.to_owned(), json!(value))));
        };
        set("name", Some(&subject));
        set("description", Some(&description).filter(|d| !d.is_empty()).map(String::as_str));
        set("contact_name", person.name.as_deref());
        set("partner_name", person.company.as_deref());
        set("email_from", person.email.as_deref());
        set("phone", person.phone.as_deref().filter(|_| partner.is_none()));
        set("referred", Some(reference.as_str()).filter(|r| !r.is_empty()));
        values.extend(partner.map(|partner| ("partner_id".to_owned(), json!(partner))));
        let made = self.create("crm.lead", Value::Object(values))?;
        self.remember_made("crm.lead", &reference, made)?;
        self.lead_by_id(made)
    }

    /// The record that an earlier try of this call made.
    pub(crate) fn made_before(&mut self, model: &str, reference: &str, is_it: Value) -> Result<Option<i64>> {
        if reference.is_empty() {
            return Ok(None);
        }
        if let Some(made) = kv::get_json::<i64>(&format!("made/{model}/{reference}"))? {
            return Ok(Some(made));
        }
        let found = self.find(model, is_it, &["id"], "id", 1, json!({"active_test": false}))?;
        let made = found.first().map(id);
        if let Some(made) = made {
            self.remember_made(model, reference, made)?;
        }
        Ok(made)
    }

    pub(crate) fn remember_made(&mut self, model: &str, reference: &str, made: i64) -> Result<()> {
        if !reference.is_empty() {
            kv::set_json(&format!("made/{model}/{reference}"), &made)?;
        }
        Ok(())
    }

    /// Posts to a record's thread once: what `author` says to all, or the connection's user as a note to the staff.
    pub(crate) fn post_once(&mut self, model: &str, record: i64, text: &str, author: Option<&Author>) -> Result<()> {
        // A close posts its reason under the key under which it closes.
        let reference = once::reference(&self.once);
        if !reference.is_empty() {
            let domain =
                json!([["model", "=", model], ["res_id", "=", record], ["body", "ilike", literal(&reference)]]);
            if !self.find("mail.message", domain, &["id"], "", 1, Value::Null)?.is_empty() {
                return Ok(());
            }
        }
        let marker = if reference.is_empty() { String::new() } else { format!("\n\n[{reference}]") };
        let body = html::from_text(&format!("{text}{marker}"));
        let kind = if author.is_none() { "mail.mt_note" } else { "mail.mt_comment" };
        let mut kwargs = json!({"body": body, "message_type": "comment", "subtype_xmlid": kind});
        let version = self.session()?.version;
        if let Some(kwargs) = kwargs.as_object_mut() {
            // From 17 on a body is plain text unless one says otherwise.
            kwargs.extend((version >= 17).then(|| ("body_is_html".to_owned(), json!(true))));
            // Odoo takes no message without an address: who has none is spoken for by the connection's user.
            if let Some(Author { partner, email: Some(email) }) = author {
                kwargs.insert("email_from".into(), json!(email));
                kwargs.extend(partner.map(|partner| ("author_id".to_owned(), json!(partner))));
            }
        }
        self.call(model, "message_post", json!([[record]]), kwargs, unfollowed()).map(|_| ())
    }

    fn stages(&mut self) -> Result<Vec<Stage>> {
        self.remembered("crm.stage", |odoo| {
            let found = odoo.find("crm.stage", json!([]), &["is_won", "team_id"], "sequence, id", 200, Value::Null)?;
            let stage = |s: &Value| Stage { id: id(s), won: json::flag(s, "/is_won"), team: one(s, "team_id") };
            Ok(found.iter().map(stage).collect())
        })
    }

    fn lead_record(&mut self, made: i64) -> Result<Value> {
        let all = json!({"active_test": false});
        let found = self.find("crm.lead", json!([["id", "=", made]]), &FIELDS, "", 1, all)?;
        found.into_iter().next().ok_or_else(|| error(Code::NotFound, format!("there is no lead {made}")))
    }

    fn lead_by_id(&mut self, made: i64) -> Result<Lead> {
        let record = self.lead_record(made)?;
        let stages = self.stages()?;
        Ok(lead(&record, &stages))
    }

    pub(crate) fn qualify_lead(&mut self, lead_id: &str, found: &Qualification) -> Result<Lead> {
        let Some(made) = parse_id(lead_id) else {
            return Err(error(Code::NotFound, "there is no such lead"));
        };
        if found.score.is_some_and(|s| s > 100) || found.note.as_ref().is_some_and(|n| n.chars().count() > TEXT) {
            let message = format!("the score is from 0 to 100, a note has at most {TEXT} characters");
            return Err(error(Code::InvalidInput, message));
        }
        let wanted = found.state.as_ref().map(|s| s.trim().to_lowercase()).filter(|s| !s.is_empty());
        match wanted.as_deref() {
            None | Some("new" | "qualified" | "lost") => {}
            Some("converted") => {
                let message = "winning an opportunity is a salesperson's decision: mark it as won in Odoo";
                return Err(error(Code::Unsupported, message));
            }
            Some(_) => return Err(error(Code::InvalidInput, "the state is new, qualified or lost")),
        }
        let known = self.lead_record(made)?;
        let stages = self.stages()?;
        let mut values = Map::new();
        let before = lead(&known, &stages).state;
        let qualifies = wanted.as_deref() == Some("qualified") && before != "qualified" && before != "converted";
        // What is won has 100, what is lost 0: another number would make it neither.
        let scores = qualifies || !matches!(before.as_str(), "converted" | "lost");
        values.extend(found.score.filter(|_| scores).map(|score| ("probability".to_owned(), json!(f64::from(score)))));
        if qualifies && before == "lost" {
            self.call("crm.lead", "action_unarchive", json!([[made]]), Value::Null, Value::Null)?;
        }
        if qualifies {
            values.insert("type".into(), json!("opportunity"));
            let next = of_team(&stages, one(&known, "team_id")).filter(|s| !s.won).nth(1);
            values.extend(next.map(|stage| ("stage_id".to_owned(), json!(stage.id))));
        }
        if !values.is_empty() {
            self.write("crm.lead", made, Value::Object(values))?;
        }
        if let Some(note) = found.note.as_ref().map(|n| n.trim()).filter(|n| !n.is_empty()) {
            self.post_once("crm.lead", made, note, None)?;
        }
        if wanted.as_deref() == Some("lost") && before != "lost" {
            self.call("crm.lead", "action_set_lost", json!([[made]]), Value::Null, Value::Null)?;
        }
        self.lead_by_id(made)
    }
}

/// Stages that a team uses, in order.
fn of_team(stages: &[Stage], team: Option<i64>) -> impl Iterator<Item = &Stage> {
    stages.iter().filter(move |stage| stage.team.is_none() || stage.team == team)
}

fn lead(record: &Value, stages: &[Stage]) -> Lead {
    let stage = one(record, "stage_id");
    let first = of_team(stages, one(record, "team_id")).next().map(|s| s.id);
    let won = stages.iter().any(|s| Some(s.id) == stage && s.won);
    let opportunity = text(record, "type").as_deref() == Some("opportunity");
    let state = match opportunity {
        _ if !json::flag(record, "/active") => "lost",
        _ if won => "converted",
        true if stage.is_some() && stage != first => "qualified",
        _ => "new",
    };
    Lead {
        id: id(record).to_string(),
        number: None,
        state: state.to_owned(),
        subject: text(record, "name").unwrap_or_default(),
        contact_id: one(record, "partner_id").map(|id| id.to_string()),
    }
}

/// What the salesperson should read: what they said, and what no field holds.
fn description(input: &LeadInput, person: &Person, has_partner: bool) -> String {
    let mut blocks: Vec<String> = Vec::new();
    blocks.extend(input.message.as_ref().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()));
    let mut lines: Vec<String> = Vec::new();
    lines.extend(person.phone.as_ref().filter(|_| has_partner).map(|phone| format!("Phone: {phone}")));
    let skus: Vec<String> = input.skus.iter().map(|s| people::one_line(s)).filter(|s| !s.is_empty()).collect();
    lines.extend(Some(skus.join(", ")).filter(|s| !s.is_empty()).map(|s| format!("Articles: {s}")));
    lines.extend(
        input.source.as_ref().map(|s| people::one_line(s)).filter(|s| !s.is_empty()).map(|s| format!("Source: {s}")),
    );
    blocks.extend(Some(lines.join("\n")).filter(|l| !l.is_empty()));
    blocks.join("\n\n")
}
