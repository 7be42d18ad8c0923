//! What is there, held against what was answered. An answer is a promise: the turn is in the transcript, once, where it belongs and
//! with these words; the ticket is in the system, once, under this number; the webhook is told in its conversation, once.

use super::desk::Desk;
use super::door::{Delivered, Door};
use super::report::{Report, Wrong};
use super::script::{self, Expected, Kind, Said, TITLES};
use super::visitor::{Sent, Talk};
use super::{Plan, dice};
use crate::client::Client;
use crate::systems::request_tracker::RequestTracker;
use crate::wait::until;
use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The house must be quiet by then: longer than the longest retry of an event that is worth waiting for here.
const GETS_QUIET: Duration = Duration::from_secs(180);
/// Transcripts that are read at once.
const READERS: usize = 8;
/// What is in Request Tracker: number, subject, and the mark of the write.
const RT_TICKETS: &str = "select t.id, t.Subject, coalesce(l.Target, '') from Tickets t \
    left join Links l on l.Base like '%/ticket/' || t.id and l.Type = 'RefersTo' where t.Subject like 'Q_R%' order by t.id";

/// A message of a transcript.
#[derive(Clone, Debug)]
struct Line {
    conversation: String,
    turn: u64,
    from: String,
    text: String,
}

/// Everything that was sent, and what the transcripts have.
#[derive(Debug)]
pub struct Ledger {
    talks: Vec<Talk>,
    /// In the order of `talks`.
    transcripts: Vec<Vec<Line>>,
}

/// A ticket in either system.
struct Made {
    title: String,
    number: String,
    key: String,
}

impl Ledger {
    /// Of these conversations.
    pub fn new(talks: Vec<Talk>) -> Ledger {
        Ledger { talks, transcripts: Vec::new() }
    }

    /// Turns that we know of: those of messages, and those of webhooks.
    pub fn turns(&self) -> (usize, usize) {
        let turns = |of_message: bool| -> usize {
            let lines = self.transcripts.iter().flatten();
            let asked = lines.filter(|line| if of_message { line.from == "visitor" } else { line.from == "event" });
            asked.map(|line| (&line.conversation, line.turn)).collect::<BTreeSet<_>>().len()
        };
        (turns(true), turns(false))
    }

    /// The conversations with a bot.
    pub fn ids(&self, bot: &str) -> Vec<&str> {
        let talks = self.talks.iter().filter(|talk| talk.kind.bot() == bot);
        talks.flat_map(|talk| talk.ids.iter().map(String::as_str)).collect()
    }

    /// Reads the transcripts when nothing goes on any more: nobody writes to the help desk, and accepted webhooks are told or
    /// late beyond reason. What comes twice comes late, so it is waited for once more.
    ///
    /// # Errors
    /// When a transcript can't be read.
    pub async fn read_when_quiet(&mut self, plan: &Plan, door: &Arc<Door>, desk: &Desk) -> Result<()> {
        let quiet = || async { Ok((desk.idle() >= plan.quiet).then_some(())) };
        until("the help desk is left alone", GETS_QUIET, quiet).await?;
        let began = Instant::now();
        loop {
            self.read(plan, door).await?;
            let missing = self.with_events().filter(|(told, _)| *told == 0).count();
            if missing == 0 || began.elapsed() >= GETS_QUIET {
                break;
            }
            eprintln!("  {missing} accepted webhooks are not told yet");
            tokio::time::sleep(plan.quiet).await;
        }
        tokio::time::sleep(plan.settle).await;
        until("the help desk is left alone", GETS_QUIET, quiet).await?;
        self.read(plan, door).await
    }

    async fn read(&mut self, plan: &Plan, door: &Arc<Door>) -> Result<()> {
        let reads: Vec<_> = self
            .talks
            .iter()
            .map(|talk| {
                let (bot, ids, door) = (talk.kind.bot(), talk.ids.clone(), door.clone());
                let mut dice = dice(plan.seed, "read", talk.number);
                async move {
                    let client = door.any(&mut dice).context("no hosts")?;
                    let mut lines = Vec::new();
                    for id in ids {
                        lines.extend(transcript(client, bot, &id).await?);
                    }
                    anyhow::Ok(lines)
                }
            })
            .collect();
        self.transcripts = futures::stream::iter(reads).buffered(READERS).try_collect().await?;
        Ok(())
    }

