//! Answers that are not from now, and what visitors are told of them. It is 10:32.

use super::{Chat, bot, shop};
use confab_plugin_sdk::host::Provenance;
use serde_json::json;

fn from(as_of: &str, stale: bool, error: Option<&str>) -> Option<Provenance> {
    Some(Provenance { as_of: as_of.to_owned(), cached: true, stale, error: error.map(str::to_owned) })
}

fn asks(chat: &mut Chat, provenance: Option<Provenance>) -> String {
    chat.provenance = provenance;
    chat.say("Do you have SKU-1001 in stock?")
}

#[test]
fn a_stale_answer_is_told_with_its_time_and_a_fresh_one_as_ever() {
    let mut chat = Chat::new(shop()).with(super::shop::system);
    let plain = "Yes, Walnut Desk (SKU-1001) is in stock: 5 available.";
    assert_eq!(asks(&mut chat, None), plain);
    assert_eq!(asks(&mut chat, from("2026-11-22T10:02:00Z", false, None)), plain);
    let stale = from("2026-11-22T10:02:00Z", true, Some("unavailable"));
    assert_eq!(asks(&mut chat, stale), format!("{plain} (as of 10:02 UTC)"));
    let old = from("2026-11-21T22:02:00Z", true, None);
    assert_eq!(asks(&mut chat, old), format!("{plain} (as of 21 November 2026, 22:02 UTC)"));
    // Just being fetched again: the same minute.
    assert_eq!(asks(&mut chat, from("2026-11-22T10:31:30Z", true, None)), plain);
    chat.locale = Some("de");
    assert!(asks(&mut chat, from("2026-11-22T10:31:30Z", true, Some("timeout"))).ends_with("(Stand: 10:31 UTC)"));
}

#[test]
fn times_are_those_of_the_bots_time_zone() {
    let source =
        super::shop_source().replacen("languages: [en, de]\n", "languages: [en, de]\ntimezone: Europe/Vienna\n", 1);
    let mut chat = Chat::new(bot(&source)).with(super::shop::system);
    let stale = from("2026-11-22T10:02:00Z", true, Some("unavailable"));
    assert!(asks(&mut chat, stale).ends_with("(as of 11:02)"));
    let (none, found) = crate::definition::compile("name: b\ntimezone: Vienna\n");
    assert!(
        none.is_none() && found.iter().any(|d| d.line == Some(2) && d.message.contains("`Vienna` is no time zone"))
    );
}

#[test]
fn a_definition_that_looks_says_it_in_its_own_words_or_not_at_all() {
    let source = |say: &str, more: &str| {
        format!(
            "name: b\nlanguages: [en]\nintents:\n  stock:\n    examples: [is it there, do you have it]\nflows:\n  stock:\n    on: stock\n    steps:\n      - call: inventory.availability\n        with: {{sku: A}}\n        save: levels\n      - say: \"{say}\"\n      - say: more\n{more}"
        )
    };
    let said = |source: &str| {
        let mut chat = Chat::new(bot(source)).with(|_, _| Ok(json!([{"available": 2}])));
        chat.provenance = from("2026-11-22T10:02:00Z", true, Some("unavailable"));
        let said = chat.say("is it there");
        assert!(chat.notes.is_empty(), "{:?}", chat.notes);
        said
    };
    let own = "{{ levels[0].available }}{% if answers.levels.stale %}, {{ answers.levels.error }} at {{ answers.levels.as_of | date('clock') }}{% endif %}";
    assert_eq!(said(&source(own, "")), "2, unavailable at 10:02 UTC | more");
    // The first reply after the call tells of it.
    assert_eq!(said(&source("{{ levels[0].available }}", "")), "2 (as of 10:02 UTC) | more");
    let texts = "texts:\n  as_of: {en: 'That was at {{ when }}.'}\n";
    assert_eq!(said(&source("{{ levels[0].available }}", texts)), "2 That was at 10:02 UTC. | more");
    assert_eq!(said(&source("{{ levels[0].available }}", "texts:\n  as_of: {en: ''}\n")), "2 | more");
}
