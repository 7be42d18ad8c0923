//! A small account: its tickets, comments, audits and users, and what Zendesk does and refuses when they change.

use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// Two agents: the bot's own and one who answers.
pub(super) const BOT: u64 = 900;
pub(super) const AGENT: u64 = 901;
/// The ticket field for order numbers, and the group for repairs.
const FIELD: u64 = 360;
const GROUP: u64 = 77;

/// Why something is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) document: Value,
}

/// `RecordInvalid`, as Zendesk says it of a field.
fn invalid(field: &str, description: &str, error: &str) -> Refusal {
    let details = json!({field: [{"description": description, "error": error}]});
    Refusal {
        status: 422,
        document: json!({"error": "RecordInvalid", "description": "Record validation errors", "details": details}),
    }
}

pub(super) fn absent() -> Refusal {
    Refusal { status: 404, document: json!({"error": "RecordNotFound", "description": "Not found"}) }
}

/// What the account holds.
#[derive(Debug)]
pub(super) struct Account {
    url: String,
    pub(super) users: BTreeMap<u64, Value>,
    pub(super) tickets: BTreeMap<u64, Value>,
    pub(super) comments: BTreeMap<u64, Vec<Value>>,
    pub(super) audits: BTreeMap<u64, Vec<Value>>,
    /// Ids of users and tickets that the search knows.
    pub(super) indexed: HashSet<u64>,
    last_id: u64,
    /// Seconds since the account began.
    clock: u64,
}

impl Account {
    /// One with two customers (one of them suspended), two agents, an answered ticket, a closed one and a long one.
    pub(super) fn new(url: &str) -> Account {
        let mut account = Account {
            url: url.to_owned(),
            users: BTreeMap::new(),
            tickets: BTreeMap::new(),
            comments: BTreeMap::new(),
            audits: BTreeMap::new(),
            indexed: HashSet::new(),
            last_id: 1000,
            clock: 0,
        };
        let people = [
            (BOT, "Shop bot", "bot@shop.example", "", "agent", false),
            (AGENT, "Bob Agent", "bob@shop.example", "", "agent", false),
            (7, "Mina Öz", "mina@example.test", "+436605550177", "end-user", false),
            (8, "Susi Spam", "susi@example.test", "", "end-user", true),
            (9, "Erika Mustermann", "erika@example.test", "", "end-user", false),
        ];
        for (id, name, email, phone, role, suspended) in people {
            let user = json!({"id": id, "name": name, "email": email, "phone": phone, "role": role, "suspended": suspended,
                "active": true, "alias": if id == AGENT { "Bob from support" } else { "" }});
            account.users.insert(id, user);
        }
        let seeds =
            [(1, "Dampflanze tropft", "open", 7), (2, "Alte Sache", "closed", 7), (3, "Lange Geschichte", "hold", 9)];
        for (id, subject, status, requester) in seeds {
            account.put(
                id,
                json!({"subject": subject, "status": status, "requester_id": requester, "assignee_id": AGENT}),
            );
            account.say(id, requester, "Erste Frage ü ☕", true);
            account.say(id, AGENT, "complains each week", false);
            account.say(id, AGENT, "Bitte entkalken", true);
        }
        for n in 0..130 {
            account.say(3, if n % 2 == 0 { 9 } else { AGENT }, &format!("word {n}"), n % 10 != 9);
        }
        account.index();
        account
    }

    pub(super) fn index(&mut self) {
        self.indexed.extend(self.users.keys().chain(self.tickets.keys()));
    }

    fn now(&mut self) -> String {
        self.clock += 1;
        format!("2026-11-22T{:02}:{:02}:{:02}Z", 8 + self.clock / 3600, self.clock / 60 % 60, self.clock % 60)
    }

    fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn put(&mut self, id: u64, mut ticket: Value) {
        let now = self.now();
        ticket["id"] = json!(id);
        ticket["url"] = json!(format!("{}/api/v2/tickets/{id}.json", self.url));
        ticket["created_at"] = json!(now);
        ticket["updated_at"] = json!(now);
        self.tickets.insert(id, ticket);
    }

