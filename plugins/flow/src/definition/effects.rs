//! Steps that leave something behind: `remind`, `unremind`, `watch`, `unwatch`, `emit`.

use super::Reader;
use super::report::{self, Fields, suggestion};
use super::steps::Builder;
use super::yaml::{Node, Yaml};
use crate::bot::{Leave, Step, Time};
use crate::durations;
use crate::template::Expression;

/// As far ahead as the host goes: 90 days.
const LONGEST_S: u64 = 90 * 86_400;
/// How long a conversation watches, unless told otherwise: 30 days, in which most parcels arrive.
const WATCHES_S: u64 = 30 * 86_400;

impl Reader<'_> {
    pub(super) fn remind(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(mut own) = fields.take("remind").and_then(|node| Fields::of(node, "`remind`", self.report)) else {
            return;
        };
        let key = self.needed(
            &mut own,
            "remind",
            "key",
            "it names the reminder: `key: pickup`, and `unremind: pickup` takes it back",
        );
        let after = self.needed(&mut own, "remind", "in", "write when: `in: 2h`, or `in: \"{{ delay }}\"`");
        let event = self.needed(&mut own, "remind", "event", "write which entry of `events:` is run then");
        let data = own.take("data");
        own.finish("`remind`", self.report);
        let key = key.and_then(|node| self.line(node, "`key`"));
        let after = after.and_then(|node| self.time(node, "`in`"));
        let event = event.and_then(|node| {
            let name = report::text(node, "`event`", self.report)?;
            if self.event_name(&name, node.place) {
                self.event_is_taken(&name, node.place);
            }
            Some(name)
        });
        let data = data.and_then(|node| self.data(node));
        if let (Some(key), Some(after), Some(event)) = (key, after, event) {
            builder.push(Step::Leave(Box::new(Leave::Remind { key, event, after, data })));
        }
    }

    pub(super) fn unremind(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(node) = fields.take("unremind") else {
            return;
        };
        let Some(key) = self.line(node, "`unremind`") else {
            return;
        };
        if let Expression::Fixed(name) = &key
            && !self.told.any_reminder
            && !self.told.reminders.contains(name.as_str().unwrap_or_default())
        {
            let help = suggestion(&name.to_string(), self.told.reminders.iter().map(String::as_str));
            self.report.error(
                node.place,
                format!("no `remind` has the key `{name}`"),
                help.unwrap_or_else(|| "write the `key` of a reminder".to_owned()),
            );
        }
        builder.push(Step::Leave(Box::new(Leave::Unremind(key))));
    }

    pub(super) fn watch(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let (subject, keep) = (fields.take("watch"), fields.take("for"));
        let subject = subject.and_then(|node| self.line(node, "`watch`"));
        let keep = keep.map_or(Some(Time::Fixed(WATCHES_S)), |node| self.time(node, "`for`"));
        if let (Some(subject), Some(keep)) = (subject, keep) {
            builder.push(Step::Leave(Box::new(Leave::Watch { subject, keep })));
        }
    }

    pub(super) fn unwatch(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        if let Some(subject) = fields.take("unwatch").and_then(|node| self.line(node, "`unwatch`")) {
            builder.push(Step::Leave(Box::new(Leave::Unwatch(subject))));
        }
    }

    pub(super) fn emit(&mut self, fields: &mut Fields<'_>, builder: &mut Builder) {
        let Some(mut own) = fields.take("emit").and_then(|node| Fields::of(node, "`emit`", self.report)) else {
            return;
        };
        let event = self.needed(&mut own, "emit", "event", "write what happened: `event: quote.requested`");
        let data = own.take("data");
        own.finish("`emit`", self.report);
        let event = event.and_then(|node| {
            let name = report::text(node, "`event`", self.report)?;
            self.event_name(&name, node.place);
            Some(name)
        });
        let data = data.map_or(Some(Expression::Map(Vec::new())), |node| self.data(node));
        if let (Some(event), Some(data)) = (event, data) {
            builder.push(Step::Leave(Box::new(Leave::Emit { event, data })));
        }
    }

    fn needed<'n>(&mut self, fields: &mut Fields<'n>, verb: &str, name: &'static str, help: &str) -> Option<&'n Node> {
        let node = fields.take(name);
        if node.is_none() {
            self.report.error(fields.place, format!("`{verb}` needs `{name}`"), help);
        }
        node
    }

    /// A name of the author's, which may have templates in it.
    fn line(&mut self, node: &Node, what: &str) -> Option<Expression> {
        let text = report::text(node, what, self.report)?;
        if text.trim().is_empty() {
            self.report.error(node.place, format!("{what} is empty"), "");
            return None;
        }
        Expression::text(&text, node.place, &self.names, self.report)
    }

    /// Fields, or a template that gives them.
    fn data(&mut self, node: &Node) -> Option<Expression> {
        let template = matches!(&node.value, Yaml::Text(text) if text.contains("{{"));
        if !template && !matches!(node.value, Yaml::Map(_)) {
            self.report.error(
                node.place,
                format!("`data` should be a map, this is {}", node.kind()),
                "write fields: `data: {order: \"{{ order_number }}\"}`",
            );
            return None;
        }
        self.expression(node)
    }

    /// A length of time: `2h`, seconds, or a template that gives one of these.
    fn time(&mut self, node: &Node, what: &str) -> Option<Time> {
        let text = report::text(node, what, self.report)?;
        if text.contains("{{") || text.contains("{%") {
            return Expression::text(&text, node.place, &self.names, self.report).map(Time::Given);
        }
        let seconds = durations::literal(&text).filter(|seconds| (1..=LONGEST_S).contains(seconds));
        if seconds.is_none() {
            self.report.error(
                node.place,
                format!("{what} can't be `{text}`"),
                "write it like 90s, 30m, 2h, 1h30m, 3d or 2w, at most 90d; or a template that gives seconds",
            );
        }
        seconds.map(Time::Fixed)
    }
}
