//! Tickets are `Case`, what the requester may see of them its published `CaseComment`s.
//!
//! | here | Salesforce |
//! |---|---|
//! | number | `CaseNumber`, with or without its zeros |
//! | requester | `SuppliedName`, `SuppliedEmail`, `SuppliedPhone`, `SuppliedCompany`; the contact with that address, if it is one |
//! | category | a value of `Type`, or else name or developer name of a queue |
//! | state | `closed` by `IsClosed`; else by the name of the Status (settings, or the usual names) |
//!
//! The description and comments cannot be searched by SOQL; see [`Org::search_cases`].

use crate::org::{Like, Made, Object, Org, owned};
use crate::people::cut;
use crate::rest::{Part, unreferenced};
use crate::soql::{containing, forms, literal, numbers};
use confab_plugin_sdk::prelude::*;
use confab_plugin_sdk::tickets::{self, Priority, Ticket, TicketComment, TicketInput, TicketQuery};
use confab_plugin_sdk::{dates, filled, json, people};
use serde_json::{Map, Value, json};

const SUBJECT: usize = 255;
/// What Description holds is 32,000; an order number comes on top.
const TEXT: usize = 31_700;
/// Words that are looked for, and characters of each: a query is part of a URL, and that has 16 kB.
const WORDS: usize = 8;
const WORD: usize = 60;
/// What `CommentBody` holds.
const COMMENT: usize = 4_000;
const MOST: u32 = 50;
/// Cases that are looked through for words: the newest.
const LOOKED_THROUGH: usize = 200;
const SELECT: [&str; 17] = [
    "Id",
    "CaseNumber",
    "Subject",
    "Description",
    "Status",
    "IsClosed",
    "CreatedDate",
    "LastModifiedDate",
    "ContactId",
    "AccountId",
    "SuppliedEmail",
    "SuppliedPhone",
    "SuppliedName",
    "ContactEmail",
    "ContactPhone",
    "ContactMobile",
    "Type",
];
/// The newest ones; the contract wants the oldest first.
const COMMENTS: &str = "(SELECT Id, CommentBody, CreatedDate, CreatedBy.Name FROM CaseComments \
    WHERE IsPublished = TRUE AND IsDeleted = FALSE ORDER BY CreatedDate DESC LIMIT 100)";
/// Names that a Status usually has, in lower case.
const USUAL: [(&str, &[&str]); 4] = [
    ("new", &["new", "neu"]),
    ("open", &["open", "working", "in progress", "assigned", "escalated", "offen", "in bearbeitung", "eskaliert"]),
    (
        "pending",
        &["pending", "on hold", "waiting", "waiting on customer", "waiting for customer", "wartend", "zurückgestellt"],
    ),
    ("solved", &["solved", "resolved", "gelöst"]),
];

