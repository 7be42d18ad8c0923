//! `events:` of a bot's file and `webhook:` of a connection's: see [`crate::events`].

use super::endpoints::Typed;
use super::yaml::place;
use super::{Finding, Place};
use crate::events::templates::Templates;
use crate::events::{EventDoc, TokenDoc, WebhookDoc, pattern_problem};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// Events that one bot subscribes to: enough for all of a shop's systems.
const SUBSCRIPTIONS: usize = 100;
/// Subjects of one event: as in `confab:plugin/webhook.event`.
const SUBJECTS: usize = 16;

/// One entry of `events:`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventYaml {
    #[serde(default)]
    from: Vec<Spanned<String>>,
    conversation: Option<Spanned<String>>,
    visitor: Option<Spanned<String>>,
    #[serde(default)]
    say: BTreeMap<String, Spanned<String>>,
}

/// `webhook:`. What may be a secret by mistake is read as any value, so that no message repeats it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookYaml {
    secrets: Option<Spanned<Value>>,
    standard: Option<Spanned<Value>>,
    token: Option<Spanned<Value>>,
    #[serde(default)]
    subjects: Vec<Spanned<String>>,
}

/// Where the fields of subscriptions stand.
pub(super) fn places(events: &BTreeMap<String, Spanned<EventYaml>>) -> Vec<(String, Place)> {
    let mut found = Vec::new();
    for (pattern, yaml) in events {
        let at = format!("events.{pattern}");
        found.extend(place(yaml).map(|place| (at.clone(), place)));
        found.extend(
            yaml.value.from.iter().filter_map(|from| Some((format!("{at}.from.{}", from.value), place(from)?))),
        );
    }
    found
}

/// Reads subscriptions; what is wrong is told with its line.
pub(super) fn subscriptions(
    file: &str,
    events: BTreeMap<String, Spanned<EventYaml>>,
    findings: &mut Vec<Finding>,
) -> Vec<EventDoc> {
    let mut docs = Vec::with_capacity(events.len());
    if events.len() > SUBSCRIPTIONS {
        let message = format!("events: a bot subscribes to at most {SUBSCRIPTIONS}, this one to {}", events.len());
        findings.push(Finding::error(file, message));
    }
    for (pattern, yaml) in events {
        let at = place(&yaml);
        let mut wrong = |message: String, at: Option<Place>| {
            findings.push(Finding::error(file, format!("events.{pattern}{message}")).at(at));
        };
        if let Some(problem) = pattern_problem(&pattern) {
            wrong(format!(": {problem}"), at);
        }
        let EventYaml { from, conversation, visitor, say } = yaml.value;
        if conversation.is_some() && visitor.is_some() {
            wrong(": name the conversation or the visitor, not both".to_owned(), at);
        }
        let mut template = |field: &str, source: &Spanned<String>| {
            if let Err(problem) = Templates::default().add("template", &source.value) {
                wrong(format!(".{field}: {problem}"), place(source));
            }
        };
        for (field, source) in [("conversation", &conversation), ("visitor", &visitor)] {
            if let Some(source) = source {
                template(field, source);
            }
        }
        for (language, source) in &say {
            template(&format!("say.{language}"), source);
        }
        docs.push(EventDoc {
            pattern,
            from: from.into_iter().map(|from| from.value).collect(),
            conversation: conversation.map(|source| source.value),
            visitor: visitor.map(|source| source.value),
            say: say.into_iter().map(|(language, source)| (language, source.value)).collect(),
        });
    }
    docs
}

/// Reads how a connection's webhooks are checked.
pub(super) fn webhook(typed: &mut Typed<'_>, yaml: Spanned<WebhookYaml>) -> WebhookDoc {
    let at = place(&yaml);
    let WebhookYaml { secrets, standard, token, subjects } = yaml.value;
    let mut doc = WebhookDoc::default();
    let ways = [secrets.is_some(), standard.is_some(), token.is_some()].into_iter().filter(|given| *given).count();
    if ways != 1 {
        let message = "webhook: say how calls are checked, in one way: `secrets` for a connector that checks them itself, `standard` for \
                       Standard Webhooks, or `token` for a secret in a header";
        typed.findings.push(Finding::error(typed.file, message).at(at));
    }
    if let Some(secrets) = secrets {
        let at = place(&secrets);
        match secrets.value {
            Value::Object(names) => {
                for (name, value) in names {
                    let field = format!("webhook.secrets.{name}");
                    let given = several(typed, &field, value, at);
                    doc.secrets.insert(name, given);
                }
            }
            _ => typed.wrong("webhook.secrets: write the name of each secret: {signing: env:NAME}", at),
        }
    }
    if let Some(standard) = standard {
        let at = place(&standard);
        doc.standard = several(typed, "webhook.standard", standard.value, at);
    }
    if let Some(token) = token {
        let at = place(&token);
        let header = token.value.get("header").and_then(Value::as_str).map(str::to_ascii_lowercase);
        let value = token.value.get("value").cloned();
        match (header, value, token.value.as_object().map(serde_json::Map::len)) {
            (Some(header), Some(value), Some(2)) if is_header(&header) => {
                if let Some(value) = typed.secret_at("webhook.token.value", value, at) {
                    doc.token = Some(TokenDoc { header, value });
                }
            }
            _ => typed.wrong("webhook.token: write {header: X-Hook-Token, value: env:NAME}", at),
        }
    }
    if subjects.len() > SUBJECTS {
        typed.wrong(&format!("webhook.subjects: an event has at most {SUBJECTS}"), at);
    }
    if !subjects.is_empty() && !doc.secrets.is_empty() {
        typed.wrong("webhook.subjects: the connector says itself what its events are about; leave it out", at);
    }
    for subject in subjects {
        if let Err(problem) = Templates::default().add("template", &subject.value) {
            typed.wrong(&format!("webhook.subjects: {problem}"), place(&subject));
        }
        doc.subjects.push(subject.value);
    }
    doc
}

