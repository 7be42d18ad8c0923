//! What visitors say, the bot that answers, and what its answers must look like.
//!
//! Every message has a marker that no other has, and the bot repeats the message in its answer: so each answer belongs to one message, and
//! each ticket, whose title has the marker, to one turn. The bot counts messages in a slot that it keeps, and says at the end how many
//! there were: a state that was lost or saved twice is a wrong number.

use super::desk::{self, Desk};
use super::dice::Dice;
use crate::folder::Folder;
use crate::place;
use crate::systems::request_tracker::RequestTracker;
use anyhow::Result;

/// Which system is behind the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The strict help desk.
    Desk,
    /// A real Request Tracker.
    Tracker,
}

impl Kind {
    /// The bot's id.
    pub fn bot(self) -> &'static str {
        match self {
            Kind::Desk => "desk",
            Kind::Tracker => "tracker",
        }
    }
}

/// What an answer must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// These words.
    Words(&'static str),
    /// The numbers of so many tickets, or that it can't be told.
    Tickets(usize),
    /// How many messages there were.
    Count,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its marker.
    pub marker: String,
    /// The whole.
    pub text: String,
    /// What must be answered.
    pub expected: Expected,
    /// Whether the next one may be sent before this one is answered, and the other way round.
    pub alone: bool,
}

/// Titles of the tickets that a turn opens, in order; the first so many.
pub const TITLES: [&str; 2] = ["first", "second"];

/// The messages of a conversation.
pub fn messages(kind: Kind, number: usize, dice: &mut Dice) -> Vec<Message> {
    let mut blocks: Vec<Vec<(&str, Expected, bool)>> = vec![
        vec![("please open a ticket about", Expected::Tickets(1), false)],
        vec![("call me back please", Expected::Words("What is it about?"), true), (TOPIC, Expected::Tickets(1), true)],
    ];
    if kind == Kind::Desk {
        blocks.push(vec![("do you have pumps in stock", Expected::Words("5 available."), false)]);
        blocks.push(vec![("please open two tickets about", Expected::Tickets(2), false)]);
    }
    dice.shuffle(&mut blocks);
    if kind == Kind::Tracker {
        // It takes seconds for a ticket, and its host lives for seconds.
        blocks.truncate(1);
    }
    let mut lines = vec![("hello there", Expected::Words("Hello."), true)];
    lines.extend(blocks.into_iter().flatten());
    lines.push(("goodbye", Expected::Count, true));
    let system = if kind == Kind::Desk { "D" } else { "R" };
    let message = |(turn, (words, expected, alone)): (usize, (&str, Expected, bool))| {
        // The end keeps 1 from being found in 12. A topic must not be an entity of other messages: it would be no answer to a question.
        let letter = if words == TOPIC { "QZ" } else { "QX" };
        let marker = format!("{letter}{system}{number}N{turn}E");
        Message { text: format!("{words} {marker}"), marker, expected, alone }
    };
    lines.into_iter().enumerate().map(message).collect()
}

/// What is said to the question what it is about.
const TOPIC: &str = "it is about";

/// The marker in a text, if there is one.
pub fn marker(text: &str) -> Option<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.into_iter().find(|word| (word.starts_with("QX") || word.starts_with("QZ")) && word.ends_with('E'))
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// What was expected, with the numbers of tickets, each none where it can't be told whether there is one.
    Expected(Vec<Option<String>>),
    /// How many messages there were.
    Count(usize),
    /// Something else.
    Other,
}

/// Reads an answer to a message.
pub fn read(message: &Message, response: &str) -> Said {
    if !response.contains(&format!("[{}]", message.text)) {
        return Said::Other;
    }
    match message.expected {
        Expected::Words(words) if response.starts_with(words) => Said::Expected(Vec::new()),
        Expected::Words(_) => Said::Other,
        Expected::Tickets(count) => {
            let Some(rest) = response.strip_prefix("Tickets") else { return Said::Other };
            let numbers = rest.split('(').skip(1).take(count).map(|part| part.split(')').next().unwrap_or_default());
            let numbers: Vec<_> = numbers.map(|number| (!number.is_empty()).then(|| number.to_owned())).collect();
            if numbers.len() == count { Said::Expected(numbers) } else { Said::Other }
        }
        Expected::Count => {
            let number = response.strip_prefix("Goodbye after (").and_then(|rest| rest.split(')').next());
            number.and_then(|number| number.parse().ok()).map_or(Said::Other, Said::Count)
        }
    }
}