impl Org {
    pub(crate) fn create_case(&self, input: &TicketInput) -> Result<Ticket> {
        let input = tickets::valid(input, SUBJECT, TEXT)?;
        let (subject, person) = (&input.subject, &input.requester);
        let mut text = input.body.clone();
        if let Some(order) = &input.order_number {
            text.push_str(&format!("\n\nOrder: {order}"));
        }
        let object = self.object("Case")?;
        let settings = &self.settings.cases;
        let select = selected(&object);
        let mut values = owned(settings.owner.as_ref());
        let supplied = [
            ("Subject", Some(subject.clone())),
            ("Description", Some(text)),
            ("SuppliedName", person.name.as_deref().map(|name| cut(name, 80))),
            ("SuppliedEmail", person.email.clone()),
            ("SuppliedPhone", person.phone.clone()),
            ("SuppliedCompany", person.company.as_deref().map(|name| cut(name, 80))),
            ("Origin", object.value("Origin", &[&settings.origin])),
            ("Priority", tickets::priority(&input)?.and_then(|p| priority(&object, p))),
        ];
        for (field, value) in supplied {
            object.put(&mut values, field, value);
        }
        if let Some(field) = &settings.order_field {
            object.put(&mut values, field, input.order_number.clone());
        }
        if let Some(name) = &settings.record_type {
            values.insert("RecordTypeId".into(), object.record_type(name)?.into());
        }
        let kind = input.category.as_deref().and_then(|c| object.value("Type", &[c]));
        let queue = input.category.as_deref().filter(|_| kind.is_none());
        object.put(&mut values, "Type", kind);

        // What has to be known first, in one request: the contact, the queue, and whether the case is there already.
        let mut questions = Vec::new();
        let ask_contact = person.email.as_deref().filter(|_| object.creates("ContactId"));
        questions.extend(ask_contact.map(|email| Part::query("contact", &Org::only_contact(email))));
        questions.extend(queue.map(|name| Part::query("queue", &queue_named(name))));
        if !questions.is_empty() {
            let mut answers = self.rest.composite(questions, false)?.into_iter();
            if ask_contact.is_some() {
                // Contacts may be hidden from the bot; the case then stands alone.
                let found = answers.next().and_then(|a| a.ok().ok()).unwrap_or_default();
                if let [only] = json::list(&found, "/records") {
                    object.put(&mut values, "ContactId", json::text(only, "/Id"));
                }
            }
            if let Some(name) = queue {
                let found = answers.next().map(|a| a.ok()).transpose()?.unwrap_or_default();
                let Some(id) = json::text(&found, "/records/0/QueueId") else {
                    let types = object.fields.get("Type").map(|f| f.values.join(", ")).unwrap_or_default();
                    let name: String = name.chars().take(64).collect();
                    let message = format!("{name} is neither a queue for cases nor a type of case; types: {types}");
                    return Err(error(Code::InvalidInput, message));
                };
                values.insert("OwnerId".into(), id.into());
            }
        }
        let by = object.of_person(person, "SuppliedEmail", "SuppliedPhone").filter(|_| object.creates("Subject"));
        let subject = literal(&unreferenced(subject));
        let like = by.map(|by| Like { condition: format!("Subject = {subject} AND {by}"), first_line: None });
        let by_rule = !values.contains_key("OwnerId");
        match self.make(&object, values, &select, like.as_ref(), by_rule)? {
            Made::Record(record) => Ok(self.ticket(&record)),
            Made::Refused(_) => Err(error(Code::Conflict, "a duplicate rule of the org refuses this case")),
        }
    }

    pub(crate) fn case(&self, number: &str, proof: &Proof) -> Result<Ticket> {
        let record = self.proven_case(&self.object("Case")?, number, proof)?;
        Ok(self.ticket(&record))
    }

    fn proven_case(&self, object: &Object, number: &str, proof: &Proof) -> Result<Value> {
        let proof = people::given(proof)?;
        let missing = || {
            "there is no case with this number that belongs to this e-mail address, phone number or customer".to_owned()
        };
        let number = number.trim().trim_start_matches('#');
        if number.is_empty() || number.len() > 30 {
            return Err(error(Code::NotFound, missing()));
        }
        let condition = format!("CaseNumber IN {}", numbers(number));
        let record = self.unmerged(object, &selected(object), &condition)?.unwrap_or_default();
        known(&record).proves(&proof, missing)?;
        Ok(record)
    }

    pub(crate) fn comment_case(&self, number: &str, text: &str, proof: &Proof) -> Result<Ticket> {
        let text = tickets::said(text, COMMENT)?;
        let object = self.object("Case")?;
        let record = self.proven_case(&object, number, proof)?;
        if self.is_said(&record, &text)? {
            return Ok(self.ticket(&record));
        }
        self.change_case(&object, &record, Some(&text), None)
    }

    pub(crate) fn close_case(&self, number: &str, reason: Option<&str>, proof: &Proof) -> Result<Ticket> {
        let reason = tickets::reason(reason, COMMENT)?;
        let object = self.object("Case")?;
        let record = self.proven_case(&object, number, proof)?;
        // Comment and status are written together or not at all: what is closed needs nothing more.
        if json::flag(&record, "/IsClosed") {
            return Ok(self.ticket(&record));
        }
        let status = self.closed_status()?;
        self.change_case(&object, &record, reason.as_deref(), Some(&status))
    }

    /// The Status that closing gives.
    pub(crate) fn closed_status(&self) -> Result<String> {
        if let Some(status) = &self.settings.cases.closed_status {
            return Ok(status.clone());
        }
        let soql = "SELECT ApiName FROM CaseStatus WHERE IsClosed = TRUE ORDER BY SortOrder LIMIT 1";
        let found = self.rest.query(soql, 1)?.into_iter().next();
        found.and_then(|s| json::text(&s, "/ApiName")).ok_or_else(|| {
            error(
                Code::Misconfigured,
                "the org has no status for cases that counts as closed: see settings cases.closed_status",
            )
        })
    }

