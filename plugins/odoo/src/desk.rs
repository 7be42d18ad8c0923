//! The three helpdesks that an Odoo can have. They share the model's name, but not its fields.
//!
//! | | number | requester | stage | closed when | category |
//! |---|---|---|---|---|---|
//! | Helpdesk (Enterprise) `helpdesk.ticket` | `ticket_ref` | `partner_name`, `partner_email`, `partner_phone` | `helpdesk.stage` | folded | `helpdesk.team` |
//! | OCA `helpdesk_mgmt` `helpdesk.ticket` | `number` | `partner_name`, `partner_email` | `helpdesk.ticket.stage` | `closed` | `helpdesk.ticket.category` |
//! | tasks of a project (setting `ticket_project`) | the id | the partner | `project.task.type` | folded | none |
//!
//! Enterprise and OCA are told apart by their fields.

use crate::session::{Odoo, id, text};
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

    /// The state of a ticket in a stage: the first stage is for new ones.
    pub(crate) fn state(&self, stage: Option<i64>) -> &'static str {
        match self.stages.iter().position(|s| Some(s.id) == stage) {
            Some(at) if self.stages.get(at).is_some_and(|s| s.closed) => "closed",
            Some(0) | None => "new",
            Some(_) => "open",
        }
    }
}

impl Odoo {
    pub(crate) fn desk(&mut self) -> Result<Desk> {
        self.remembered("desk", Self::look_for_desk)
    }

    fn look_for_desk(&mut self) -> Result<Desk> {
        let there = match self.fields("helpdesk.ticket", &OPTIONAL) {
            // The model is not there.
            Err(e) if e.code == Code::Misconfigured.as_str() => Vec::new(),
            other => other?,
        };
        let (kind, fields) = if there.iter().any(|f| f == "ticket_ref") {
            (Kind::Enterprise, there)
        } else if there.iter().any(|f| f == "number") {
            (Kind::Oca, there)
        } else if let Some(project) = self.settings.ticket_project {
            (Kind::Tasks(project), self.fields("project.task", &["access_url", "priority"])?)
        } else {
            let message = "this Odoo has no helpdesk: install Helpdesk (Enterprise) or helpdesk_mgmt (OCA), or name a project in the setting `ticket_project`";
            return Err(error(Code::Unsupported, message));
        };
        let stages = self.desk_stages(kind)?;
        Ok(Desk { kind, fields, stages })
    }

    fn desk_stages(&mut self, kind: Kind) -> Result<Vec<Stage>> {
        let team = self.settings.ticket_team;
        // A stage without teams is everybody's (OCA only).
        let (model, closed, domain) = match (kind, team) {
            (Kind::Enterprise, Some(team)) => ("helpdesk.stage", "fold", json!([["team_ids", "in", [team]]])),
            (Kind::Enterprise, None) => ("helpdesk.stage", "fold", json!([])),
            (Kind::Oca, Some(team)) => {
                let domain = json!(["|", ["team_ids", "=", false], ["team_ids", "in", [team]]]);
                ("helpdesk.ticket.stage", "closed", domain)
            }
            (Kind::Oca, None) => ("helpdesk.ticket.stage", "closed", json!([["team_ids", "=", false]])),
            (Kind::Tasks(project), _) => ("project.task.type", "fold", json!([["project_ids", "in", [project]]])),
        };
        let mut found = self.find(model, domain.clone(), &["name", closed], "sequence, id", 100, Value::Null)?;
        if found.is_empty() && domain != json!([]) {
            found = self.find(model, json!([]), &["name", closed], "sequence, id", 100, Value::Null)?;
        }
        let flag = |stage: &Value| json::flag(stage, &format!("/{closed}"));
        Ok(found
            .iter()
            .map(|stage| Stage { id: id(stage), name: text(stage, "name").unwrap_or_default(), closed: flag(stage) })
            .collect())
    }
}
