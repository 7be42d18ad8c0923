//! A bot, ready to run: everything looked up, compiled and trained, referring to each other by index.
//!
//! A flow is a flat list of steps, so that "where are we" is one number and nothing recurses at run time. What is
//! kept between turns is not that number but a [`Label`]: the kind of the step that waits and what it waits for.
//! Labels survive a change of the definition as long as the flow still asks that question.

use crate::entities::Entities;
use crate::format::Zone;
use crate::nlu::Nlu;
use crate::template::Expression;
use crate::texts::{Standard, Text};
use std::collections::BTreeMap;

/// Everything about a bot.
#[derive(Debug, Default)]
pub(crate) struct Bot {
    pub(crate) name: String,
    /// Language codes; the first one is the default.
    pub(crate) languages: Vec<String>,
    /// The clock that visitors read; none for UTC, which is then said.
    pub(crate) zone: Option<Zone>,
    pub(crate) entities: Entities,
    pub(crate) intents: Vec<Intent>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) events: Events,
    pub(crate) fallback: Fallback,
    pub(crate) texts: Standard,
    pub(crate) words: Words,
    pub(crate) nlu: Nlu,
}

/// What is done when something happens elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// By the event's name.
    pub(crate) exact: BTreeMap<String, Handler>,
    /// By how its name begins (`order.`), longer ones first.
    pub(crate) prefixes: Vec<(String, Handler)>,
}

/// The flow that an event runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    pub(crate) flow: usize,
    /// Whether it is a flow of the author's, which takes over; otherwise it holds the steps of an entry of `events`.
    pub(crate) starts: bool,
}

impl Events {
    /// What is done on this event.
    pub(crate) fn of(&self, name: &str) -> Option<Handler> {
        let begins = || self.prefixes.iter().find(|(prefix, _)| name.starts_with(prefix.as_str()));
        self.exact.get(name).or_else(|| begins().map(|(_, handler)| handler)).copied()
    }
}

/// What visitors want.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) name: String,
    /// The flow that serves it.
    pub(crate) flow: Option<usize>,
    /// Shown where the bot lists what it can do.
    pub(crate) title: Option<Text>,
}

/// Something that flows need to know.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: String,
    /// Entities that fill it, tried in order.
    pub(crate) entities: Vec<usize>,
    pub(crate) ask: Text,
    pub(crate) invalid: Option<Text>,
    pub(crate) choices: Vec<ChoiceText>,
    pub(crate) tries: u32,
    /// Flow that takes over when tries are used up.
    pub(crate) otherwise: Option<usize>,
    /// Whether it outlives the flow.
    pub(crate) keep: bool,
    pub(crate) from: Option<VisitorField>,
}

/// What the host may know of the visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VisitorField {
    Name,
    Email,
    Phone,
    Id,
}

/// A quick reply.
#[derive(Debug)]
pub(crate) struct ChoiceText {
    pub(crate) label: Text,
    /// What is sent; the label when absent.
    pub(crate) value: Option<Text>,
}

/// A conversation about one matter.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) name: String,
    pub(crate) steps: Vec<Step>,
    /// Steps that wait, by label.
    pub(crate) labels: BTreeMap<String, usize>,
    /// Slots that it (or a flow it jumps to) asks for, in order.
    pub(crate) uses: Vec<usize>,
}

/// What answers when nothing was understood. Indexes of flows.
#[derive(Debug, Default)]
pub(crate) struct Fallback {
    /// The first time in a row.
    pub(crate) first: Option<usize>,
    /// From the second time on.
    pub(crate) then: Option<usize>,
}

/// Words that mean yes, no and stop; folded phrases, of all languages of the bot.
#[derive(Debug, Default)]
pub(crate) struct Words {
    pub(crate) yes: Vec<String>,
    pub(crate) no: Vec<String>,
    pub(crate) cancel: Vec<String>,
}

/// How a waiting step is known between turns.
pub(crate) type Label = String;

/// A step. Targets are indexes into the flow's steps.
#[derive(Debug)]
pub(crate) enum Step {
    Say(Box<Say>),
    Ask(Box<Ask>),
    Call(Box<Call>),
    Set(Vec<(String, Expression)>),
    /// Goes on when the condition holds, to the target otherwise.
    If(Expression, usize),
    Goto(usize),
    Choose(Box<Choose>),
    Confirm(Box<Confirm>),
    Forget(Vec<String>),
    Jump(usize),
    Handoff(Text),
    Leave(Box<Leave>),
    End {
        conversation: bool,
    },
}

/// Saying something.
#[derive(Debug)]
pub(crate) struct Say {
    pub(crate) text: Text,
    pub(crate) choices: Vec<ChoiceText>,
    /// Fields of a card.
    pub(crate) card: Vec<(String, Text)>,
}

/// Waiting for a slot.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) label: Label,
    pub(crate) slot: usize,
    /// In place of the slot's question.
    pub(crate) text: Option<Text>,
    /// Ask although there is a value.
    pub(crate) again: bool,
    /// Step to go to when tries are used up.
    pub(crate) otherwise: Option<usize>,
}

/// Calling a capability.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) capability: String,
    pub(crate) function: String,
    pub(crate) with: Expression,
    pub(crate) save: Option<String>,
    /// Steps by error code.
    pub(crate) on_error: Vec<(String, usize)>,
    /// Step for other codes.
    pub(crate) on_other: Option<usize>,
}

/// Leaving something behind for after the turn.
#[derive(Debug)]
pub(crate) enum Leave {
    /// `remind`
    Remind { key: Expression, event: String, after: Time, data: Option<Expression> },
    /// `unremind`
    Unremind(Expression),
    /// `watch`
    Watch { subject: Expression, keep: Time },
    /// `unwatch`
    Unwatch(Expression),
    /// `emit`
    Emit { event: String, data: Expression },
}

/// How long.
#[derive(Debug)]
pub(crate) enum Time {
    /// Seconds that the definition names.
    Fixed(u64),
    /// What a template gives: seconds, or `2h`.
    Given(Expression),
}

/// Waiting for one of several answers.
#[derive(Debug)]
pub(crate) struct Choose {
    pub(crate) label: Label,
    pub(crate) text: Text,
    pub(crate) save: Option<String>,
    pub(crate) options: Vec<Choice>,
    pub(crate) tries: u32,
    pub(crate) otherwise: Option<usize>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) label: Text,
    pub(crate) value: Option<Text>,
    /// Folded labels, in all languages.
    pub(crate) phrases: Vec<String>,
    pub(crate) then: Option<usize>,
}

/// Waiting for yes or no.
#[derive(Debug)]
pub(crate) struct Confirm {
    pub(crate) label: Label,
    pub(crate) text: Text,
    /// Where no leads; none says `declined` and ends.
    pub(crate) otherwise: Option<usize>,
}

impl Bot {
    /// The flow with this name.
    pub(crate) fn flow(&self, name: &str) -> Option<usize> {
        self.flows.iter().position(|flow| flow.name == name)
    }

    /// The slot with this name.
    pub(crate) fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name)
    }
}