    /// Whether an earlier call with this key has made this comment. A comment has no room for a key: a repeat looks for
    /// the same words since the first call.
    fn is_said(&self, record: &Value, text: &str) -> Result<bool> {
        let Some(since) = self.said_before("comment")? else { return Ok(false) };
        let comments = json::list(record, "/CaseComments/records");
        let wanted = unreferenced(text);
        Ok(comments.iter().any(|c| {
            // Line ends may come back as others.
            json::text(c, "/CommentBody").is_some_and(|own| own.lines().eq(wanted.lines()))
                && json::text(c, "/CreatedDate").and_then(|at| dates::millis(&at)).is_some_and(|at| at >= since)
        }))
    }

    fn change_case(
        &self,
        object: &Object,
        record: &Value,
        comment: Option<&str>,
        status: Option<&str>,
    ) -> Result<Ticket> {
        let id = json::text(record, "/Id").unwrap_or_default();
        let mut parts = Vec::new();
        parts.extend(comment.map(|text| {
            let body = [("ParentId", json!(id)), ("CommentBody", json!(text)), ("IsPublished", json!(true))];
            let body = body.map(|(field, value)| (field.to_owned(), value)).into_iter().collect();
            Part::write("comment", "POST", "/sobjects/CaseComment".into(), body)
        }));
        parts.extend(status.map(|status| {
            let body = Map::from_iter([("Status".to_owned(), json!(status))]);
            Part::write("status", "PATCH", format!("/sobjects/Case/{id}"), body).assigned(false)
        }));
        parts.push(Part::query("read", &format!("SELECT {} FROM Case WHERE Id = {}", selected(object), literal(&id))));
        let mut read = None;
        let answers = self.rest.composite(parts, true)?;
        // When one is refused all are, and the others only say so.
        let halted = |a: &crate::rest::Answer| a.fault().as_deref() == Some("PROCESSING_HALTED");
        let (refusals, answers): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|a| a.fault().is_some() && !halted(a));
        for refused in refusals {
            refused.ok().map_err(|e| self.failed("Case", e))?;
        }
        for answer in answers {
            read = Some(answer.ok()?);
        }
        let record = read.as_ref().and_then(|body| body.pointer("/records/0")).unwrap_or(record);
        Ok(self.ticket(record))
    }

    /// Words are looked for in subject and description of the requester's newest cases; without a requester, which only
    /// an operator's tool asks for, in the subject of all.
    pub(crate) fn search_cases(&self, query: &TicketQuery, limit: u32) -> Result<Vec<Ticket>> {
        let object = self.object("Case")?;
        let [email, state, text] = [&query.requester_email, &query.state, &query.text].map(|v| filled(v.as_deref()));
        if email.is_some_and(|email| !people::is_email(email)) {
            return Ok(Vec::new());
        }
        let words = text.unwrap_or_default().split_whitespace().take(WORDS);
        let words: Vec<String> = words.map(|word| cut(&word.to_lowercase(), WORD)).collect();
        let mut conditions = Vec::new();
        if let Some(email) = email {
            let email = literal(email);
            let fields = object.readable(["SuppliedEmail", "Contact.Email"]);
            let any: Vec<String> = fields.iter().map(|field| format!("{field} = {email}")).collect();
            if any.is_empty() {
                return Err(error(
                    Code::Misconfigured,
                    "the integration user may see neither Case.SuppliedEmail nor Case.ContactId",
                ));
            }
            conditions.push(format!("({})", any.join(" OR ")));
        } else {
            conditions.extend(words.iter().map(|word| format!("Subject LIKE {}", containing(word))));
        }
        conditions.extend(state.map(|state| self.in_state(&cut(state, WORD))));
        let condition =
            if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let limit = limit.clamp(1, MOST) as usize;
        let most = if words.is_empty() || email.is_none() { limit } else { LOOKED_THROUGH };
        let fields = object.readable(SELECT).join(", ");
        let soql = format!("SELECT {fields} FROM Case{condition} ORDER BY CreatedDate DESC LIMIT {most}");
        let found = self.rest.query(&soql, most).map_err(|e| self.failed("Case", e))?;
        let has = |record: &Value| {
            let part = |field: &str| json::text(record, field).unwrap_or_default().to_lowercase();
            let whole = format!("{}\n{}", part("/Subject"), part("/Description"));
            words.iter().all(|word| whole.contains(word))
        };
        Ok(found.iter().filter(|r| has(r)).take(limit).map(|r| self.ticket(r)).collect())
    }

    /// The condition for a state.
    fn in_state(&self, state: &str) -> String {
        let word = state.to_lowercase();
        let own =
            self.settings.cases.states.iter().filter(|(_, ours)| **ours == word).map(|(theirs, _)| theirs.as_str());
        let usual = USUAL.iter().filter(|(ours, _)| *ours == word).flat_map(|(_, names)| names.iter().copied());
        let mut names: Vec<String> = own.chain(usual).map(literal).collect();
        match word.as_str() {
            "closed" if names.is_empty() => "IsClosed = TRUE".into(),
            "closed" => format!("(IsClosed = TRUE OR Status IN ({}))", names.join(", ")),
            "new" | "open" | "pending" => format!("IsClosed = FALSE AND Status IN ({})", names.join(", ")),
            _ => {
                names.push(literal(state));
                format!("Status IN ({})", names.join(", "))
            }
        }
    }

    fn ticket(&self, record: &Value) -> Ticket {
        let text = |field: &str| json::text(record, field);
        let moment = |value: &Value, field: &str| json::text(value, field).and_then(|at| dates::rfc3339(&at));
        let (id, number) = (text("/Id").unwrap_or_default(), text("/CaseNumber").unwrap_or_default());
        let status = text("/Status").unwrap_or_default();
        let own = self.settings.cases.states.get(&status).map(String::as_str);
        let usual = || {
            let lower = status.to_lowercase();
            USUAL.iter().find(|(_, names)| names.contains(&lower.as_str())).map(|(ours, _)| *ours)
        };
        let state = match own {
            None if json::flag(record, "/IsClosed") => usual().filter(|u| *u == "solved").or(Some("closed")),
            own => own.or_else(usual),
        };
        let comments = json::list(record, "/CaseComments/records").iter().rev().map(|c| TicketComment {
            at: moment(c, "/CreatedDate"),
            author: json::text(c, "/CreatedBy/Name").unwrap_or_default(),
            text: json::text(c, "/CommentBody").unwrap_or_default(),
        });
        Ticket {
            state: state.map_or(status.clone(), str::to_owned),
            subject: text("/Subject").unwrap_or_default(),
            created_at: moment(record, "/CreatedDate"),
            updated_at: moment(record, "/LastModifiedDate"),
            url: self
                .settings
                .cases
                .url
                .as_ref()
                .map(|url| url.replace("{id}", &path_segment(&id)).replace("{number}", &path_segment(&number))),
            comments: comments.collect(),
            number,
        }
    }
}

