//! The three helpdesks that an Odoo can have. They share the model's name, but not its fields.
//!
//! | | number | requester | stage | closed when | category |
//! |---|---|---|---|---|---|
//! | Helpdesk (Enterprise) `helpdesk.ticket` | `ticket_ref` | `partner_name`, `partner_email`, `partner_phone` | `helpdesk.stage` | folded | `helpdesk.team` |
//! | OCA `helpdesk_mgmt` `helpdesk.ticket` | `number` | `partner_name`, `partner_email` | `helpdesk.ticket.stage` | `closed` | `helpdesk.ticket.category` |
//! | tasks of a project (setting `ticket_project`) | the id | the partner | `project.task.type` | folded; from 17 on also by their `state` | none |
//!
//! Enterprise and OCA are told apart by their fields. Stages may be some teams' only, so a ticket's state depends on its team.

use crate::session::{Odoo, any, id, many, one, text};
use confab_plugin_sdk::json;
use confab_plugin_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What differs between helpdesks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Enterprise,
    Oca,
    Tasks(i64),
}

/// A step of a ticket.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) closed: bool,
    /// Whose it is; of none it is everybody's.
    teams: Vec<i64>,
}

impl Stage {
    fn is_of(&self, team: Option<i64>) -> bool {
        self.teams.is_empty() || team.is_some_and(|team| self.teams.contains(&team))
    }
}

/// The helpdesk of this Odoo.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Desk {
    pub(crate) kind: Kind,
    /// Those of [`OPTIONAL`] that it has.
    pub(crate) fields: Vec<String>,
    /// In order.
    pub(crate) stages: Vec<Stage>,
}

/// The state of a task that is done; it has one from 17 on, apart from its stage.
pub(crate) const DONE: &str = "1_done";
const CLOSED: [&str; 2] = [DONE, "1_canceled"];
const OPTIONAL: [&str; 7] =
    ["ticket_ref", "number", "partner_name", "partner_email", "partner_phone", "access_url", "priority"];

impl Desk {
    pub(crate) fn model(&self) -> &'static str {
        match self.kind {
            Kind::Enterprise | Kind::Oca => "helpdesk.ticket",
            Kind::Tasks(_) => "project.task",
        }
    }

    /// The field with the number that people use.
    pub(crate) fn number(&self) -> &'static str {
        match self.kind {
            Kind::Enterprise => "ticket_ref",
            Kind::Oca => "number",
            Kind::Tasks(_) => "id",
        }
    }

    /// What a category of the contract is here.
    pub(crate) fn category(&self) -> Option<(&'static str, &'static str)> {
        match self.kind {
            Kind::Enterprise => Some(("team_id", "helpdesk.team")),
            Kind::Oca => Some(("category_id", "helpdesk.ticket.category")),
            Kind::Tasks(_) => None,
        }
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|f| f == field)
    }

    /// The first stage is for new tickets.
    pub(crate) fn state(&self, ticket: &Value) -> &'static str {
        let team = one(ticket, "team_id");
        match one(ticket, "stage_id") {
            _ if text(ticket, "state").is_some_and(|state| CLOSED.contains(&state.as_str())) => "closed",
            None => "new",
            Some(id) => self.stages.iter().find(|s| s.id == id).map_or("open", |stage| self.state_in(stage, team)),
        }
    }

    fn state_in(&self, stage: &Stage, team: Option<i64>) -> &'static str {
        let first = self.stages.iter().find(|s| s.is_of(team)).map(|s| s.id);
        match stage.closed {
            true => "closed",
            false if first == Some(stage.id) => "new",
            false => "open",
        }
    }

    /// The part of a domain that finds tickets in a state of the contract, or in a stage with this name.
    pub(crate) fn in_state(&self, state: &str) -> Vec<Value> {
        let is_in = |s: &Stage| self.state_in(s, s.teams.first().copied()) == state;
        let fits = |s: &&Stage| is_in(s) || s.name.eq_ignore_ascii_case(state);
        let stages: Vec<i64> = self.stages.iter().filter(fits).map(|s| s.id).collect();
        let stages = json!(["stage_id", "in", stages]);
        match (self.has("state"), state) {
            (false, _) => vec![stages],
            (true, "closed") => any([stages, json!(["state", "in", CLOSED])]),
            (true, _) => vec![stages, json!(["state", "not in", CLOSED])],
        }
    }

    /// The stage that a ticket is closed into.
    pub(crate) fn closing(&self, ticket: &Value) -> Option<i64> {
        let team = one(ticket, "team_id");
        self.stages.iter().find(|s| s.closed && s.is_of(team)).map(|s| s.id)
    }
}

impl Odoo {
    pub(crate) fn desk(&mut self) -> Result<Desk> {
        self.remembered("desk", Self::look_for_desk)
    }

    fn look_for_desk(&mut self) -> Result<Desk> {
        let there = match self.fields("helpdesk.ticket", &[], &OPTIONAL) {
            // The model is not there.
            Err(e) if e.code == Code::Misconfigured.as_str() => Vec::new(),
            other => other?,
        };
        let has = |field: &str| there.iter().any(|f| f == field);
        let (kind, fields) = match self.settings.ticket_project {
            _ if has("ticket_ref") => (Kind::Enterprise, there),
            _ if has("number") => (Kind::Oca, there),
            Some(project) => {
                (Kind::Tasks(project), self.fields("project.task", &[], &["access_url", "priority", "state"])?)
            }
            None => {
                let message = "this Odoo has no helpdesk: install Helpdesk (Enterprise) or helpdesk_mgmt (OCA), or name a project in the setting `ticket_project`";
                return Err(error(Code::Unsupported, message));
            }
        };
        let stages = self.desk_stages(kind)?;
        Ok(Desk { kind, fields, stages })
    }

    fn desk_stages(&mut self, kind: Kind) -> Result<Vec<Stage>> {
        let (model, closed, teams, domain) = match kind {
            Kind::Enterprise => ("helpdesk.stage", "fold", Some("team_ids"), json!([])),
            Kind::Oca => ("helpdesk.ticket.stage", "closed", Some("team_ids"), json!([])),
            Kind::Tasks(project) => ("project.task.type", "fold", None, json!([["project_ids", "in", [project]]])),
        };
        let fields: Vec<&str> = ["name", closed].into_iter().chain(teams).collect();
        let found = self.find(model, domain, json!(fields), "sequence, id", 100, Value::Null)?;
        let stage = |stage: &Value| Stage {
            id: id(stage),
            name: text(stage, "name").unwrap_or_default(),
            closed: json::flag(stage, &format!("/{closed}")),
            teams: many(stage, "team_ids"),
        };
        Ok(found.iter().map(stage).collect())
    }
}
