//! Connector for any JSON API: what is particular to it stands in a YAML file of the connection.
//!
//! | module | what it holds |
//! |---|---|
//! | `spec` | the file, read and checked once when the connection is prepared |
//! | `shape` | the operations of the contract and their fields, as data |
//! | `template` | `{placeholders}` in paths, queries, headers and bodies |
//! | `pick` | JSON pointers to fields |
//! | `webhook` | what the system tells by itself |
//! | `run` | requests, pages, errors, proof, writes that happen once |

mod pick;
mod run;
mod shape;
mod spec;
mod template;
#[cfg(test)]
mod tests;
mod webhook;

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::filled;
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel, no_article, same_place};
use confab_plugin_sdk::json::text;
use confab_plugin_sdk::leads::{self, Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::lifecycle::Lifecycle;
use confab_plugin_sdk::orders::{Order, Orders, Tracking, no_order};
use confab_plugin_sdk::people::{self, Known, valid};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{self, Ticket, TicketInput, TicketQuery, Tickets, no_ticket};
use run::Call;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use spec::Api;
use std::sync::{Arc, RwLock};

/// More than anybody reads in a chat.
const MOST: u32 = 50;
/// Longest subject and longest text of a visitor: the system may take less, and says so.
const LINE: usize = 1_000;
const TEXT: usize = 50_000;

/// What `prepare` read. The host's snapshot carries it to each call.
static API: RwLock<Option<Arc<Api>>> = RwLock::new(None);

struct Rest;

fn with<T>(operation: &str, arguments: Value, work: impl FnOnce(Call<'_>) -> Result<T>) -> Result<T> {
    let api = API.read().map_err(|_| error(Code::Internal, "the prepared description can't be read"))?.clone();
    let api = api.ok_or_else(|| error(Code::Misconfigured, "the connection's api.yaml has not been prepared"))?;
    work(Call::new(&api, operation, arguments)?)
}

/// A write, and its record.
fn write<T: DeserializeOwned>(operation: &str, arguments: Value, defaults: &Value) -> Result<T> {
    with(operation, arguments, |call| Ok(serde_json::from_value(call.write(defaults)?)?))
}

fn same(own: &str, asked: &str) -> bool {
    own.trim().eq_ignore_ascii_case(asked.trim())
}

fn most(limit: u32) -> usize {
    limit.clamp(1, MOST) as usize
}

impl Lifecycle for Rest {
    fn prepare(_settings: String, files: Vec<NamedFile>) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        confab_plugin_sdk::preparing(|| {
            let (api, warnings) = spec::read(&files)?;
            if let Ok(mut slot) = API.write() {
                *slot = Some(Arc::new(api));
            }
            Ok(warnings)
        })
    }
}

impl Orders for Rest {
    fn get(number: String, proof: Proof) -> Result<Order> {
        with("orders.get", json!({"number": number.trim(), "proof": proof}), |call| {
            // A search may find what only looks like it.
            let meant =
                |o: &Order| same(&o.number, &number) || o.reference.as_deref().is_some_and(|r| same(r, &number));
            let orders = call.proven(&number, &proof, meant)?;
            orders.into_iter().next().ok_or_else(no_order)
        })
    }
    fn list_for_customer(customer_id: String, limit: u32) -> Result<Vec<Order>> {
        let arguments = json!({"customer_id": customer_id, "limit": most(limit)});
        with("orders.list-for-customer", arguments, |call| {
            // Compared, where the system took the question for another.
            if call.has_customer_ids() {
                let owner = Proof { customer_id: Some(customer_id.clone()), ..Proof::default() };
                return call.of(&owner, most(limit));
            }
            let theirs = |order: &Order| order.customer_id.as_ref().is_some_and(|id| same(id, &customer_id));
            call.fitting(&Value::Null, most(limit), theirs)
        })
    }
    fn track(number: String, proof: Proof) -> Result<Vec<Tracking>> {
        with("orders.track", json!({"number": number.trim(), "proof": proof}), |call| {
            call.proven(&number, &proof, |_| true)
        })
    }
}

impl Inventory for Rest {
    fn availability(sku: String, location: Option<String>) -> Result<Vec<StockLevel>> {
        let defaults = json!({"sku": sku.trim(), "as_of": host::now_rfc3339()});
        with("inventory.availability", json!({"sku": sku.trim(), "location": location}), |call| {
            let levels = call.fitting(&defaults, MOST as usize, |level: &StockLevel| same(&level.sku, &sku))?;
            if levels.is_empty() {
                return Err(no_article(&sku));
            }
            let Some(wanted) = filled(location.as_deref()) else { return Ok(levels) };
            let here = |level: &StockLevel| level.location.as_deref().is_none_or(|own| same_place(own, wanted));
            Ok(levels.into_iter().filter(here).collect())
        })
    }
}

impl Catalog for Rest {
    fn search(query: String, limit: u32) -> Result<Vec<Product>> {
        let arguments = json!({"query": query.trim(), "limit": most(limit)});
        with("catalog.search", arguments, |call| call.first(most(limit)))
    }
    fn get(sku: String) -> Result<Product> {
        with("catalog.get", json!({"sku": sku.trim()}), |call| {
            call.one(&json!({"sku": sku.trim()}), |product: &Product| same(&product.sku, &sku))
        })
    }
    fn recommend(interest: Interest, limit: u32) -> Result<Vec<Recommendation>> {
        let arguments = json!({"interest": interest, "limit": most(limit)});
        with("catalog.recommend", arguments, |call| {
            let is_new = |record: &Value| {
                let own = text(record, "/sku").unwrap_or_default();
                !interest.skus.iter().any(|sku| same(&own, sku))
            };
            let found: Vec<Value> = call.fitting(&Value::Null, most(limit), is_new)?;
            let recommended = found.into_iter().map(|record| {
                let reason = text(&record, "/reason").unwrap_or_default();
                Ok(Recommendation { product: serde_json::from_value(record)?, reason })
            });
            recommended.collect()
        })
    }
}

impl Contacts for Rest {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = valid(&Person { email, phone, ..Person::default() })?;
        with("contacts.find", json!({"email": person.email, "phone": person.phone}), |call| {
            call.fitting(&Value::Null, MOST as usize, |contact: &Contact| Known::from(contact).fits(&person))
        })
    }
    fn upsert(person: Person) -> Result<Contact> {
        let person = valid(&person)?;
        let key = people::key(&person);
        // A known contact is left as it is: who gives an address has not shown to be its owner.
        let known = match <Self as Contacts>::find(key.email, key.phone) {
            Err(e) if e.code == Code::NotFound.as_str() || e.code == Code::Unsupported.as_str() => None,
            found => found?.into_iter().next(),
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let defaults = Person { name: Some(people::display_name(&person)), ..person.clone() };
        write("contacts.upsert", json!({"person": person}), &json!(defaults))
    }
}

impl Leads for Rest {
    fn create(lead: LeadInput) -> Result<Lead> {
        let lead = leads::valid(&lead, LINE, TEXT)?;
        write("leads.create", json!({"lead": lead}), &json!({"subject": lead.subject, "state": "new"}))
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        let found = leads::valid_finding(&qualification, TEXT)?;
        write("leads.qualify", json!({"id": id, "qualification": found}), &json!({"id": id}))
    }
}

/// Whose ticket it is, by `tickets.get` of the description: a write on it needs the same proof.
fn own_ticket(number: &str, proof: &Proof) -> Result<Ticket> {
    with("tickets.get", json!({"number": number.trim(), "proof": proof}), |call| {
        let tickets = call.proven(number, proof, |ticket: &Ticket| same(&ticket.number, number))?;
        tickets.into_iter().next().ok_or_else(|| no_ticket(number))
    })
}

fn on_ticket(operation: &str, number: &str, proof: &Proof, arguments: Value) -> Result<Ticket> {
    write(operation, arguments, &json!(own_ticket(number, proof)?))
}

impl Tickets for Rest {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        let ticket = tickets::valid(&ticket, LINE, TEXT)?;
        write("tickets.create", json!({"ticket": ticket}), &json!({"subject": ticket.subject, "state": "new"}))
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        own_ticket(&number, &proof)
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        let arguments = json!({"number": number.trim(), "text": tickets::said(&text, TEXT)?, "proof": proof});
        on_ticket("tickets.comment", &number, &proof, arguments)
    }
    fn search(query: TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        let arguments = json!({"query": query, "limit": most(limit)});
        let email = query.requester_email.filter(|email| !email.trim().is_empty());
        with("tickets.search", arguments, |call| match email {
            Some(email) => call.of(&Proof { email: Some(email), ..Proof::default() }, most(limit)),
            None => call.first(most(limit)),
        })
    }
    fn close(number: String, reason: Option<String>, proof: Proof) -> Result<Ticket> {
        let reason = tickets::reason(reason.as_deref(), TEXT)?;
        let arguments = json!({"number": number.trim(), "reason": reason, "proof": proof});
        on_ticket("tickets.close", &number, &proof, arguments)
    }
}

impl Health for Rest {
    fn check() -> Vec<Finding> {
        let Some(api) = API.read().ok().and_then(|api| api.clone()) else {
            return vec![Finding::error("api.yaml", "has not been prepared: apply the connection again")];
        };
        let described: Vec<&str> = api.operations.keys().map(String::as_str).collect();
        let request = match &api.check {
            None => Finding::warning("request", "api.yaml has no `check`: name a request that changes nothing"),
            Some(check) => {
                let mut request = http::Request::new(&check.method, "api", check.path.as_str());
                for (name, value) in api.headers.iter().chain(&check.headers) {
                    request = request.header(name, value.as_str());
                }
                let asked = format!("{} {}", check.method, check.path);
                match request.send().and_then(|response| run::answer(&api, response)) {
                    Ok(_) => Finding::ok("request", format!("{asked} answers")),
                    Err(e) => Finding::error("request", format!("{asked}: {} ({})", e.message, e.code)),
                }
            }
        };
        vec![Finding::ok("operations", format!("described: {}", described.join(", "))), request]
    }
}

confab_plugin_sdk::connector!(Rest: lifecycle, orders, inventory, catalog, contacts, leads, tickets, health, webhook);
