//! Flows: from nested steps to a flat list.
//!
//! A block becomes: the step, a jump behind the whole, and then the branches, each with a jump behind the whole.
//! `run` puts the steps of another flow in place, so that there is no call stack at run time; a flow that runs
//! itself is refused.

use super::Reader;
use super::report::{self, Fields, Place, list, named, suggestion};
use super::yaml::{Node, Yaml};
use crate::bot::{Ask, Flow, Say, Step};

/// The words that make a step.
const VERBS: [&str; 20] = [
    "say", "need", "ask", "call", "set", "if", "choose", "confirm", "forget", "run", "jump", "flow", "remind",
    "unremind", "watch", "unwatch", "emit", "handoff", "end", "card",
];
/// Flows that run flows that run flows.
const DEEPEST: usize = 8;
/// Steps of one flow, with what it runs.
const MOST_STEPS: usize = 2_000;

/// A flow being built.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) flow: Flow,
    /// Flows that it jumps to.
    jumps: Vec<usize>,
    /// Flows whose steps are being put in place.
    running: Vec<String>,
    /// Whether an event runs it.
    of_event: bool,
}

impl Builder {
    pub(super) fn push(&mut self, step: Step) -> usize {
        self.flow.steps.push(step);
        self.flow.steps.len() - 1
    }

    pub(super) fn here(&self) -> usize {
        self.flow.steps.len()
    }

    pub(super) fn put(&mut self, at: usize, step: Step) {
        if let Some(place) = self.flow.steps.get_mut(at) {
            *place = step;
        }
    }

    /// A label that no other step of the flow has.
    pub(super) fn label(&mut self, base: String, at: usize) -> String {
        let mut label = base.clone();
        let mut number = 1;
        while self.flow.labels.contains_key(&label) {
            number += 1;
            label = format!("{base}#{number}");
        }
        self.flow.labels.insert(label.clone(), at);
        label
    }
}