    fn with_transcripts(&self) -> impl Iterator<Item = (&Talk, &[Line])> {
        self.talks.iter().zip(self.transcripts.iter().map(Vec::as_slice))
    }

    /// Accepted webhooks, with how often each is told.
    fn with_events(&self) -> impl Iterator<Item = (usize, &str)> {
        self.with_transcripts().filter_map(|(talk, lines)| {
            let event = talk.event.as_ref().filter(|event| event.accepted())?;
            let texts: Vec<&str> =
                lines.iter().filter(|line| line.from == "bot").map(|line| line.text.as_str()).collect();
            Some((event.told(&texts), event.order.as_str()))
        })
    }

    /// Turns: none lost, none doubled, none in another place, and each answered as it was answered.
    pub fn conversations(&self, report: &mut Report) {
        let sent = || self.talks.iter().flat_map(|talk| &talk.sent);
        let found: usize = self.transcripts.iter().flatten().filter(|line| line.from == "visitor").count();
        report.count("messages", sent().count());
        report.count("  of these sent twice under their key", sent().filter(|sent| sent.delivered.len() > 1).count());
        report.count(
            "  of these sent before the one before was answered",
            self.talks.iter().map(together).sum::<usize>(),
        );
        report.count("  acknowledged", sent().filter(|sent| sent.response().is_some()).count());
        report.count("  in transcripts", found);
        report.count(
            "messages not sent, since one before was given up",
            self.talks.iter().map(|talk| talk.unsent).sum::<usize>(),
        );
        for (talk, lines) in self.with_transcripts() {
            let who = format!("{} {}", talk.kind.bot(), talk.number);
            if talk.ids.len() > 1 {
                report.wrong(Wrong::Split, format!("{who}: {:?}", talk.ids));
            }
            for sent in &talk.sent {
                answers(sent, &who, report);
                turns(sent, lines, &who, report);
            }
            order(talk, lines, &who, report);
            counted(talk, &who, report);
            let own: BTreeSet<&str> = talk.sent.iter().map(|sent| sent.message.text.as_str()).collect();
            for line in lines.iter().filter(|line| line.from == "visitor" && !own.contains(line.text.as_str())) {
                report.wrong(Wrong::Foreign, format!("{who} has `{}`", line.text));
            }
        }
    }

    /// Tickets: those that were answered are there, each once.
    ///
    /// # Errors
    /// When a system can't be looked into.
    pub async fn tickets(&self, desk: &Desk, rt: Option<&RequestTracker>, report: &mut Report) -> Result<()> {
        let made: Vec<Made> = desk
            .tickets()?
            .into_iter()
            .map(|t| Made { title: t.title, number: t.number, key: t.external_id })
            .collect();
        let done = desk.done()?;
        self.tickets_of(Kind::Desk, "help desk", &made, done.dropped, report);
        report.count("  searches before a write", done.searches);
        report.count("  of these found what an earlier try made", done.found);
        report.count("  writes whose answer the help desk lost", done.dropped);
        if done.refused > 0 {
            report.wrong(Wrong::DeskRefused, format!("{} requests", done.refused));
        }
        if let Some(rt) = rt {
            let text = |row: &Value, at: usize| row[at].as_str().map_or_else(|| row[at].to_string(), str::to_owned);
            let rows = rt.rows(RT_TICKETS, &[]).await?;
            let made: Vec<Made> =
                rows.iter().map(|row| Made { number: text(row, 0), title: text(row, 1), key: text(row, 2) }).collect();
            // Slow as it is under this load, it may not have answered within the time.
            self.tickets_of(Kind::Tracker, "Request Tracker", &made, u64::MAX, report);
        }
        Ok(())
    }