    fn say(&mut self, ticket: u64, author: u64, text: &str, public: bool) {
        let (id, now) = (self.id(), self.now());
        let comment = json!({"id": id, "type": "Comment", "author_id": author, "body": text, "plain_body": text, "public": public, "created_at": now});
        self.comments.entry(ticket).or_default().push(comment);
    }

    fn by_email(&self, email: &str) -> Option<u64> {
        let same = |user: &&Value| user["email"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(email));
        self.users.values().find(same).and_then(|user| user["id"].as_u64())
    }

    pub(super) fn open(&mut self, input: &Value) -> Result<Value, Refusal> {
        let source = input["via_followup_source_id"].as_u64();
        let requester = match (&input["requester"], input["requester_id"].as_u64()) {
            (Value::Null, id) => id.unwrap_or(BOT),
            (requester, _) => match self.by_email(requester["email"].as_str().unwrap_or_default()) {
                Some(known) => known,
                None if requester["name"].as_str().is_none() => {
                    return Err(invalid(
                        "requester",
                        "Requester: Name: is too short (minimum one character)",
                        "ValueTooShort",
                    ));
                }
                None => {
                    let id = self.id();
                    let user = json!({"id": id, "name": requester["name"], "email": requester["email"], "phone": null,
                        "locale_id": requester["locale_id"], "role": "end-user", "suspended": false, "active": true});
                    self.users.insert(id, user);
                    id
                }
            },
        };
        let user =
            self.users.get(&requester).ok_or_else(|| invalid("requester", "Requester: is invalid", "InvalidValue"))?;
        if user["suspended"] == true {
            let name = user["name"].as_str().unwrap_or_default();
            return Err(invalid("requester", &format!("Requester: {name} is suspended."), "Suspended"));
        }
        if input.get("group_id").is_some_and(|group| *group != GROUP) {
            return Err(invalid("group_id", "Group: is invalid", "InvalidValue"));
        }
        let fields = input["custom_fields"].as_array().cloned().unwrap_or_default();
        if fields.iter().any(|field| field["id"] != FIELD) {
            return Err(invalid("custom_fields", "Custom field: does not exist", "InvalidValue"));
        }
        if source.is_some_and(|id| self.tickets.get(&id).is_none_or(|source| source["status"] != "closed")) {
            return Err(invalid("via_followup_source_id", "Follow-up source: is not closed", "InvalidValue"));
        }
        let id = self.id();
        let text = input["comment"]["body"].as_str().unwrap_or_default().to_owned();
        let channel = json!({"channel": "api", "source": {"from": source.map(|id| json!({"ticket_id": id})), "rel": source.map(|_| "follow_up")}});
        self.put(
            id,
            json!({"subject": input["subject"], "description": text, "status": "new", "priority": input["priority"],
            "requester_id": requester, "assignee_id": null, "group_id": input["group_id"], "tags": input["tags"],
            "external_id": input["external_id"], "custom_fields": fields, "via": channel}),
        );
        let author = input["comment"]["author_id"].as_u64().unwrap_or(requester);
        self.say(id, author, &text, input["comment"]["public"] != false);
        self.audit(id, input);
        Ok(json!({"ticket": self.tickets.get(&id)}))
    }

    fn audit(&mut self, ticket: u64, input: &Value) {
        let (id, now) = (self.id(), self.now());
        let custom = input.pointer("/metadata/custom").cloned().unwrap_or_else(|| json!({}));
        let metadata = json!({"system": {"client": "confab"}, "custom": custom});
        let audit = json!({"id": id, "ticket_id": ticket, "author_id": BOT, "created_at": now, "metadata": metadata, "events": []});
        self.audits.entry(ticket).or_default().push(audit);
    }