impl Reader<'_> {
    /// `flows:`
    pub(super) fn flows(&mut self, node: Option<&Node>, root: Place) {
        let entries = named(node, "`flows`", self.report);
        if entries.is_empty() {
            self.report.error(root, "a bot needs `flows`", "write `flows:` with a name, `on: an intent` and `steps:`");
        }
        // All names first, so that jumps can refer to any.
        let first = self.bot.flows.len();
        self.bot.flows.extend(entries.iter().map(|(key, _)| Flow { name: key.name.clone(), ..Flow::default() }));
        let mut jumps = Vec::new();
        for (at, (key, node)) in entries.iter().enumerate() {
            let flow = first + at;
            let steps = match &node.value {
                Yaml::List(_) => node,
                _ => {
                    let what = format!("flow `{}`", key.name);
                    let Some(mut fields) = Fields::of(node, &what, self.report) else {
                        continue;
                    };
                    if let Some(on) = fields.take("on") {
                        self.on_intents(on, flow, &key.name);
                    }
                    if let Some(on) = fields.take("on_event") {
                        self.on_events(on, flow, &key.name);
                    }
                    let steps = fields.take("steps");
                    fields.finish(&what, self.report);
                    match steps {
                        Some(steps) => steps,
                        None => {
                            self.report.error(key.place, format!("{what} has no `steps`"), "");
                            continue;
                        }
                    }
                }
            };
            let built = self.build(&key.name, steps, Builder::default());
            jumps.push((flow, built.jumps));
            if let Some(place) = self.bot.flows.get_mut(flow) {
                *place = built.flow;
            }
        }
        self.share_uses(&jumps);
    }

    /// A flow without a name of the author's.
    pub(super) fn hidden_flow(&mut self, name: &str, steps: &Node) -> usize {
        self.hidden(name, steps, Builder::default())
    }

    /// The steps of an entry of `events`.
    pub(super) fn event_flow(&mut self, name: &str, steps: &Node) -> usize {
        self.hidden(name, steps, Builder { of_event: true, ..Builder::default() })
    }

    fn hidden(&mut self, name: &str, steps: &Node, builder: Builder) -> usize {
        let at = self.bot.flows.len();
        self.bot.flows.push(Flow { name: name.to_owned(), ..Flow::default() });
        let built = self.build(name, steps, builder);
        if let Some(place) = self.bot.flows.get_mut(at) {
            *place = built.flow;
        }
        at
    }

    fn build(&mut self, name: &str, steps: &Node, mut builder: Builder) -> Builder {
        builder.running.push(name.to_owned());
        builder.flow.name = name.to_owned();
        self.steps(steps, &mut builder);
        builder
    }

    /// What a flow jumps to uses slots as well.
    fn share_uses(&mut self, jumps: &[(usize, Vec<usize>)]) {
        // As many rounds as flows settle any chain of jumps.
        for _ in 0..jumps.len().min(20) {
            for (flow, targets) in jumps {
                for target in targets {
                    let theirs = self.bot.flows.get(*target).map(|flow| flow.uses.clone()).unwrap_or_default();
                    if let Some(flow) = self.bot.flows.get_mut(*flow) {
                        for slot in theirs {
                            if !flow.uses.contains(&slot) {
                                flow.uses.push(slot);
                            }
                        }
                    }
                }
            }
        }
    }

    fn on_intents(&mut self, node: &Node, flow: usize, name: &str) {
        for item in list(node) {
            let Some(wanted) = report::text(item, "`on`", self.report) else {
                continue;
            };
            self.started.insert(name.to_owned());
            let other = match self.bot.intents.iter_mut().find(|intent| intent.name == wanted) {
                Some(intent) => intent.flow.replace(flow),
                None => {
                    let help = suggestion(&wanted, self.bot.intents.iter().map(|intent| intent.name.as_str()));
                    self.report.error(
                        item.place,
                        format!("there is no intent `{wanted}`"),
                        help.unwrap_or_else(|| "for an event write `on_event`".to_owned()),
                    );
                    continue;
                }
            };
            if let Some(other) = other.and_then(|other| self.bot.flows.get(other)) {
                self.report.error(
                    item.place,
                    format!("intent `{wanted}` starts flow `{}` already", other.name),
                    "an intent starts one flow",
                );
            }
        }
    }

    /// Intents without a flow, flows that nothing starts.
    pub(super) fn unused(&mut self, flows: Option<&Node>) {
        for (key, _) in named(flows, "`flows`", self.report) {
            if !self.started.contains(&key.name) {
                self.report.warning(
                    key.place,
                    format!("nothing starts flow `{}`", key.name),
                    "give it `on: an intent`, or `run` or `jump` to it",
                );
            }
        }
        let idle: Vec<String> =
            self.bot.intents.iter().filter(|intent| intent.flow.is_none()).map(|intent| intent.name.clone()).collect();
        for intent in idle {
            self.report.warning(
                Place::default(),
                format!("no flow starts on intent `{intent}`"),
                format!("write `on: {intent}` in a flow"),
            );
        }
    }

    pub(super) fn steps(&mut self, node: &Node, builder: &mut Builder) {
        if matches!(node.value, Yaml::Null) {
            return;
        }
        if matches!(node.value, Yaml::Bool(_) | Yaml::Integer(_) | Yaml::Float(_)) {
            return self.report.error(
                node.place,
                format!("this should be a list of steps, not {}", node.kind()),
                "start each step with `- `",
            );
        }
        for item in list(node) {
            if builder.here() > MOST_STEPS {
                return self.report.error(item.place, format!("a flow has at most {MOST_STEPS} steps"), "");
            }
            self.step(item, builder);
        }
    }

    fn step(&mut self, node: &Node, builder: &mut Builder) {
        if let Yaml::Text(word) = &node.value {
            if word == "end" {
                builder.push(Step::End { conversation: false });
            } else {
                let help =
                    suggestion(word, VERBS.into_iter()).unwrap_or_else(|| "to say it, write `- say: ...`".to_owned());
                self.report.error(node.place, format!("`{word}` is no step"), help);
            }
            return;
        }
        let Some(mut fields) = Fields::of(node, "a step", self.report) else {
            return;
        };
        let verbs: Vec<&str> =
            VERBS.into_iter().filter(|verb| node.get(verb).is_some()).filter(|verb| *verb != "card").collect();
        let verb = match (verbs.as_slice(), node.get("card").is_some()) {
            ([verb], _) => *verb,
            ([], true) => "say",
            ([], false) => {
                let first = match &node.value {
                    Yaml::Map(entries) => entries.first().map(|(key, _)| (key.name.clone(), key.place)),
                    _ => None,
                };
                let (name, place) = first.unwrap_or((String::new(), node.place));
                let help =
                    suggestion(&name, VERBS.into_iter()).unwrap_or_else(|| format!("steps are: {}", VERBS.join(", ")));
                return self.report.error(place, format!("`{name}` is no step"), help);
            }
            (several, _) => {
                return self.report.error(
                    node.place,
                    format!("a step does one thing, this one has {}", several.join(" and ")),
                    "start each with its own `- `",
                );
            }
        };
        match verb {
            "say" => self.say(&mut fields, builder),
            "need" => self.ask("need", &mut fields, builder),
            "ask" => self.ask("ask", &mut fields, builder),
            "call" => self.call(&mut fields, builder),
            "set" => self.set(&mut fields, builder),
            "if" => self.branch(&mut fields, builder),
            "choose" => self.choose(&mut fields, builder),
            "confirm" => self.confirm(&mut fields, builder),
            "forget" => self.forget(&mut fields, builder),
            "run" => self.other_flow("run", &mut fields, builder),
            "jump" => self.other_flow("jump", &mut fields, builder),
            "flow" => {
                if !builder.of_event {
                    let help = "in a flow, `run` puts the steps of another one here and `jump` goes there";
                    self.report.error(node.place, "only an event starts a flow with `flow`", help);
                }
                self.other_flow("flow", &mut fields, builder);
            }
            "remind" => self.remind(&mut fields, builder),
            "unremind" => self.unremind(&mut fields, builder),
            "watch" => self.watch(&mut fields, builder),
            "unwatch" => self.unwatch(&mut fields, builder),
            "emit" => self.emit(&mut fields, builder),
            "handoff" => {
                if let Some(reason) = fields.take("handoff") {
                    let reason = self.text(reason);
                    builder.push(Step::Handoff(reason));
                }
            }
            _ => {
                let what = fields.take("end").and_then(Node::scalar);
                let conversation = what.as_deref() == Some("conversation");
                if !conversation && !matches!(what.as_deref(), Some("flow" | "true") | None) {
                    self.report.error(fields.place, "`end` is `flow` or `conversation`", "");
                }
                builder.push(Step::End { conversation });
            }
        }
        fields.finish(&format!("step `{verb}`"), self.report);
    }

    fn say(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let text = fields.take("say").map(|node| self.text(node)).unwrap_or_default();
        let choices = fields.take("choices").map(|node| self.choices(node)).unwrap_or_default();
        let mut card = Vec::new();
        for (key, node) in named(fields.take("card"), "`card`", self.report) {
            card.push((key.name.clone(), self.text(node)));
        }
        builder.push(Step::Say(Box::new(Say { text, choices, card })));
    }

    fn slot_index(&mut self, name: &str, place: Place) -> Option<usize> {
        let found = self.bot.slots.iter().position(|slot| slot.name == name);
        if found.is_none() {
            let help = suggestion(name, self.bot.slots.iter().map(|slot| slot.name.as_str()));
            self.report.error(
                place,
                format!("there is no slot `{name}`"),
                help.unwrap_or_else(|| "add it under `slots:`".to_owned()),
            );
        }
        found
    }

    fn ask(&mut self, verb: &'static str, fields: &mut Fields<'_>, builder: &mut Builder) {
        let items = fields.take(verb).map(list).unwrap_or_default();
        let (text, otherwise) = (fields.take("text"), fields.take("otherwise"));
        let mut asks = Vec::new();
        for item in items {
            let Some(name) = report::text(item, "a slot", self.report) else {
                continue;
            };
            let Some(slot) = self.slot_index(&name, item.place) else {
                continue;
            };
            if !builder.flow.uses.contains(&slot) {
                builder.flow.uses.push(slot);
            }
            let at = builder.push(Step::Goto(0));
            let label = builder.label(format!("ask:{name}"), at);
            let text = text.map(|node| self.text(node));
            asks.push((at, Ask { label, slot, text, again: verb == "ask", otherwise: None }));
        }
        let mut target = None;
        if let Some(otherwise) = otherwise {
            let skip = builder.push(Step::Goto(0));
            target = Some(builder.here());
            self.steps(otherwise, builder);
            let end = builder.here();
            builder.put(skip, Step::Goto(end));
        }
        for (at, ask) in asks {
            builder.put(at, Step::Ask(Box::new(Ask { otherwise: target, ..ask })));
        }
    }

    fn forget(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let mut names = Vec::new();
        for item in fields.take("forget").map(list).unwrap_or_default() {
            let Some(name) = report::text(item, "a name", self.report) else {
                continue;
            };
            if !self.names.contains(&name) {
                let help = suggestion(&name, self.names.iter().map(String::as_str));
                let reminder = self
                    .told
                    .reminders
                    .contains(&name)
                    .then(|| format!("a reminder is taken back with `unremind: {name}`"));
                self.report.error(
                    item.place,
                    format!("there is no slot or variable `{name}`"),
                    reminder.or(help).unwrap_or_default(),
                );
            }
            names.push(name);
        }
        builder.push(Step::Forget(names));
    }

    fn other_flow(&mut self, verb: &'static str, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(node) = fields.take(verb) else {
            return;
        };
        let Some(name) = report::text(node, "a flow", self.report) else {
            return;
        };
        let Some(body) = self.bodies.get(&name).copied() else {
            let help = suggestion(&name, self.bodies.keys().map(String::as_str));
            return self.report.error(node.place, format!("there is no flow `{name}`"), help.unwrap_or_default());
        };
        self.started.insert(name.clone());
        if verb != "run" {
            if let Some(flow) = self.bot.flow(&name) {
                builder.jumps.push(flow);
                builder.push(Step::Jump(flow));
            }
            return;
        }
        if builder.running.contains(&name) || builder.running.len() >= DEEPEST {
            return self.report.error(
                node.place,
                format!("flow `{name}` runs itself, or flows run each other too deep"),
                "use `jump` to start over",
            );
        }
        builder.running.push(name);
        self.steps(body, builder);
        builder.running.pop();
    }
}