    /// `lost` answers to writes may not have been heard.
    fn tickets_of(&self, kind: Kind, system: &str, made: &[Made], lost: u64, report: &mut Report) {
        let mut by_title: BTreeMap<&str, Vec<&Made>> = BTreeMap::new();
        let mut by_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for made in made {
            by_title.entry(&made.title).or_default().push(made);
            by_key.entry(&made.key).or_default().insert(&made.title);
        }
        let (mut acknowledged, mut doubtful, mut doubtful_made) = (0, 0_u64, 0);
        for sent in self.talks.iter().filter(|talk| talk.kind == kind).flat_map(|talk| &talk.sent) {
            let Expected::Tickets(count) = sent.message.expected else { continue };
            let said = sent.response().map(|response| script::read(&sent.message, response));
            for (index, title) in TITLES.iter().take(count).enumerate() {
                let title = format!("{} {title}", sent.message.marker);
                let there = by_title.remove(title.as_str()).unwrap_or_default();
                let numbers: Vec<&str> = there.iter().map(|made| made.number.as_str()).collect();
                if there.len() > 1 {
                    let keys: BTreeSet<&str> = there.iter().map(|made| made.key.as_str()).collect();
                    report.wrong(
                        Wrong::TicketDoubled,
                        format!("{system}: `{title}` is {numbers:?} under {} keys", keys.len()),
                    );
                }
                match &said {
                    Some(Said::Expected(answered)) => match answered.get(index).cloned().flatten() {
                        Some(number) if there.is_empty() => {
                            report.wrong(Wrong::TicketLost, format!("{system}: `{title}` was answered as {number}"));
                            acknowledged += 1;
                        }
                        Some(number) => {
                            acknowledged += 1;
                            if !numbers.contains(&number.as_str()) {
                                report.wrong(
                                    Wrong::TicketNumber,
                                    format!("{system}: `{title}` is {numbers:?}, answered {number}"),
                                );
                            }
                        }
                        None => {
                            doubtful += 1;
                            // What it says of an answer that the system lost is right; any other is an excuse.
                            if doubtful > lost {
                                let response = sent.response().unwrap_or_default();
                                report.wrong(Wrong::Doubtful, format!("{system}: one of more than {lost}: {response}"));
                            }
                            doubtful_made += usize::from(!there.is_empty());
                        }
                    },
                    Some(_) if !there.is_empty() => {
                        report.wrong(
                            Wrong::TicketOrphaned,
                            format!("{system}: {numbers:?} `{title}` was never answered"),
                        );
                    }
                    Some(_) | None => {}
                }
            }
        }
        for (title, there) in by_title {
            report.wrong(Wrong::TicketOrphaned, format!("{system}: nobody asked for `{title}` ({})", there.len()));
        }
        for (key, titles) in by_key.iter().filter(|(key, titles)| !key.is_empty() && titles.len() > 1) {
            report.wrong(Wrong::KeyReused, format!("{system}: {key} is of {titles:?}"));
        }
        report.count(&format!("tickets in the {system}"), made.len());
        report.count("  acknowledged", acknowledged);
        report.count("  the bot said that it can't tell", doubtful);
        report.count("  of these made", doubtful_made);
    }

    /// Webhooks: every accepted one is told once.
    pub fn events(&self, report: &mut Report) {
        let events = || self.talks.iter().filter_map(|talk| talk.event.as_ref());
        report.count("webhooks", events().count());
        report.count(
            "  of these posted twice under their id",
            events().filter(|event| event.delivered.len() > 1).count(),
        );
        report.count("  accepted", events().filter(|event| event.accepted()).count());
        report.count("  told once", self.with_events().filter(|(told, _)| *told == 1).count());
        for event in events() {
            for delivered in &event.delivered {
                match delivered {
                    Delivered::Refused(why) => report.wrong(Wrong::EventRefused, format!("{}: {why}", event.order)),
                    Delivered::GaveUp(why) => report.wrong(Wrong::EventUnanswered, format!("{}: {why}", event.order)),
                    Delivered::Answered { .. } => {}
                }
            }
        }
        for (told, order) in self.with_events().filter(|(told, _)| *told != 1) {
            let wrong = if told == 0 { Wrong::EventLost } else { Wrong::EventDoubled };
            report.wrong(wrong, format!("{order} is told {told} times"));
        }
    }
}

/// Messages that went together with the one before.
fn together(talk: &Talk) -> usize {
    talk.sent.windows(2).filter(|two| matches!(two, [one, two] if one.step == two.step)).count()
}

