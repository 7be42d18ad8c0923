//! The flow plugin: a tenant without programmers describes a bot in YAML, and this decides its turns.
//!
//! | module | what it holds |
//! |---|---|
//! | `definition` | YAML to a bot: parse, check with places, compile |
//! | `bot` | the compiled bot, everything by index |
//! | `nlu` | intents, typos, languages: a classifier trained at publish |
//! | `entities`, `durations` | article numbers, e-mail addresses, words of a list; "in two hours" |
//! | `dialogue` | a turn: who gets the message, what the steps do, what is remembered |
//! | `template`, `texts`, `format` | what the bot says |
//!
//! `prepare` does everything that costs: it leaves the bot in [`BOT`], the host snapshots the memory, and each turn
//! starts from that image. `handle` then reads a message, walks a few steps, and writes a little JSON.
//! The language is described in README.md.

mod bot;
mod definition;
mod dialogue;
mod durations;
mod entities;
mod format;
mod nlu;
mod template;
#[cfg(test)]
mod tests;
mod texts;

use bot::Bot;
use confab_plugin_sdk::dialogue::{Dialogue, Outcome, Turn, Visitor};
use confab_plugin_sdk::effects::EffectError;
use confab_plugin_sdk::prelude::*;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The bot that was prepared last. An instance has one thread.
    static BOT: RefCell<Option<Rc<Bot>>> = const { RefCell::new(None) };
}

/// The plugin.
pub struct Flow;

impl Dialogue for Flow {
    fn prepare(definition: String) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        confab_plugin_sdk::preparing(|| {
            let (bot, found) = definition::compile(&definition);
            let Some(bot) = bot else { return Err(found) };
            warm_up(&bot);
            BOT.with_borrow_mut(|place| *place = Some(Rc::new(bot)));
            Ok(found)
        })
    }

    fn handle(turn: Turn) -> Result<Outcome, Failure> {
        let Some(bot) = BOT.with_borrow(Clone::clone) else {
            return Err(Failure {
                code: "not-prepared".to_owned(),
                message: "handle was called before prepare".to_owned(),
            });
        };
        let reaction = dialogue::handle(&bot, turn, host::now_millis(), &mut Host);
        reaction.notes.iter().for_each(log::warn);
        Ok(reaction.outcome)
    }
}

/// The capabilities that the host gives.
struct Host;

impl dialogue::Capabilities for Host {
    fn invoke(&mut self, capability: &str, function: &str, arguments: &str) -> Result<String> {
        host::invoke(capability, function, arguments)
    }

    fn last_answer(&mut self) -> Option<host::Provenance> {
        host::last_answer()
    }

    fn leave(&mut self, effect: dialogue::Effect) -> Result<(), EffectError> {
        effect.leave()
    }
}

/// Capabilities while warming up: `prepare` may not call any.
struct Nobody;

impl dialogue::Capabilities for Nobody {
    fn invoke(&mut self, _: &str, _: &str, _: &str) -> Result<String> {
        Err(error(Code::Unavailable, "not while preparing"))
    }

    fn leave(&mut self, _: dialogue::Effect) -> Result<(), EffectError> {
        Err(EffectError { code: "unsupported".to_owned(), message: "not while preparing".to_owned() })
    }
}

/// Serves a few turns, so that what is built on first use (automata of regular expressions, the template
/// environment) is in the snapshot and not built again at every turn.
fn warm_up(bot: &Bot) {
    for text in ["Hello, do you have ABC-1234 for me@example.com?", "WEB-42 12345678", "größer, weiß"] {
        let turn = Turn {
            id: String::new(),
            conversation: String::new(),
            number: 1,
            kind: "message".to_owned(),
            text: text.to_owned(),
            data: None,
            locale: None,
            visitor: Visitor { id: None, verified: false, name: None, email: None, phone: None },
            state: Vec::new(),
        };
        dialogue::handle(bot, turn, 0, &mut Nobody);
    }
    for intent in bot.intents.iter().filter_map(|intent| intent.title.as_ref()) {
        for (_, text) in intent.fixed() {
            bot.nlu.read(text, &bot.entities);
        }
    }
}

confab_plugin_sdk::intent!(Flow);
