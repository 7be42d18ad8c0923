//! Steps that hold others or reach outside: `call`, `if`, `confirm`, `choose`, and `set`.
//!
//! Each takes its place in the list before its branches are known, as a jump to nowhere, and is put there when they are.

use super::report::{self, Fields, list, named};
use super::steps::Builder;
use super::yaml::{Node, Yaml};
use super::{Reader, capabilities};
use crate::bot::{Call, Choice, Choose, Confirm, Step};
use crate::dialogue::words::folded;
use crate::template::Expression;
use minijinja::value::Value;

impl Reader<'_> {
    pub(super) fn call(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(node) = fields.take("call") else {
            return;
        };
        let Some(name) = report::text(node, "`call`", self.report) else {
            return;
        };
        let with = fields.take("with");
        let arguments: Vec<&str> = match with.map(|node| &node.value) {
            Some(Yaml::Map(entries)) => entries.iter().map(|(key, _)| key.name.as_str()).collect(),
            _ => Vec::new(),
        };
        let with = match with {
            Some(node) if !matches!(node.value, Yaml::Map(_)) => {
                self.report.error(
                    node.place,
                    format!("`with` should be a map of arguments, this is {}", node.kind()),
                    "",
                );
                None
            }
            Some(node) => self.expression(node),
            None => Some(Expression::Map(Vec::new())),
        };
        let save = fields.take("save").and_then(|node| report::text(node, "`save`", self.report));
        let (capability, function) = match name.split_once('.') {
            Some((capability, function)) if !capability.is_empty() && !function.is_empty() => {
                (capability.to_owned(), function.to_owned())
            }
            _ => {
                self.report.error(
                    node.place,
                    format!("`{name}` is no call"),
                    "write capability and function: `inventory.availability`",
                );
                (String::new(), String::new())
            }
        };
        if !capability.is_empty() {
            capabilities::check(&capability, &function, &arguments, node.place, self.report);
        }
        let at = builder.push(Step::Goto(0));
        let skip = builder.push(Step::Goto(0));
        let (mut on_error, mut on_other, mut gotos) = (Vec::new(), None, vec![skip]);
        for (key, steps) in named(fields.take("on_error"), "`on_error`", self.report) {
            let code = key.name.replace('_', "-");
            let target = builder.here();
            self.steps(steps, builder);
            gotos.push(builder.push(Step::Goto(0)));
            if code == "else" {
                on_other = Some(target);
            } else {
                capabilities::check_code(&code, key.place, self.report);
                on_error.push((code, target));
            }
        }
        let end = builder.here();
        gotos.into_iter().for_each(|goto| builder.put(goto, Step::Goto(end)));
        if let Some(with) = with {
            builder.put(at, Step::Call(Box::new(Call { capability, function, with, save, on_error, on_other })));
        }
    }

    /// A value for machines.
    pub(super) fn expression(&mut self, node: &Node) -> Option<Expression> {
        Some(match &node.value {
            Yaml::Null => Expression::Fixed(Value::UNDEFINED),
            Yaml::Bool(value) => Expression::Fixed(Value::from(*value)),
            Yaml::Integer(value) => Expression::Fixed(Value::from(*value)),
            Yaml::Float(value) => Expression::Fixed(Value::from(*value)),
            Yaml::Text(text) => {
                return Expression::text(text, node.place, &self.names, self.report);
            }
            Yaml::List(items) => Expression::List(items.iter().filter_map(|item| self.expression(item)).collect()),
            Yaml::Map(entries) => Expression::Map(
                entries
                    .iter()
                    .filter_map(|(key, node)| self.expression(node).map(|value| (key.name.clone(), value)))
                    .collect(),
            ),
        })
    }

    pub(super) fn set(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let mut values = Vec::new();
        for (key, node) in named(fields.take("set"), "`set`", self.report) {
            if let Some(value) = self.expression(node) {
                values.push((key.name.clone(), value));
            }
        }
        builder.push(Step::Set(values));
    }

    pub(super) fn branch(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(node) = fields.take("if") else {
            return;
        };
        let condition = report::text(node, "`if`", self.report).and_then(|source| {
            let source = source.trim();
            let bare = source.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(source);
            Expression::condition(bare, node.place, &self.names, self.report)
        });
        let (then, otherwise) = (fields.take("then"), fields.take("else"));
        if then.is_none() && otherwise.is_none() {
            self.report.error(fields.place, "step `if` has neither `then` nor `else`", "");
        }
        let at = builder.push(Step::Goto(0));
        let target = self.two_ways(then, otherwise, builder);
        if let Some(condition) = condition {
            builder.put(at, Step::If(condition, target));
        }
    }

    /// `then`, then `else`; gives the place of the latter.
    fn two_ways(&mut self, then: Option<&Node>, otherwise: Option<&Node>, builder: &mut Builder) -> usize {
        if let Some(then) = then {
            self.steps(then, builder);
        }
        let skip = builder.push(Step::Goto(0));
        let target = builder.here();
        if let Some(otherwise) = otherwise {
            self.steps(otherwise, builder);
        }
        let end = builder.here();
        builder.put(skip, Step::Goto(end));
        target
    }

    pub(super) fn confirm(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(node) = fields.take("confirm") else {
            return;
        };
        let text = self.text(node);
        let (then, otherwise) = (fields.take("then"), fields.take("else"));
        let at = builder.push(Step::Goto(0));
        // A yes belongs to the very question: another wording is another question.
        let label = builder.label(format!("confirm:{:08x}", fingerprint(node)), at);
        let target = self.two_ways(then, otherwise, builder);
        let otherwise = otherwise.is_some().then_some(target);
        builder.put(at, Step::Confirm(Box::new(Confirm { label, text, otherwise })));
    }

    pub(super) fn choose(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(node) = fields.take("choose") else {
            return;
        };
        let text = self.text(node);
        let save = fields.take("save").and_then(|node| report::text(node, "`save`", self.report));
        let tries =
            fields.take("tries").and_then(|node| report::number(node, "`tries`", 1, 20, self.report)).unwrap_or(3);
        let (options, otherwise) = (fields.take("options"), fields.take("else"));
        if options.is_none() {
            self.report.error(fields.place, "step `choose` has no `options`", "list them with `- label: ...`");
        }
        let at = builder.push(Step::Goto(0));
        let label = builder
            .label(format!("choose:{}", save.clone().unwrap_or_else(|| format!("{:08x}", fingerprint(node)))), at);
        let mut gotos = vec![builder.push(Step::Goto(0))];
        let mut read = Vec::new();
        for item in options.map(list).unwrap_or_default() {
            let Some(mut fields) = Fields::of(item, "an option", self.report) else {
                continue;
            };
            let label = fields.take("label").map(|node| self.text(node));
            let value = fields.take("value").map(|node| self.text(node));
            let then = fields.take("then").map(|steps| {
                let target = builder.here();
                self.steps(steps, builder);
                gotos.push(builder.push(Step::Goto(0)));
                target
            });
            fields.finish("an option", self.report);
            match label {
                Some(label) => {
                    let phrases = label.fixed().map(|(_, text)| folded(text)).collect();
                    read.push(Choice { label, value, phrases, then });
                }
                None => self.report.error(item.place, "an option has no `label`", ""),
            }
        }
        let otherwise = otherwise.map(|steps| {
            let target = builder.here();
            self.steps(steps, builder);
            target
        });
        let end = builder.here();
        gotos.into_iter().for_each(|goto| builder.put(goto, Step::Goto(end)));
        builder.put(at, Step::Choose(Box::new(Choose { label, text, save, options: read, tries, otherwise })));
    }
}

/// A short name for a text.
fn fingerprint(node: &Node) -> u32 {
    let mut hash = 0x811c_9dc5u32;
    node.walk(&mut |node| {
        for byte in node.scalar().unwrap_or_default().bytes() {
            hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
    });
    hash
}
