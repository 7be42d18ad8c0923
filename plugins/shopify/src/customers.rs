//! Contacts are customers, by their identifiers: e-mail address and telephone number, each of which one customer has.
//!
//! They are not searched for: the search lags behind by seconds, in which a repeat would make a second customer. A customer that exists is
//! never changed: whoever merely knows an e-mail address could give it a telephone number, which is then proof of its orders. Shopify
//! refuses a second customer with the same address or number (`userErrors`), so that a repeat finds what the first try made.

use crate::api::{Shopify, short_id};
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::people::{self, Known};
use confab_plugin_sdk::{json, prelude::*};
use serde_json::{Value, json};

const CUSTOMER: &str = "fragment C on Customer { id displayName defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } defaultAddress { company phone } }";

impl Shopify {
    pub(crate) fn contacts(&self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let asked = people::valid(&Person { email, phone, ..Person::default() })?;
        let identifier = match (&asked.email, &asked.phone) {
            (Some(email), _) => json!({"emailAddress": email}),
            (None, Some(phone)) => json!({"phoneNumber": self.full_phone(phone).ok_or_else(|| {
                error(Code::InvalidInput, "Shopify knows phone numbers with country code only: give it, or set phone_country_code")
            })?}),
            (None, None) => return Ok(Vec::new()),
        };
        let document = format!(
            "query($identifier: CustomerIdentifierInput!) {{ customerByIdentifier(identifier: $identifier) {{ ...C }} }} {CUSTOMER}"
        );
        let answer = self.ask(&document, json!({"identifier": identifier}))?;
        let found = answer.get("customerByIdentifier").and_then(contact);
        let phone = asked.phone.as_deref().map(|p| self.full_phone(p).unwrap_or_else(|| p.to_owned()));
        let asked = Person { phone, ..asked };
        Ok(found.into_iter().filter(|contact| Known::from(contact).fits(&asked)).collect())
    }

    pub(crate) fn upsert(&self, person: &Person) -> Result<Contact> {
        let person = people::valid(person)?;
        let known = || {
            let key = people::key(&person);
            self.contacts(key.email, key.phone).map(|found| found.into_iter().next())
        };
        if let Some(known) = known()? {
            return Ok(known);
        }
        let phone = person.phone.as_deref().and_then(|p| self.full_phone(p));
        let mut refused = match self.create(&person, phone.as_deref())? {
            Ok(made) => return Ok(made),
            Err(refused) => refused,
        };
        // Somebody was faster.
        if let Some(known) = known()? {
            return Ok(known);
        }
        // The number is another customer's, or none to Shopify: it is left out where the address says who it is.
        if person.email.is_some() && phone.is_some() && refused.iter().any(|e| e.field == "phone") {
            match self.create(&person, None)? {
                Ok(made) => return Ok(made),
                Err(again) => refused = again,
            }
        }
        let said: Vec<String> = refused.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
        let taken = refused.iter().any(|e| e.message.contains("taken"));
        let code = if taken { Code::Conflict } else { Code::InvalidInput };
        Err(error(code, format!("Shopify refuses the customer: {}", json::said(&said.join("; ")))))
    }

    fn create(&self, person: &Person, phone: Option<&str>) -> Result<Result<Contact, Vec<Refusal>>> {
        let (first, last) = match person.name.as_deref().map(people::split_name) {
            Some((Some(first), last)) => (Some(first), Some(last)),
            Some((None, only)) => (Some(only), None),
            None => (None, person.company.clone()),
        };
        let company = person.company.as_ref().map(|c| format!("Company: {c}"));
        let input =
            json!({"email": person.email, "phone": phone, "firstName": first, "lastName": last, "note": company});
        let document = format!(
            "mutation($input: CustomerInput!) {{ customerCreate(input: $input) {{ customer {{ ...C }} userErrors {{ field message }} }} }} {CUSTOMER}"
        );
        let answer = self.ask(&document, json!({"input": input}))?;
        if let Some(made) = answer.pointer("/customerCreate/customer").and_then(contact) {
            return Ok(Ok(made));
        }
        let refusals = json::list(&answer, "/customerCreate/userErrors").iter().map(|e| Refusal {
            field: json::list(e, "/field").iter().filter_map(Value::as_str).next_back().unwrap_or("input").to_owned(),
            message: json::text(e, "/message").unwrap_or_default(),
        });
        let refusals: Vec<Refusal> = refusals.collect();
        if refusals.is_empty() {
            return Err(error(Code::Internal, "Shopify neither made the customer nor said why"));
        }
        Ok(Err(refusals))
    }
}

/// One of `userErrors`.
struct Refusal {
    field: String,
    message: String,
}

fn contact(customer: &Value) -> Option<Contact> {
    let text = |pointer: &str| json::text(customer, pointer);
    let email = text("/defaultEmailAddress/emailAddress");
    Some(Contact {
        id: short_id(&text("/id")?).to_owned(),
        name: text("/displayName").or_else(|| email.clone()).unwrap_or_default(),
        email,
        phone: text("/defaultPhoneNumber/phoneNumber"),
        company: text("/defaultAddress/company"),
        extra: Vec::new(),
    })
}
