//! Whether the connection works: version, limits, rights, the key field. Nothing is changed.

use crate::org::{Object, Org};
use crate::rest::Rest;
use confab_plugin_sdk::health::Finding;
use confab_plugin_sdk::json;
use confab_plugin_sdk::prelude::*;

/// Requests that should be left of a day's.
const LEFT: f64 = 0.1;

impl Org {
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        match self.limits() {
            Ok(finding) => found.push(finding),
            Err(e) => return vec![finding("sign in", "error", e.message)],
        }
        found.push(self.version());
        let objects = ["Contact", "Lead", "Case", "Order", "OrderItem", "CaseComment"];
        for (name, object) in objects.map(|name| (name, self.described(name))) {
            // What is remembered may be what is wrong.
            let _ = self.forget(name);
            match object {
                Ok(object) => found.extend(self.rights(&object)),
                Err(e) => found.push(finding(&format!("read {name}"), "error", e.message)),
            }
        }
        found.push(match self.closed_status() {
            Ok(status) => finding("close cases", "ok", format!("Status {status}")),
            Err(e) => finding("close cases", "error", e.message),
        });
        found
    }

    fn limits(&self) -> Result<Finding> {
        let answer = self.rest.get("/limits")?;
        if answer.status == 403 && answer.fault().as_deref() != Some("REQUEST_LIMIT_EXCEEDED") {
            return Ok(finding("sign in", "ok", "limits are not shown to this user (View Setup and Configuration)"));
        }
        let body = answer.ok()?;
        let of = |what: &str| json::number(&body, &format!("/DailyApiRequests/{what}")).unwrap_or_default();
        let (left, most) = (of("Remaining"), of("Max"));
        let status = if left < most * LEFT { "warning" } else { "ok" };
        Ok(finding("sign in", status, format!("{left} of {most} API requests are left for these 24 hours")))
    }

    /// The newest version that the org speaks beside the one of the settings.
    fn version(&self) -> Finding {
        let wanted = self.settings.api_version.trim_start_matches('v');
        let versions = Rest { base: "/services/data".into() }.get("/").and_then(|a| a.ok());
        let versions = match versions {
            Ok(list) => list,
            Err(e) => return finding("api version", "warning", e.message),
        };
        let known: Vec<String> = json::list(&versions, "").iter().filter_map(|v| json::text(v, "/version")).collect();
        let newest = known.last().cloned().unwrap_or_default();
        if known.iter().any(|v| v == wanted) {
            return finding("api version", "ok", format!("{wanted}; the org's newest is {newest}"));
        }
        finding("api version", "error", format!("the org does not speak {wanted}; set api_version to v{newest}"))
    }

    fn rights(&self, object: &Object) -> Vec<Finding> {
        let name = object.name.as_str();
        let right = |what: &str, has: bool| match has {
            true => finding(&format!("{what} {name}"), "ok", "allowed"),
            false => finding(
                &format!("{what} {name}"),
                "error",
                format!("give the integration user's permission set {what} on {name}"),
            ),
        };
        let mut found = vec![finding(&format!("read {name}"), "ok", "allowed")];
        if matches!(name, "Contact" | "Lead" | "Case" | "CaseComment") {
            found.push(right("create", object.create));
        }
        if matches!(name, "Lead" | "Case") {
            found.push(right("edit", object.update));
            found.push(self.key_field(object));
        }
        let seen: &[&str] = match name {
            "Contact" => &["Email", "Phone"],
            "Lead" => &["Email", "Phone", "Description", "LeadSource"],
            "Case" => &["SuppliedEmail", "SuppliedPhone", "ContactId", "Description", "Priority", "Origin"],
            "Order" => &["BillToContactId", "ShippingPostalCode", "TotalAmount", "PoNumber"],
            "OrderItem" => &["Quantity", "TotalPrice", "Product2Id"],
            _ => &[],
        };
        let hidden: Vec<&str> = seen.iter().copied().filter(|field| !object.has(field)).collect();
        if !hidden.is_empty() {
            let message = format!("not visible to the integration user: {}", hidden.join(", "));
            found.push(finding(&format!("fields of {name}"), "warning", message));
        }
        if name == "Order" && self.settings.currency.is_none() && !object.has("CurrencyIsoCode") {
            found.push(finding(
                "currency",
                "warning",
                "the org has one currency only: name it in the settings, or orders have no amounts",
            ));
        }
        found
    }

    fn key_field(&self, object: &Object) -> Finding {
        let (name, field) = (format!("key field of {}", object.name), &self.settings.key_field);
        let how = format!(
            "{} has no field {field}: create a text field of 32 characters, External ID and Unique, and let the integration user edit it; \
             without it a repeated call looks for a record like the first one's",
            object.name
        );
        match object.fields.get(field) {
            None => finding(&name, "warning", how),
            Some(f) if !f.external_id || !f.create => finding(
                &name,
                "warning",
                format!("{field} is no External ID, or may not be edited by the integration user"),
            ),
            Some(f) if !f.unique => {
                finding(&name, "warning", format!("{field} is not Unique: two calls at once may make two records"))
            }
            Some(_) => finding(&name, "ok", format!("{field}: records are created once")),
        }
    }
}

fn finding(name: &str, status: &str, message: impl Into<String>) -> Finding {
    Finding { name: name.into(), status: status.into(), message: message.into() }
}
