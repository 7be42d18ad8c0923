//! Connector for any JSON API: what is particular to it stands in a YAML file of the connection.
//!
//! | module | what it holds |
//! |---|---|
//! | `spec` | the file, read and checked once when the connection is prepared |
//! | `shape` | the operations of the contract and their fields, as data |
//! | `template` | `{placeholders}` in paths, queries, headers and bodies |
//! | `pick` | JSON pointers to fields |
//! | `run` | requests, pages, errors, proof, writes that happen once |

mod pick;
mod run;
mod shape;
mod spec;
mod template;
#[cfg(test)]
mod tests;

use confab_plugin_sdk::catalog::{Catalog, Interest, Product, Recommendation};
use confab_plugin_sdk::contacts::{Contact, Contacts};
use confab_plugin_sdk::health::{Finding, Health};
use confab_plugin_sdk::inventory::{Inventory, StockLevel};
use confab_plugin_sdk::leads::{Lead, LeadInput, Leads, Qualification};
use confab_plugin_sdk::lifecycle::Lifecycle;
use confab_plugin_sdk::orders::{Order, Orders, Tracking};
use confab_plugin_sdk::people::{same_email, same_phone, valid};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{Ticket, TicketInput, TicketQuery, Tickets};
use run::Call;
use serde_json::{Value, json};
use spec::Api;
use std::sync::{Arc, RwLock};

/// More than anybody reads in a chat.
const MOST: u32 = 50;

/// What `prepare` read. The host's snapshot carries it to each call.
static API: RwLock<Option<Arc<Api>>> = RwLock::new(None);

struct Rest;

fn with<T>(operation: &str, arguments: Value, work: impl FnOnce(Call<'_>) -> Result<T>) -> Result<T> {
    let api = API.read().map_err(|_| error(Code::Internal, "the prepared description can't be read"))?.clone();
    let api = api.ok_or_else(|| error(Code::Misconfigured, "the connection's api.yaml has not been prepared"))?;
    work(Call::new(&api, operation, arguments)?)
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
            orders.into_iter().next().ok_or_else(|| error(Code::NotFound, "there is no such order"))
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
                return Err(error(Code::NotFound, "there is no such article"));
            }
            let here = |level: &StockLevel| {
                location.as_deref().is_none_or(|wanted| level.location.as_deref().is_none_or(|own| same(own, wanted)))
            };
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
            let fits = |record: &Value| {
                !interest
                    .skus
                    .iter()
                    .any(|sku| record.get("sku").and_then(Value::as_str).is_some_and(|own| same(own, sku)))
            };
            let found: Vec<Value> = call.fitting(&Value::Null, most(limit), fits)?;
            let recommended = found.into_iter().map(|record| {
                let reason = pick_text(&record, "/reason");
                Ok(Recommendation { product: serde_json::from_value(record)?, reason })
            });
            recommended.collect()
        })
    }
}

fn pick_text(record: &Value, pointer: &str) -> String {
    confab_plugin_sdk::json::text(record, pointer).unwrap_or_default()
}

impl Contacts for Rest {
    fn find(email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let person = valid(&Person { email, phone, ..Person::default() })?;
        let arguments = json!({"email": person.email, "phone": person.phone});
        with("contacts.find", arguments, |call| {
            let fits = |contact: &Contact| {
                let own = |value: &Option<String>, wanted: &Option<String>, same: fn(&str, &str) -> bool| {
                    wanted.as_deref().is_none_or(|wanted| value.as_deref().is_some_and(|own| same(own, wanted)))
                };
                own(&contact.email, &person.email, same_email) && own(&contact.phone, &person.phone, same_phone)
            };
            call.fitting(&Value::Null, MOST as usize, fits)
        })
    }
    fn upsert(person: Person) -> Result<Contact> {
        let person = valid(&person)?;
        let key = match &person.email {
            Some(email) => (Some(email.clone()), None),
            None => (None, person.phone.clone()),
        };
        // A known contact is left as it is: who gives an address has not shown to be its owner.
        match <Self as Contacts>::find(key.0, key.1) {
            Ok(found) => {
                if let Some(known) = found.into_iter().next() {
                    return Ok(known);
                }
            }
            Err(e) if e.code == Code::NotFound.as_str() || e.code == Code::Unsupported.as_str() => {}
            Err(other) => return Err(other),
        }
        let name = [&person.name, &person.company, &person.email, &person.phone].into_iter().flatten().next().cloned();
        let defaults = json!({"name": name, "email": person.email, "phone": person.phone, "company": person.company});
        with("contacts.upsert", json!({"person": person}), |call| Ok(serde_json::from_value(call.write(&defaults)?)?))
    }
}

