//! Whether the connection works: scopes, pipelines, stages, the key property. Nothing is changed.

use crate::portal::{LeadObject, Portal};
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::prelude::*;

impl Portal {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        // What is remembered may be what is wrong.
        if let Err(e) = self.forget() {
            return vec![Finding::error("store", e.message)];
        }
        let leads = if self.settings.leads.object == LeadObject::Lead { "leads" } else { "deals" };
        let mut found = Vec::new();
        for object in ["contacts", leads, "tickets", "notes"] {
            let read = crate::api::get(&format!("/crm/v3/objects/{object}?limit=1")).and_then(|a| a.ok());
            found.push(match read {
                Ok(_) => Finding::ok(format!("read {object}"), "allowed"),
                Err(e) if e.code == Code::Misconfigured.as_str() => {
                    return vec![Finding::error("sign in", e.message)];
                }
                Err(e) if object == "leads" => Finding::error(
                    "read leads",
                    format!(
                        "{}; an account without Sales Hub Professional has no leads: set leads.object to deal",
                        e.message
                    ),
                ),
                Err(e) => Finding::error(format!("read {object}"), e.message),
            });
        }
        let settings = &self.settings;
        for (object, wanted) in [(leads, &settings.leads.pipeline), ("tickets", &settings.tickets.pipeline)] {
            let name = format!("pipeline of {object}");
            found.push(match self.pipeline(object, wanted.as_deref()) {
                Ok(p)
                    if object == "tickets"
                        && settings.tickets.closed_stage.is_none()
                        && !p.stages.iter().any(|s| s.closed) =>
                {
                    Finding::error(&name, format!("{} has no stage that counts as closed: {}", p.label, p.labels()))
                }
                Ok(p) => Finding::ok(&name, format!("{}: {}", p.label, p.labels())),
                Err(e) => Finding::error(&name, e.message),
            });
            found.push(self.key_finding(object));
        }
        // Writing can't be tried without writing: the scope is named instead.
        found.push(Finding::ok(
            "write",
            format!("not tried; needs the scopes crm.objects.contacts.write, crm.objects.{leads}.write and tickets"),
        ));
        found
    }

    fn key_finding(&self, object: &str) -> Finding {
        let (name, key) = (format!("key property of {object}"), &self.settings.key_property);
        if key.is_empty() {
            return Finding::warning(
                &name,
                "none in the settings: a repeated call looks for a record like the first one's",
            );
        }
        match self.property(object, key) {
            Ok(p) if p.unique => Finding::ok(&name, format!("{key}: records are created once")),
            Ok(p) if p.exists => Finding::warning(
                &name,
                format!("{key} has no unique values; that can't be changed later: create another one"),
            ),
            Ok(_) => {
                let how = "Settings, Properties, Create property, single-line text, \"Require unique values for this property\"";
                Finding::warning(
                    &name,
                    format!(
                        "{object} has no property {key}: create it ({how}); without it a repeated call looks for a record like the first one's"
                    ),
                )
            }
            Err(e) => Finding::warning(&name, e.message),
        }
    }
}
