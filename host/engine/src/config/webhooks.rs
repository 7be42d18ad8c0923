//! `webhooks/*.yaml`: a place of a tenant's that is told what happens.

use super::documents::WebhookDoc;
use super::yaml::place;
use super::{Finding, Place, Places};
use crate::ids::{BotId, NameError, TenantId, WebhookId};
use confab_egress::SecretRef;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::str::FromStr;

/// Longest description, in characters.
const DESCRIPTION_CHARS: usize = 500;
/// Secrets of a webhook: the current one, and old ones while they are replaced. Each is a signature in a header.
const SECRETS: usize = 4;
/// Longest name of an event.
const EVENT_BYTES: usize = 100;

/// As it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookYaml {
    id: Spanned<String>,
    url: Spanned<String>,
    events: Vec<Spanned<String>>,
    secrets: Vec<Spanned<serde_json::Value>>,
    #[serde(default)]
    bots: Vec<Spanned<String>>,
    description: Option<Spanned<String>>,
}

/// A document before its tenant is known.
pub(super) struct ReadWebhook {
    pub(super) file: String,
    pub(super) place: Option<Place>,
    pub(super) id: WebhookId,
    url: String,
    events: Vec<String>,
    secrets: Vec<SecretRef>,
    bots: Vec<BotId>,
    description: Option<String>,
}

impl ReadWebhook {
    pub(super) fn of(self, tenant: TenantId) -> (String, WebhookDoc) {
        let ReadWebhook { file, place: _, id, url, events, secrets, bots, description } = self;
        (file, WebhookDoc { tenant, id, url, events, secrets, bots, description })
    }
}

/// `message.created`, `ticket.*` or `*`.
fn names_events(text: &str) -> bool {
    let name = match text.strip_suffix(".*") {
        Some(group) => group,
        None if text == "*" => return true,
        None => text,
    };
    let word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    text.len() <= EVENT_BYTES && name.split('.').all(word)
}

impl WebhookYaml {
    pub(super) fn places(&self) -> Places {
        let list = |name: &'static str, places: Vec<Option<Place>>| {
            places.into_iter().enumerate().map(move |(index, at)| (format!("{name}.{index}"), at))
        };
        let fields = [("id".to_owned(), place(&self.id)), ("url".to_owned(), place(&self.url))]
            .into_iter()
            .chain(list("secrets", self.secrets.iter().map(place).collect()))
            .chain(list("bots", self.bots.iter().map(place).collect()));
        Places { fields: fields.filter_map(|(name, at)| Some((name, at?))).collect(), ..Places::default() }
    }

    pub(super) fn read(self, file: &str, findings: &mut Vec<Finding>) -> Option<ReadWebhook> {
        let before = findings.len();
        let mut wrong = |message: String, at: Option<Place>| findings.push(Finding::error(file, message).at(at));
        let at = place(&self.id);
        let mut name = |text: &Spanned<String>| parsed::<BotId>(text, &mut wrong);
        let bots = self.bots.iter().filter_map(&mut name).collect();
        let id = parsed::<WebhookId>(&self.id, &mut wrong);
        if self.events.is_empty() {
            wrong("events: name at least one, or all of them: [\"*\"]".to_owned(), at);
        }
        for event in self.events.iter().filter(|event| !names_events(&event.value)) {
            let shown = event.value.chars().take(80).collect::<String>().escape_debug().to_string();
            wrong(
                format!("events: `{shown}` names no event: write `message.created`, `ticket.*` or `*`"),
                place(event),
            );
        }
        if self.secrets.is_empty() || self.secrets.len() > SECRETS {
            wrong(format!("secrets: name 1 to {SECRETS}, the current one first: [env:NAME]"), at);
        }
        let mut secrets = Vec::new();
        for secret in self.secrets {
            let at = place(&secret);
            match serde_json::from_value::<SecretRef>(secret.value) {
                Ok(reference) if secrets.contains(&reference) => {
                    wrong(format!("secrets: {reference} is there twice"), at)
                }
                Ok(reference) => secrets.push(reference),
                // It may be the secret itself, so it is not repeated.
                Err(_) => wrong("secrets must name secrets, not be them: `env:NAME` or `file:NAME`".to_owned(), at),
            }
        }
        let description = self.description.map(|text| {
            if text.value.chars().count() > DESCRIPTION_CHARS {
                wrong(format!("description: at most {DESCRIPTION_CHARS} characters"), place(&text));
            }
            text.value
        });
        let events = self.events.into_iter().map(|event| event.value).collect();
        if findings.len() > before {
            return None;
        }
        Some(ReadWebhook {
            file: file.to_owned(),
            place: at,
            id: id?,
            url: self.url.value,
            events,
            secrets,
            bots,
            description,
        })
    }
}

fn parsed<T: FromStr<Err = NameError>>(
    text: &Spanned<String>,
    wrong: &mut impl FnMut(String, Option<Place>),
) -> Option<T> {
    text.value.parse().map_err(|e: NameError| wrong(e.to_string(), place(text))).ok()
}

#[cfg(test)]
mod tests {
    use super::super::bundle::{Bundle, SourceFile};
    use super::names_events;

    fn findings(webhook: &str) -> Vec<String> {
        let file = |path: &str, content: &str| SourceFile { path: path.into(), content: content.into() };
        let files = [file("tenant.yaml", "id: shop\n"), file("webhooks/crm.yaml", webhook)];
        Bundle::read(&files).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_of_events_are_exact_a_group_or_all() {
        for good in ["*", "message.created", "ticket.*", "a.b_c.D1.*", "paid"] {
            assert!(names_events(good), "{good}");
        }
        for bad in ["", ".", "*.created", "ticket.*.x", "ticket*", "a..b", "a-b", "a b", ".*"] {
            assert!(!names_events(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_webhook_is_told_with_its_line_and_without_a_secret() {
        let good = "id: crm\nurl: https://crm.example.com/hook\nevents: ['*']\nsecrets: [env:SHOP__HOOK]\n";
        assert!(findings(good).is_empty());
        let found = findings("id: C R M\nurl: https://x\nevents: [ticket-created]\nsecrets:\n  - env:SHOP__HOOK\n  - whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\nbots: [No Bot]\n").join("\n");
        for part in ["webhooks/crm.yaml:1:", "webhooks/crm.yaml:3:", "webhooks/crm.yaml:6:", "webhooks/crm.yaml:7:"] {
            assert!(found.contains(part), "{part} not in {found}");
        }
        assert!(!found.contains("MfKQ"));
        assert!(findings(&good.replace("['*']", "[]")).join("").contains("at least one"));
        assert!(findings(&good.replace("[env:SHOP__HOOK]", "[]")).join("").contains("1 to 4"));
        assert!(findings(&format!("{good}colour: red\n")).join("").contains("colour"));
    }
}
