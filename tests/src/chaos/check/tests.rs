//! That what is wrong is seen, each thing by itself, and that nothing else is.

use super::*;
use crate::chaos::Store;
use crate::chaos::events::Event;
use crate::chaos::script::Message;
use serde_json::json;

fn sent(turn: usize, step: usize, words: &str, expected: Expected, responses: &[&str]) -> Sent {
    let marker = format!("QXD1N{turn}E");
    let text = format!("{words} {marker}");
    let answer = |response: &&str| {
        let response = format!("{response} [{text}]");
        let body = json!({"turn_id": response, "conversation_id": "c", "response": response});
        Delivered::Answered { body, replayed: false }
    };
    let delivered = responses.iter().map(answer).collect();
    Sent { message: Message { marker, text, expected, alone: false }, step, delivered }
}

fn line(turn: u64, from: &str, text: &str) -> Line {
    Line { conversation: "c".into(), turn, from: from.into(), text: text.into() }
}

/// What a perfect server would have in its transcript.
fn lines_of(sent: &[Sent]) -> Vec<Line> {
    let both = |(number, sent): (usize, &Sent)| {
        let turn = number as u64 + 1;
        [line(turn, "visitor", &sent.message.text), line(turn, "bot", sent.response().unwrap())]
    };
    sent.iter().enumerate().flat_map(both).collect()
}

fn had(sent: Vec<Sent>) -> Talk {
    Talk { number: 1, kind: Kind::Desk, sent, unsent: 0, ids: BTreeSet::from(["c".to_owned()]), event: None }
}

fn found(sent: Vec<Sent>, lines: Vec<Line>, made: &[(&str, &str)]) -> Vec<Wrong> {
    found_of(1, sent, lines, made)
}

fn found_of(lost: u64, sent: Vec<Sent>, lines: Vec<Line>, made: &[(&str, &str)]) -> Vec<Wrong> {
    let ledger = Ledger { talks: vec![had(sent)], transcripts: vec![lines] };
    let mut report = Report::new(&Plan::small(Store::Embedded));
    ledger.conversations(&mut report);
    let of = |(title, number): &(&str, &str)| Made {
        title: (*title).into(),
        number: (*number).into(),
        key: (*number).into(),
    };
    ledger.tickets_of(Kind::Desk, "desk", &made.iter().map(of).collect::<Vec<_>>(), lost, &mut report);
    report.found()
}

fn talk() -> Vec<Sent> {
    vec![
        sent(0, 0, "hello", Expected::Words("Hello."), &["Hello."]),
        sent(1, 1, "open", Expected::Tickets(1), &["Tickets (T-1)", "Tickets (T-1)"]),
        sent(2, 2, "open two", Expected::Tickets(2), &["Tickets (T-2) ()"]),
        sent(3, 3, "bye", Expected::Count, &["Goodbye after (4) messages."]),
    ]
}

const MADE: [(&str, &str); 2] = [("QXD1N1E first", "T-1"), ("QXD1N2E first", "T-2")];

#[test]
fn nothing_is_wrong_with_what_is_right() {
    assert_eq!(found(talk(), lines_of(&talk()), &MADE), []);
    // The one that it could not tell of may be there.
    let made = [&MADE[..], &[("QXD1N2E second", "T-3")]].concat();
    assert_eq!(found(talk(), lines_of(&talk()), &made), []);
}

#[test]
fn turns_that_are_lost_doubled_moved_or_changed_are_seen() {
    let lines = lines_of(&talk());
    assert_eq!(found(talk(), lines[2..].to_vec(), &MADE), [Wrong::TurnLost]);
    let doubled = [lines.clone(), vec![line(9, "visitor", &lines[2].text), line(9, "bot", &lines[3].text)]].concat();
    assert_eq!(found(talk(), doubled, &MADE), [Wrong::TurnDoubled]);
    let moved = [&lines[2..4], &lines[..2], &lines[4..]].concat();
    assert_eq!(found(talk(), moved, &MADE), [Wrong::Reordered]);
    let mut changed = lines.clone();
    changed[1].text = "Hallo.".into();
    assert_eq!(found(talk(), changed, &MADE), [Wrong::Unlike]);
    let foreign = [lines, vec![line(9, "visitor", "not ours")]].concat();
    assert_eq!(found(talk(), foreign, &MADE), [Wrong::Foreign]);
}