/// What the bot says of an event; the order's number is unique.
pub fn told(order: &str) -> String {
    format!("Your order {order} has been shipped.")
}

/// The event that the bot subscribes to.
pub const EVENT: &str = "order.shipped";

/// Writes the tenant's folder, with or without a subscription to events.
///
/// # Errors
/// When it can't be written, or a plugin was not built.
pub fn furnish(folder: &Folder, desk: &Desk, rt: Option<&RequestTracker>, events: bool) -> Result<()> {
    for plugin in ["flow", "rest"] {
        place::plugin(plugin)?;
    }
    folder.write("bots/desk.flow.yaml", FLOW)?;
    folder.write("connections/desk.api.yaml", API)?;
    let connection = format!(
        "id: desk\nconnector: rest\nfiles: {{ api.yaml: desk.api.yaml }}\nendpoints:\n  api:\n    url: {}\n    auth: {{ kind: bearer, token: \"env:CHAOS__DESK_TOKEN\" }}\n",
        desk.url()
    );
    folder.write("connections/desk.yaml", &connection)?;
    folder.write("bots/desk.yaml", &bot(Kind::Desk, "desk", events))?;
    if let Some(rt) = rt {
        place::plugin("request-tracker")?;
        let connection = format!(
            "id: rt\nconnector: request-tracker\nendpoints:\n  rt:\n    url: {}\n    timeout_ms: 25000\n    auth: {{ kind: header, name: authorization, prefix: \"token \", value: \"env:CHAOS__RT_TOKEN\" }}\nsettings: {{ queue: Support }}\n",
            rt.url()
        );
        folder.write("connections/rt.yaml", &connection)?;
        folder.write("bots/tracker.yaml", &bot(Kind::Tracker, "rt", events))?;
    }
    Ok(())
}

/// Secrets of the connections, by the names of their variables.
///
/// # Errors
/// When Request Tracker's token can't be read.
pub fn secrets(rt: Option<&RequestTracker>) -> Result<Vec<(&'static str, String)>> {
    let mut secrets = vec![("CHAOS__DESK_TOKEN", desk::TOKEN.to_owned())];
    if let Some(rt) = rt {
        secrets.push(("CHAOS__RT_TOKEN", rt.token("chatbot")?));
    }
    Ok(secrets)
}

fn bot(kind: Kind, tickets: &str, events: bool) -> String {
    let (id, events) = (kind.bot(), if events { EVENTS } else { "" });
    format!(
        "id: {id}\nplugin: flow\ndefinition: desk.flow.yaml\nconnections: {{ inventory: desk, tickets: {tickets} }}\nfallback: {{ en: The bot has failed. }}\n{events}"
    )
}

const EVENTS: &str = r#"events:
  order.shipped:
    conversation: "{{ data.conversation_id }}"
    say: { en: "Your order {{ data.order }} has been shipped." }
"#;

const FLOW: &str = r#"name: Desk
languages: [en]
entities:
  marker: { regex: 'QX[DR]\d+N\d+E' }
  topic: { regex: 'QZ[DR]\d+N\d+E' }
intents:
  greeting: { examples: { en: [hello, hi, good morning, "hello there {marker}", "hi there {marker}"] } }
  stock: { examples: { en: [do you have pumps, are pumps available, "do you have pumps in stock {marker}", "are there pumps in stock {marker}"] } }
  ticket: { examples: { en: [open a ticket, i have a problem, "please open a ticket about {marker}", "open a ticket {marker}"] } }
  two: { examples: { en: [open two tickets, two tickets please, "please open two tickets about {marker}", "open two tickets {marker}"] } }
  callback: { examples: { en: [call me back, i want a callback, "call me back please {marker}", "please call me back {marker}"] } }
  goodbye: { examples: { en: [goodbye, bye, see you, "goodbye {marker}", "bye {marker}"] } }