impl Leads for Rest {
    fn create(lead: LeadInput) -> Result<Lead> {
        let lead = LeadInput { person: valid(&lead.person)?, ..lead };
        let defaults = json!({"subject": lead.subject, "state": "new"});
        with("leads.create", json!({"lead": lead}), |call| Ok(serde_json::from_value(call.write(&defaults)?)?))
    }
    fn qualify(id: String, qualification: Qualification) -> Result<Lead> {
        if qualification.score.is_some_and(|score| score > 100) {
            return Err(error(Code::InvalidInput, "the score is from 0 to 100"));
        }
        let arguments = json!({"id": id, "qualification": qualification});
        with("leads.qualify", arguments, |call| Ok(serde_json::from_value(call.write(&json!({"id": id}))?)?))
    }
}

/// Whose ticket it is, by `tickets.get` of the description: a write on it needs the same proof.
fn own_ticket(number: &str, proof: &Proof) -> Result<Ticket> {
    with("tickets.get", json!({"number": number.trim(), "proof": proof}), |call| {
        let tickets = call.proven(number, proof, |ticket: &Ticket| same(&ticket.number, number))?;
        tickets.into_iter().next().ok_or_else(|| error(Code::NotFound, "there is no such ticket"))
    })
}

fn on_ticket(operation: &str, number: &str, proof: &Proof, arguments: Value) -> Result<Ticket> {
    let known = own_ticket(number, proof)?;
    let defaults = serde_json::to_value(&known)?;
    with(operation, arguments, |call| Ok(serde_json::from_value(call.write(&defaults)?)?))
}

impl Tickets for Rest {
    fn create(ticket: TicketInput) -> Result<Ticket> {
        let ticket = TicketInput { requester: valid(&ticket.requester)?, ..ticket };
        let defaults = json!({"subject": ticket.subject, "state": "new"});
        with("tickets.create", json!({"ticket": ticket}), |call| Ok(serde_json::from_value(call.write(&defaults)?)?))
    }
    fn get(number: String, proof: Proof) -> Result<Ticket> {
        own_ticket(&number, &proof)
    }
    fn comment(number: String, text: String, proof: Proof) -> Result<Ticket> {
        let arguments = json!({"number": number.trim(), "text": text, "proof": proof});
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
        let arguments = json!({"number": number.trim(), "reason": reason, "proof": proof});
        on_ticket("tickets.close", &number, &proof, arguments)
    }
}

impl Health for Rest {
    fn check() -> Vec<Finding> {
        let finding =
            |name: &str, status: &str, message: String| Finding { name: name.into(), status: status.into(), message };
        let api = API.read().ok().and_then(|api| api.clone());
        let Some(api) = api else {
            return vec![finding("api.yaml", "error", "has not been prepared: apply the connection again".into())];
        };
        let described: Vec<&str> = api.operations.keys().map(String::as_str).collect();
        let mut all = vec![finding("operations", "ok", format!("described: {}", described.join(", ")))];
        all.push(match &api.check {
            None => {
                finding("request", "warning", "api.yaml has no `check`: name a request that changes nothing".into())
            }
            Some(check) => {
                let mut request = http::Request::new(&check.method, "api", check.path.as_str());
                for (name, value) in api.headers.iter().chain(&check.headers) {
                    request = request.header(name, value.as_str());
                }
                match request.send().and_then(|response| run::answer(&api, response)) {
                    Ok(_) => finding("request", "ok", format!("{} {} answers", check.method, check.path)),
                    Err(e) => finding(
                        "request",
                        "error",
                        format!("{} {}: {} ({})", check.method, check.path, e.message, e.code),
                    ),
                }
            }
        });
        all
    }
}

confab_plugin_sdk::connector!(Rest: lifecycle, orders, inventory, catalog, contacts, leads, tickets, health);