/// The name of a secret, or of several while one takes the other's place.
fn several(typed: &mut Typed<'_>, field: &str, value: Value, at: Option<Place>) -> Vec<String> {
    let values = match value {
        Value::Array(values) if !values.is_empty() => values,
        Value::Array(_) => {
            typed.wrong(&format!("{field}: name at least one secret: env:NAME"), at);
            Vec::new()
        }
        one => vec![one],
    };
    values.into_iter().filter_map(|value| typed.secret_at(field, value, at)).collect()
}

fn is_header(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use crate::config::bundle::{Bundle, SourceFile};

    fn read(path: &str, content: &str) -> Result<Bundle, Vec<String>> {
        let file = |path: &str, content: &str| SourceFile { path: path.into(), content: content.into() };
        let files = [file("tenant.yaml", "id: shop\n"), file(path, content)];
        Bundle::read(&files).map_err(|findings| findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn subscriptions_are_read() {
        let bundle = read(
            "bots/shop.yaml",
            r#"
id: shop
plugin: flow
events:
  order.shipped:
    from: [shop-data, api]
    visitor: "{{ data.customer_id }}"
    say: {en: "Your order {{ data.order }} has been shipped.", de: "Ihre Bestellung {{ data.order }} ist unterwegs."}
  "stock.*": {}
"#,
        )
        .unwrap();
        let events = &bundle.bots[0].1.events;
        assert_eq!((events[0].pattern.as_str(), events[1].pattern.as_str()), ("order.shipped", "stock.*"));
        assert_eq!(events[0].from, ["shop-data", "api"]);
        assert_eq!(events[0].say.len(), 2);
        let stored = serde_json::to_value(&bundle.bots[0].1).unwrap();
        assert_eq!(bundle.bots[0].1, serde_json::from_value(stored).unwrap());
    }

    #[test]
    fn what_is_wrong_about_a_subscription_is_told_with_its_line() {
        for (field, line, message) in [
            ("  order shipped: {}", 4, "has only A-Z"),
            ("  \"*.shipped\": {}", 4, "has only A-Z"),
            ("  order.shipped:\n    say:\n      en: \"{{ data.order\"", 6, "say.en: is no template"),
            ("  order.shipped:\n    say:\n      en: \"{{ dta.order }}\"", 6, "there is no `dta`"),
            ("  order.shipped:\n    visitor: \"{{ data.v | nosuch }}\"", 5, "visitor: is no template"),
            ("  order.shipped:\n    visitor: a\n    conversation: b", 5, "not both"),
        ] {
            let wrong = read("bots/shop.yaml", &format!("id: shop\nplugin: flow\nevents:\n{field}\n")).unwrap_err();
            assert!(wrong.len() == 1 && wrong[0].contains(message), "{field}: {wrong:?}");
            assert!(wrong[0].starts_with(&format!("bots/shop.yaml:{line}:")), "{wrong:?}");
        }
    }

    #[test]
    fn a_webhook_names_its_secrets_and_a_secret_written_there_is_not_repeated() {
        let with =
            |webhook: &str| read("connections/a.yaml", &format!("id: a\nconnector: rest\nwebhook:\n  {webhook}\n"));
        let webhook = |text: &str| with(text).unwrap().connections[0].1.webhook.clone().unwrap();
        assert_eq!(webhook("secrets: {signing: env:SHOP__A}").secrets["signing"], ["env:SHOP__A"]);
        assert_eq!(webhook("secrets: {signing: [env:SHOP__A, file:b]}").secrets["signing"], ["env:SHOP__A", "file:b"]);
        assert_eq!(webhook("standard: env:SHOP__A").standard, ["env:SHOP__A"]);
        assert_eq!(webhook("standard: [env:SHOP__A, file:b]").standard, ["env:SHOP__A", "file:b"]);
        assert_eq!(webhook("token: {header: X-Hook-Token, value: env:SHOP__A}").token.unwrap().header, "x-hook-token");
        for (text, message) in [
            ("secrets: {signing: hunter2-4711}", "must name a secret"),
            ("secrets: hunter2-4711", "write the name"),
            ("standard: hunter2-4711", "must name a secret"),
            ("standard: [env:A, 4711]", "must name a secret"),
            ("standard: []", "at least one"),
            ("token: hunter2-4711", "webhook.token: write"),
            ("token: {header: X, value: hunter2-4711}", "must name a secret"),
            ("token: {header: \"X Y\", value: env:A}", "webhook.token: write"),
            ("token: {header: X, value: env:A, more: hunter2}", "webhook.token: write"),
            ("subjects: [a]", "in one way"),
            ("standard: env:A\n  token: {header: X, value: env:A}", "in one way"),
            ("standard: env:A\n  subjects: [\"{{ data.x\"]", "webhook.subjects: is no template"),
        ] {
            let wrong = with(text).unwrap_err().join("\n");
            assert!(wrong.contains(message) && wrong.starts_with("connections/a.yaml:"), "{text}: {wrong}");
            assert!(!wrong.contains("hunter2") && !wrong.contains("4711"), "{wrong}");
        }
    }
}