/// What is read of a case, as far as it may be seen.
fn selected(object: &Object) -> String {
    format!("{}, {COMMENTS}", object.readable(SELECT).join(", "))
}

fn queue_named(name: &str) -> String {
    let name = literal(name);
    format!(
        "SELECT QueueId FROM QueueSobject WHERE SobjectType = 'Case' AND (Queue.Name = {name} OR Queue.DeveloperName = {name}) LIMIT 1"
    )
}

/// What a case says of its requester.
fn known(record: &Value) -> people::Known {
    let all = |fields: &[&str]| fields.iter().filter_map(|f| json::text(record, f)).collect::<Vec<_>>();
    people::Known {
        emails: all(&["/SuppliedEmail", "/ContactEmail"]),
        phones: all(&["/SuppliedPhone", "/ContactPhone", "/ContactMobile"]),
        customer_ids: all(&["/ContactId", "/AccountId"]).iter().flat_map(|id| forms(id)).collect(),
        ..people::Known::default()
    }
}

/// The org's word for a priority; an org with other words keeps its default.
fn priority(object: &Object, priority: Priority) -> Option<String> {
    let names: &[&str] = match priority {
        Priority::Low => &["Low", "Niedrig"],
        Priority::Normal => &["Medium", "Normal", "Mittel"],
        Priority::High => &["High", "Hoch"],
        Priority::Urgent => &["Urgent", "Critical", "Dringend", "Kritisch", "High", "Hoch"],
    };
    object.value("Priority", names)
}