fn answers(sent: &Sent, who: &str, report: &mut Report) {
    let text = &sent.message.text;
    for delivered in &sent.delivered {
        match delivered {
            Delivered::Refused(why) => report.wrong(Wrong::Refused, format!("{who}: `{text}`: {why}")),
            Delivered::GaveUp(why) => report.wrong(Wrong::Unanswered, format!("{who}: `{text}`: {why}")),
            Delivered::Answered { .. } => {}
        }
    }
    let fields = |answer: &Value| ["turn_id", "conversation_id", "response"].map(|name| answer[name].clone());
    let different: BTreeSet<String> = sent.answers().map(|answer| format!("{:?}", fields(answer))).collect();
    if different.len() > 1 {
        report.wrong(Wrong::Differing, format!("{who}: `{text}`: {different:?}"));
    }
    if let Some(response) = sent.response()
        && script::read(&sent.message, response) == Said::Other
    {
        report.wrong(Wrong::Answer, format!("{who}: `{text}` was answered `{response}`"));
    }
}

fn turns(sent: &Sent, lines: &[Line], who: &str, report: &mut Report) {
    let text = &sent.message.text;
    let asked: Vec<&Line> = lines.iter().filter(|line| line.from == "visitor" && line.text == *text).collect();
    if asked.len() > 1 {
        report.wrong(Wrong::TurnDoubled, format!("{who}: `{text}` is there {} times", asked.len()));
    }
    let Some(response) = sent.response() else { return };
    let Some(asked) = asked.first() else {
        report.wrong(Wrong::TurnLost, format!("{who}: `{text}` was answered and is not there"));
        return;
    };
    let said = lines.iter().filter(|line| line.turn == asked.turn && line.conversation == asked.conversation);
    let said: Vec<&str> =
        said.filter(|line| line.from == "bot" && !line.text.is_empty()).map(|line| line.text.as_str()).collect();
    if said.join("\n") != response {
        report.wrong(Wrong::Unlike, format!("{who}: `{text}` was answered `{response}`, the transcript has {said:?}"));
    }
}

/// What was sent after an answer stands behind it.
fn order(talk: &Talk, lines: &[Line], who: &str, report: &mut Report) {
    let place = |sent: &Sent| lines.iter().position(|line| line.from == "visitor" && line.text == sent.message.text);
    let (mut step, mut before, mut last) = (0, None, None);
    for sent in &talk.sent {
        if sent.step != step {
            (step, before) = (sent.step, last.max(before));
        }
        let Some(here) = place(sent) else { continue };
        if before.is_some_and(|before| here < before) {
            report
                .wrong(Wrong::Reordered, format!("{who}: `{}` stands before what was sent earlier", sent.message.text));
        }
        last = last.max(Some(here));
    }
}

/// The bot counts what it heard: its state has to have grown with each turn, once.
fn counted(talk: &Talk, who: &str, report: &mut Report) {
    let Some(last) = talk.sent.last().filter(|last| last.message.expected == Expected::Count) else { return };
    if let Some(Said::Count(count)) = last.response().map(|response| script::read(&last.message, response))
        && count != talk.sent.len()
    {
        report.wrong(Wrong::State, format!("{who}: the bot counted {count} messages, {} were sent", talk.sent.len()));
    }
}

async fn transcript(client: &Client, bot: &str, id: &str) -> Result<Vec<Line>> {
    let (mut lines, mut after) = (Vec::new(), 0);
    loop {
        let answer = client.get(&format!("/api/conversations/{id}?bot={bot}&after={after}&limit=200")).await?;
        if answer.status == 404 {
            // That it is not there is found by those who look for its turns.
            return Ok(lines);
        }
        let page = answer.json().with_context(|| format!("the transcript of {id}"))?;
        let messages = page["messages"].as_array().with_context(|| format!("no messages: {page}"))?;
        let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
        for message in messages {
            let turn = message["turn"].as_u64().with_context(|| format!("no turn: {message}"))?;
            lines.push(Line {
                conversation: id.to_owned(),
                turn,
                from: text(message, "from"),
                text: text(message, "text"),
            });
        }
        match page["after"].as_u64() {
            None => return Ok(lines),
            Some(next) => {
                ensure!(next > after, "the pages of {id} do not go on");
                after = next;
            }
        }
    }
}

#[cfg(test)]
mod tests;