    pub(super) fn update(&mut self, id: u64, input: &Value) -> Result<Value, Refusal> {
        let ticket = self.tickets.get_mut(&id).ok_or_else(absent)?;
        if ticket["status"] == "closed" {
            return Err(invalid("status", "Status: closed prevents ticket update", "TicketUpdateClosed"));
        }
        let assignee = input.get("assignee_id").unwrap_or(&ticket["assignee_id"]).clone();
        if input["status"] == "solved" && assignee.is_null() {
            return Err(invalid("base", "Assignee: is required when solving a ticket", "BlankValue"));
        }
        if assignee.as_u64().is_some_and(|id| ![BOT, AGENT].contains(&id)) {
            return Err(invalid("assignee", "Assignee: is invalid", "InvalidValue"));
        }
        ticket["assignee_id"] = assignee;
        for field in ["status", "priority", "tags", "subject"] {
            if let Some(value) = input.get(field) {
                ticket[field] = value.clone();
            }
        }
        if let Some(text) = input.pointer("/comment/body").and_then(Value::as_str) {
            let author = input["comment"]["author_id"].as_u64().unwrap_or(BOT);
            if !self.users.contains_key(&author) {
                return Err(invalid("comment", "Author: is invalid", "InvalidValue"));
            }
            self.say(id, author, text, input["comment"]["public"] != false);
        }
        self.audit(id, input);
        let now = self.now();
        if let Some(ticket) = self.tickets.get_mut(&id) {
            ticket["updated_at"] = json!(now);
        }
        Ok(json!({"ticket": self.tickets.get(&id), "audit": self.audits.get(&id).and_then(|all| all.last())}))
    }

    pub(super) fn add_user(&mut self, input: &Value) -> Result<Value, Refusal> {
        if let Some(email) = input["email"].as_str().filter(|email| self.by_email(email).is_some()) {
            let text = format!("Email: {email} is already being used by another user");
            return Err(invalid("email", &text, "DuplicateValue"));
        }
        let mark = input["external_id"].as_str();
        if mark.is_some_and(|mark| self.users.values().any(|user| user["external_id"] == mark)) {
            return Err(invalid("external_id", "External has already been taken", "DuplicateValue"));
        }
        let id = self.id();
        let mut user = input.clone();
        user["id"] = json!(id);
        user["active"] = json!(true);
        user["suspended"] = json!(false);
        self.users.insert(id, user.clone());
        Ok(json!({"user": user}))
    }

    /// Overwrites what is given, as Zendesk does.
    pub(super) fn create_or_update(&mut self, input: &Value) -> Result<Value, Refusal> {
        let Some(id) = input["email"].as_str().and_then(|email| self.by_email(email)) else {
            return self.add_user(input);
        };
        let user = self.users.get_mut(&id).ok_or_else(absent)?;
        for (field, value) in input.as_object().into_iter().flatten() {
            user[field] = value.clone();
        }
        Ok(json!({"user": user}))
    }

    pub(super) fn set_status(&mut self, id: u64, status: &str) {
        if let Some(ticket) = self.tickets.get_mut(&id) {
            ticket["status"] = json!(status);
        }
    }

    pub(super) fn tickets_about(&self, subject: &str) -> Vec<Value> {
        let of = self.tickets.iter().filter(|(_, ticket)| ticket["subject"] == subject);
        let whole = of.map(|(id, ticket)| {
            let mut ticket = ticket.clone();
            let requester = ticket["requester_id"].as_u64().unwrap_or_default();
            ticket["requester"] = self.users.get(&requester).cloned().unwrap_or_default();
            ticket["comments"] = json!(self.comments.get(id));
            ticket
        });
        whole.collect()
    }

    pub(super) fn users_of(&self, contact: &str) -> Vec<Value> {
        self.users.values().filter(|user| user["email"] == contact || user["phone"] == contact).cloned().collect()
    }

    /// Fields and groups.
    pub(super) fn setting(&self, kind: &str, id: u64) -> Result<Value, Refusal> {
        match (kind, id) {
            ("ticket_fields", FIELD) => {
                Ok(json!({"ticket_field": {"id": FIELD, "type": "text", "title": "Order number", "active": true}}))
            }
            ("groups", GROUP) => Ok(json!({"group": {"id": GROUP, "name": "Repair", "deleted": false}})),
            _ => Err(absent()),
        }
    }
}
