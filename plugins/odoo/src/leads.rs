//! Leads are `crm.lead`.
//!
//! **Once.** A lead is found again by its `referred` ("Referred By"); see [`crate::writes`].
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

use crate::session::{Odoo, id, one, parse_id, text};
use confab_plugin_sdk::leads::{self, Lead, LeadInput, Qualification};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::{html, json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const SUBJECT: usize = 200;
pub(crate) const TEXT: usize = 10_000;
const FIELDS: [&str; 6] = ["name", "type", "active", "stage_id", "partner_id", "team_id"];

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
        let input = leads::valid(input, SUBJECT, TEXT)?;
        let is_it = |reference: &str| json!(["referred", "=", reference]);
        let made = self.create_once("crm.lead", is_it, |odoo, reference| {
            let LeadInput { person, subject, .. } = &input;
            let partner = odoo.partner_of(person)?.as_ref().map(id);
            let (told, phone) = match (&person.phone, partner) {
                (Some(phone), Some(_)) => (format!("{}\nPhone: {phone}", leads::about(&input)), None),
                (phone, _) => (leads::about(&input), phone.as_deref()),
            };
            Ok(json!({
                "name": subject, "description": Some(html::from_text(&told)).filter(|told| !told.is_empty()),
                "contact_name": person.name, "partner_name": person.company, "email_from": person.email, "phone": phone,
                "partner_id": partner, "user_id": false, "company_id": odoo.session()?.company, "referred": reference,
            }))
        })?;
        self.lead_by_id(made)
    }

    fn stages(&mut self) -> Result<Vec<Stage>> {
        self.remembered("crm.stage", |odoo| {
            let found =
                odoo.find("crm.stage", json!([]), json!(["is_won", "team_id"]), "sequence, id", 200, Value::Null)?;
            let stage = |s: &Value| Stage { id: id(s), won: json::flag(s, "/is_won"), team: one(s, "team_id") };
            Ok(found.iter().map(stage).collect())
        })
    }

    fn lead_record(&mut self, made: i64) -> Result<Value> {
        let found = self.by_id("crm.lead", vec![made], json!(FIELDS))?.remove(&made);
        found.ok_or_else(|| error(Code::NotFound, format!("there is no lead {made}")))
    }

    fn lead_by_id(&mut self, made: i64) -> Result<Lead> {
        Ok(lead(&self.lead_record(made)?, &self.stages()?))
    }

    pub(crate) fn qualify_lead(&mut self, lead_id: &str, found: &Qualification) -> Result<Lead> {
        let made = parse_id(lead_id).ok_or_else(|| error(Code::NotFound, "there is no such lead"))?;
        let found = leads::valid_finding(found, TEXT)?;
        let wanted = found.state.as_deref();
        match wanted {
            None | Some("new" | "qualified" | "lost") => {}
            Some("converted") => {
                let message = "winning an opportunity is a salesperson's decision: mark it as won in Odoo";
                return Err(error(Code::Unsupported, message));
            }
            Some(_) => return Err(error(Code::InvalidInput, "the state is new, qualified or lost")),
        }
        let known = self.lead_record(made)?;
        let stages = self.stages()?;
        let before = lead(&known, &stages).state;
        let qualifies = wanted == Some("qualified") && before != "qualified" && before != "converted";
        // What is won has 100, what is lost 0: another number would make it neither.
        let scores = qualifies || !matches!(before.as_str(), "converted" | "lost");
        if qualifies && before == "lost" {
            self.call("crm.lead", "action_unarchive", json!([[made]]), Value::Null)?;
        }
        let next = of_team(&stages, one(&known, "team_id")).filter(|s| !s.won).nth(1).map(|stage| stage.id);
        let values = json!({
            "probability": found.score.filter(|_| scores).map(f64::from),
            "type": qualifies.then_some("opportunity"),
            "stage_id": next.filter(|_| qualifies),
        });
        self.write("crm.lead", made, values)?;
        if let Some(note) = &found.note {
            self.post_once("crm.lead", made, note, None)?;
        }
        if wanted == Some("lost") && before != "lost" {
            self.call("crm.lead", "action_set_lost", json!([[made]]), Value::Null)?;
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
    let state = match text(record, "type").as_deref() {
        _ if !json::flag(record, "/active") => "lost",
        _ if won => "converted",
        Some("opportunity") if stage.is_some() && stage != first => "qualified",
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