slots:
  count: { entity: number, keep: conversation, ask: { en: How many messages were there? } }
  about: { entity: topic, ask: { en: "What is it about? [{{ message }}]" } }
flows:
  counted:
    - set: { count: "{{ (count or 0) + 1 }}" }
  greeting:
    on: greeting
    steps:
      - run: counted
      - say: { en: "Hello. [{{ message }}]" }
  stock:
    on: stock
    steps:
      - run: counted
      - call: inventory.availability
        with: { sku: PUMP-1 }
        save: levels
        on_error: { else: [ { set: { trouble: "{{ error.code }}" } } ] }
      - say: { en: "{{ levels[0].available }} available. {{ trouble }} [{{ message }}]" }
  ticket:
    on: ticket
    steps:
      - run: counted
      - run: open_first
      - say: { en: "Tickets ({{ first.number }}) {{ trouble }} [{{ message }}]" }
  two:
    on: two
    steps:
      - run: counted
      - run: open_first
      - call: tickets.create
        with:
          ticket: { subject: "{{ marked }} second", body: "{{ message }}", requester: { name: Ada, email: ada@example.test } }
        save: second
        on_error: { else: [ { set: { trouble: "{{ error.code }}" } } ] }
      - say: { en: "Tickets ({{ first.number }}) ({{ second.number }}) {{ trouble }} [{{ message }}]" }
  callback:
    on: callback
    steps:
      - run: counted
      - need: about
      - run: counted
      - run: open_first
      - say: { en: "Tickets ({{ first.number }}) {{ trouble }} [{{ message }}]" }
  open_first:
    - set: { marked: "{{ about or mentioned.marker }}" }
    - call: tickets.create
      with:
        ticket: { subject: "{{ marked }} first", body: "{{ message }}", requester: { name: Ada, email: ada@example.test } }
      save: first
      on_error: { else: [ { set: { trouble: "{{ error.code }}" } } ] }
  goodbye:
    on: goodbye
    steps:
      - run: counted
      - say: { en: "Goodbye after ({{ count }}) messages. [{{ message }}]" }
fallback:
  first: [ { run: counted }, { say: { en: "Pardon? [{{ message }}]" } } ]
  then: [ { run: counted }, { say: { en: "Pardon? [{{ message }}]" } } ]
"#;

const API: &str = r#"errors: { code: /error/code, message: /error/message, codes: { BAD_FIELD: invalid-input } }
operations:
  inventory.availability:
    request: { path: "/articles/{sku}/stock" }
    list: /sites
    result: { name: /title, location: /site, on-hand: /on_hand, available: /free, unit: pcs }
  tickets.create:
    request:
      method: POST
      path: /tickets
      # No idempotency key in a header: this system would not know what it is.
      body: { external_id: "{once}", title: "{ticket.subject}", text: "{ticket.body}", email: "{ticket.requester.email}" }
    once: { request: { path: /tickets, query: { external_id: "{once}" } }, list: /data, match: /external_id }
    result: { number: /no, subject: /title, state: { from: /state, map: { OPEN: open }, otherwise: new } }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_are_unique_found_again_and_answers_are_read() {
        let all: Vec<Message> =
            (0..20).flat_map(|number| messages(Kind::Desk, number, &mut Dice::new(1, "v", number as u64))).collect();
        for message in &all {
            assert_eq!(marker(&message.text), Some(message.marker.as_str()));
            assert_eq!(all.iter().filter(|other| other.text.contains(&message.marker)).count(), 1);
        }
        let two = all.iter().find(|message| message.expected == Expected::Tickets(2)).unwrap();
        let answer = |words: &str| read(two, &format!("{words} [{}]", two.text));
        assert_eq!(answer("Tickets (T-1) (T-2) "), Said::Expected(vec![Some("T-1".into()), Some("T-2".into())]));
        assert_eq!(answer("Tickets (T-1) () unavailable"), Said::Expected(vec![Some("T-1".into()), None]));
        assert_eq!(answer("Pardon?"), Said::Other);
        assert_eq!(read(two, "Tickets (T-1) (T-2)  [another message]"), Said::Other);
    }
}