#[test]
fn messages_that_went_together_may_stand_in_any_order_between_the_others() {
    let mut talk = talk();
    talk[2].step = 1;
    talk[3].step = 2;
    let lines = lines_of(&talk);
    let swapped = [&lines[..2], &lines[4..6], &lines[2..4], &lines[6..]].concat();
    assert_eq!(found(talk.clone(), swapped, &MADE), []);
    let behind = [&lines[..2], &lines[4..], &lines[2..4]].concat();
    assert_eq!(found(talk, behind, &MADE), [Wrong::Reordered]);
}

#[test]
fn tickets_that_are_lost_doubled_or_of_nobody_are_seen() {
    let lines = lines_of(&talk());
    assert_eq!(found(talk(), lines.clone(), &MADE[1..]), [Wrong::TicketLost]);
    let doubled = [&MADE[..], &[("QXD1N1E first", "T-9")]].concat();
    assert_eq!(found(talk(), lines.clone(), &doubled), [Wrong::TicketDoubled]);
    let doubted = [&MADE[..], &[("QXD1N2E second", "T-8"), ("QXD1N2E second", "T-9")]].concat();
    assert_eq!(found(talk(), lines.clone(), &doubted), [Wrong::TicketDoubled]);
    let orphan = [&MADE[..], &[("QXD7N1E first", "T-9")]].concat();
    assert_eq!(found(talk(), lines.clone(), &orphan), [Wrong::TicketOrphaned]);
    assert_eq!(found_of(0, talk(), lines.clone(), &MADE), [Wrong::Doubtful]);
    let numbered = [("QXD1N1E first", "T-7"), MADE[1]];
    assert_eq!(found(talk(), lines, &numbered), [Wrong::TicketNumber]);
}

#[test]
fn answers_that_differ_do_not_fit_or_count_wrong_are_seen() {
    let mut differing = talk();
    differing[0] = sent(0, 0, "hello", Expected::Words("Hello."), &["Hello.", "Hello. Again."]);
    let lines = lines_of(&differing);
    assert_eq!(found(differing, lines, &MADE), [Wrong::Differing]);
    let mut failed = talk();
    failed[0] = sent(0, 0, "hello", Expected::Words("Hello."), &["The bot has failed."]);
    let lines = lines_of(&failed);
    assert_eq!(found(failed, lines, &MADE), [Wrong::Answer]);
    let mut counted = talk();
    counted[3] = sent(3, 3, "bye", Expected::Count, &["Goodbye after (3) messages."]);
    let lines = lines_of(&counted);
    assert_eq!(found(counted, lines, &MADE), [Wrong::State]);
}

#[test]
fn webhooks_that_are_lost_doubled_or_refused_are_seen() {
    let answered = || Delivered::Answered { body: json!({}), replayed: false };
    let found = |delivered: Vec<Delivered>, told: usize| {
        let event = Event { order: "EV1".into(), delivered };
        let talk = Talk { event: Some(event), ..had(Vec::new()) };
        let lines = (0..told as u64).map(|turn| line(turn, "bot", &script::told("EV1"))).collect();
        let ledger = Ledger { talks: vec![talk], transcripts: vec![lines] };
        let mut report = Report::new(&Plan::small(Store::Embedded));
        ledger.events(&mut report);
        report.found()
    };
    assert_eq!(found(vec![answered()], 1), []);
    assert_eq!(found(vec![answered(), answered()], 1), []);
    assert_eq!(found(vec![answered(), answered()], 2), [Wrong::EventDoubled]);
    assert_eq!(found(vec![answered()], 0), [Wrong::EventLost]);
    assert_eq!(found(vec![Delivered::Refused("404".into())], 0), [Wrong::EventRefused]);
    // It may have been accepted all the same.
    assert_eq!(found(vec![Delivered::GaveUp("503".into())], 1), [Wrong::EventUnanswered]);
}
