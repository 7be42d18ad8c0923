//! Tests of the whole: the shop bot and small ones, with business systems played by closures.

mod ages;
mod conversations;
mod effects;
mod events;
mod fit;
mod mistakes;
mod shop;
mod understanding;

use crate::bot::Bot;
use crate::definition::compile;
use crate::dialogue::{self, Capabilities};
use confab_plugin_sdk::dialogue::{Outcome, Turn, Visitor};
use confab_plugin_sdk::effects::{Effect, EffectError};
use confab_plugin_sdk::host::Provenance;
use confab_plugin_sdk::testing::Host;
use confab_plugin_sdk::types::Error;
use std::rc::Rc;
use std::sync::OnceLock;

/// 2026-11-22T10:32:00Z
const NOW: u64 = 1_795_343_520_000;

/// The definition of the shop bot.
fn shop_source() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(|| std::fs::read_to_string("../../examples/shop/bots/shop.flow.yaml").unwrap())
}

/// A definition without errors.
fn bot(source: &str) -> Rc<Bot> {
    let (bot, found) = compile(source);
    match bot {
        Some(bot) => Rc::new(bot),
        None => panic!(
            "{}",
            found
                .iter()
                .map(|d| format!("{}:{} {} ({:?})\n", d.line.unwrap_or(0), d.column.unwrap_or(0), d.message, d.help))
                .collect::<String>()
        ),
    }
}

/// The shop bot, compiled once a thread.
fn shop() -> Rc<Bot> {
    thread_local!(static SHOP: Rc<Bot> = bot(shop_source()));
    SHOP.with(Clone::clone)
}

type Answers = Box<dyn FnMut(&str, &serde_json::Value) -> Result<serde_json::Value, Error>>;

/// A conversation with a bot.
struct Chat {
    bot: Rc<Bot>,
    state: Vec<u8>,
    number: u32,
    locale: Option<&'static str>,
    visitor: Visitor,
    answers: Answers,
    /// `capability.function arguments` of all calls.
    calls: Vec<(String, serde_json::Value)>,
    notes: Vec<String>,
    last: Option<Outcome>,
    /// Where answers come from.
    provenance: Option<Provenance>,
    /// Takes what turns leave behind, by the real one's rules.
    host: Host,
    /// What the last turn left behind.
    left: Vec<Effect>,
}

impl Chat {
    fn new(bot: Rc<Bot>) -> Chat {
        Chat {
            bot,
            state: Vec::new(),
            number: 0,
            locale: None,
            visitor: Visitor { id: None, verified: false, name: None, email: None, phone: None },
            answers: Box::new(|call, _| Err(failure("unsupported", call))),
            calls: Vec::new(),
            notes: Vec::new(),
            last: None,
            provenance: None,
            host: Host::new(),
            left: Vec::new(),
        }
    }

    fn with(
        mut self,
        answers: impl FnMut(&str, &serde_json::Value) -> Result<serde_json::Value, Error> + 'static,
    ) -> Chat {
        self.answers = Box::new(answers);
        self
    }

    /// Says something; gives all texts of the answer, joined by ` | `.
    fn say(&mut self, text: &str) -> String {
        self.turn("message", text, None)
    }

    fn event(&mut self, name: &str, data: &str) -> String {
        self.turn("event", name, Some(data.to_owned()))
    }

    fn turn(&mut self, kind: &str, text: &str, data: Option<String>) -> String {
        struct Stub<'a>(&'a mut Answers, &'a mut Vec<(String, serde_json::Value)>, Option<Provenance>);
        impl Capabilities for Stub<'_> {
            fn invoke(&mut self, capability: &str, function: &str, arguments: &str) -> Result<String, Error> {
                let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
                let name = format!("{capability}.{function}");
                self.1.push((name.clone(), arguments.clone()));
                (self.0)(&name, &arguments).map(|value| value.to_string())
            }

            fn last_answer(&mut self) -> Option<Provenance> {
                self.2.clone()
            }

            fn leave(&mut self, effect: dialogue::Effect) -> Result<(), EffectError> {
                effect.leave()
            }
        }
        self.number += 1;
        let turn = Turn {
            id: format!("t{}", self.number),
            conversation: "c".to_owned(),
            number: self.number,
            kind: kind.to_owned(),
            text: text.to_owned(),
            data,
            locale: self.locale.map(str::to_owned),
            visitor: self.visitor.clone(),
            state: std::mem::take(&mut self.state),
        };
        let mut stub = Stub(&mut self.answers, &mut self.calls, self.provenance.clone());
        let before = self.host.effects().len();
        let reaction = self.host.run(|| dialogue::handle(&self.bot, turn, NOW, &mut stub));
        self.left = self.host.effects().split_off(before);
        self.state.clone_from(&reaction.outcome.state);
        self.notes = reaction.notes;
        let said = reaction.outcome.replies.iter().map(|reply| reply.text.as_str()).collect::<Vec<_>>().join(" | ");
        self.last = Some(reaction.outcome);
        said
    }

    fn outcome(&self) -> &Outcome {
        self.last.as_ref().unwrap()
    }

    fn intent(&self) -> Option<&str> {
        self.outcome().intent.as_ref().map(|intent| intent.name.as_str())
    }

    fn last_call(&self) -> (&str, &serde_json::Value) {
        let (name, arguments) = self.calls.last().unwrap();
        (name, arguments)
    }
}

fn failure(code: &str, message: &str) -> Error {
    Error { code: code.to_owned(), message: message.to_owned(), retry_after: None }
}
