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
            Err(e) => return vec![Finding::error("sign in", e.message)],
        }
        found.push(self.version());
        let objects = ["Contact", "Lead", "Case", "Order", "OrderItem", "CaseComment"];
        for (name, object) in objects.map(|name| (name, self.described(name))) {
            // What is remembered may be what is wrong.
            self.forget(name);
            match object {
                Ok(object) => found.extend(self.rights(&object)),
                Err(e) => found.push(Finding::error(format!("read {name}"), e.message)),
            }
        }
        found.push(match self.closed_status() {
            Ok(status) => Finding::ok("close cases", format!("Status {status}")),
            Err(e) => Finding::error("close cases", e.message),
        });
        found
    }

    fn limits(&self) -> Result<Finding> {
        let answer = self.rest.get("/limits")?;
        if answer.status == 403 && answer.fault().as_deref() != Some("REQUEST_LIMIT_EXCEEDED") {
            return Ok(Finding::ok("sign in", "limits are not shown to this user (View Setup and Configuration)"));
        }
        let body = answer.ok()?;
        let of = |what: &str| json::number(&body, &format!("/DailyApiRequests/{what}")).unwrap_or_default();
        let (left, most) = (of("Remaining"), of("Max"));
        let message = format!("{left} of {most} API requests are left for these 24 hours");
        let few = left < most * LEFT;
        Ok(if few { Finding::warning("sign in", message) } else { Finding::ok("sign in", message) })
    }

    /// The newest version that the org speaks beside the one of the settings.
    fn version(&self) -> Finding {
        let wanted = self.settings.api_version.trim_start_matches('v');
        let versions = Rest { base: "/services/data".into() }.get("/").and_then(|a| a.ok());
        let versions = match versions {
            Ok(list) => list,
            Err(e) => return Finding::warning("api version", e.message),
        };
        let known: Vec<String> = json::list(&versions, "").iter().filter_map(|v| json::text(v, "/version")).collect();
        let newest = known.last().cloned().unwrap_or_default();
        if known.iter().any(|v| v == wanted) {
            return Finding::ok("api version", format!("{wanted}; the org's newest is {newest}"));
        }
        Finding::error("api version", format!("the org does not speak {wanted}; set api_version to v{newest}"))
    }

    fn rights(&self, object: &Object) -> Vec<Finding> {
        let name = object.name.as_str();
        let right = |what: &str, has: bool| match has {
            true => Finding::ok(format!("{what} {name}"), "allowed"),
            false => Finding::error(
                format!("{what} {name}"),
                format!("give the integration user's permission set {what} on {name}"),
            ),
        };
        let mut found = vec![Finding::ok(format!("read {name}"), "allowed")];
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
            found.push(Finding::warning(format!("fields of {name}"), message));
        }
        if name == "Order" && self.settings.currency.is_none() && !object.has("CurrencyIsoCode") {
            found.push(Finding::warning(
                "currency",
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
            None => Finding::warning(&name, how),
            Some(f) if !f.external_id || !f.create => Finding::warning(
                &name,
                format!("{field} is no External ID, or may not be edited by the integration user"),
            ),
            Some(f) if !f.unique => {
                Finding::warning(&name, format!("{field} is not Unique: two calls at once may make two records"))
            }
            Some(_) => Finding::ok(&name, format!("{field}: records are created once")),
        }
    }
}
