//! Contacts are customers, by e-mail address and telephone number.
//!
//! A customer that exists is never changed: whoever merely knows an e-mail address could give it a telephone number, which is then proof of
//! its orders. Vendure refuses a second customer with the same address, so that a repeat finds what the first try made.

use crate::api::Vendure;
use confab_plugin_sdk::contacts::Contact;
use confab_plugin_sdk::{json, people, prelude::*};
use serde_json::{Value, json};

const MOST: u32 = 20;
const CUSTOMER: &str = "fragment C on Customer { id firstName lastName emailAddress phoneNumber addresses { company defaultBillingAddress defaultShippingAddress } }";

impl Vendure {
    pub(crate) fn contacts(&self, email: Option<String>, phone: Option<String>) -> Result<Vec<Contact>> {
        let asked = people::valid(&Person { email, phone, ..Person::default() })?;
        let filter = match &asked.email {
            // Vendure keeps addresses in lower case, but those of other ways to sign in as they came.
            Some(email) => json!({"emailAddress": {"in": [email.to_lowercase(), email]}}),
            None => {
                let last: Vec<String> =
                    people::tail(asked.phone.as_deref().unwrap_or_default()).chars().map(String::from).collect();
                json!({"phoneNumber": {"regex": format!("{}[^0-9]*$", last.join("[^0-9]*"))}})
            }
        };
        let document = format!(
            "query($options: CustomerListOptions!) {{ customers(options: $options) {{ items {{ ...C }} }} }} {CUSTOMER}"
        );
        let options = json!({"filter": filter, "sort": {"id": "ASC"}, "take": MOST});
        let answer = self.ask("ReadCustomer", &document, json!({"options": options}))?;
        let found = json::list(&answer, "/customers/items").iter().filter_map(contact);
        let same = |c: &Contact| {
            let phone = |own: &String| asked.phone.as_deref().is_none_or(|p| people::same_phone(own, p));
            asked.phone.is_none() || c.phone.as_ref().is_some_and(phone)
        };
        Ok(found.filter(same).collect())
    }

    pub(crate) fn upsert(&self, person: &Person) -> Result<Contact> {
        let person = people::valid(person)?;
        let Person { email: by_email, phone: by_phone, .. } = people::key(&person);
        if let Some(known) = self.contacts(by_email, by_phone)?.into_iter().next() {
            return Ok(known);
        }
        let Some(email) = &person.email else {
            return Err(error(Code::InvalidInput, "Vendure needs an e-mail address for a new customer"));
        };
        // Both names must be given and may be empty; a single word is what somebody is called.
        let (first, last) = match person.name.as_deref().map(people::split_name) {
            Some((Some(first), last)) => (first, last),
            Some((None, only)) => (only, String::new()),
            None => (String::new(), person.company.clone().unwrap_or_default()),
        };
        let document = format!(
            "mutation($input: CreateCustomerInput!) {{ createCustomer(input: $input) {{ __typename ...C ... on ErrorResult {{ errorCode message }} }} }} {CUSTOMER}"
        );
        let input = json!({"firstName": first, "lastName": last, "emailAddress": email, "phoneNumber": person.phone});
        let answer = self.ask("CreateCustomer", &document, json!({"input": input}))?;
        let made = answer.get("createCustomer").unwrap_or(&Value::Null);
        match json::text(made, "/errorCode").as_deref() {
            None => {
                contact(made).ok_or_else(|| error(Code::Internal, "Vendure gave no id for the customer that it made"))
            }
            // Somebody was faster.
            Some("EMAIL_ADDRESS_CONFLICT_ERROR") => {
                let found = self.contacts(Some(email.clone()), None)?.into_iter().next();
                found.ok_or_else(|| {
                    error(Code::Conflict, "this e-mail address belongs to an account that the API key can't see")
                })
            }
            Some(code) => {
                let said = json::text(made, "/message").unwrap_or_default();
                Err(error(Code::InvalidInput, format!("Vendure refuses the customer: {code}: {}", json::said(&said))))
            }
        }
    }
}

fn contact(customer: &Value) -> Option<Contact> {
    let text = |pointer: &str| json::text(customer, pointer);
    let email = text("/emailAddress");
    let name = [text("/firstName"), text("/lastName")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let addresses = json::list(customer, "/addresses");
    let own = addresses.iter().find(|a| json::flag(a, "/defaultBillingAddress")).or_else(|| addresses.first());
    Some(Contact {
        id: json::id(customer, "/id")?,
        name: if name.is_empty() { email.clone().unwrap_or_default() } else { name },
        email,
        phone: text("/phoneNumber"),
        company: own.and_then(|a| json::text(a, "/company")),
        extra: Vec::new(),
    })
}
