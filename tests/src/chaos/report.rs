//! The counts, and which of them must be zero.

use super::door::Door;
use super::machines::Machines;
use super::{Plan, Store};
use crate::place;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Examples that are shown of each thing that is wrong.
const EXAMPLES: usize = 5;

/// What must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// An answered message is in no transcript.
    TurnLost,
    /// A message is in the transcript more than once.
    TurnDoubled,
    /// A message stands before one that was answered before it was sent.
    Reordered,
    /// A message that nobody sent.
    Foreign,
    /// The transcript has another answer than the visitor.
    Unlike,
    /// The bot's own count of messages is not theirs.
    State,
    /// A message that began a conversation began several.
    Split,
    /// The same key was answered in two ways.
    Differing,
    /// An answer that does not belong to the message, or is an excuse.
    Answer,
    /// No answer in all the time.
    Unanswered,
    /// A message was refused.
    Refused,
    /// A ticket is in the system more than once.
    TicketDoubled,
    /// A ticket was answered and is not in the system.
    TicketLost,
    /// A ticket's number was answered wrongly.
    TicketNumber,
    /// A ticket of which nobody was told.
    TicketOrphaned,
    /// The bot could not tell of a ticket although its system had answered.
    Doubtful,
    /// Two different writes had the same key.
    KeyReused,
    /// The help desk got requests that it does not take.
    DeskRefused,
    /// An accepted webhook is not told.
    EventLost,
    /// An accepted webhook is told more than once.
    EventDoubled,
    /// A webhook was refused.
    EventRefused,
    /// A webhook got no answer in all the time.
    EventUnanswered,
    /// A turn came out differently when it was replayed.
    ReplayDifferent,
    /// A turn that can't be replayed.
    ReplayWithout,
    /// There are more or fewer turns in the journals than in the transcripts.
    ReplayTurns,
    /// Replay itself does not work.
    NoReplay,
    /// A host ended without being killed.
    HostEnded,
    /// No host was killed, or Redis was not: the run shows nothing.
    NothingKilled,
}

impl Wrong {
    /// All, as they are printed.
    const ALL: [(Wrong, &str); 28] = [
        (Wrong::TurnLost, "acknowledged turns lost"),
        (Wrong::TurnDoubled, "turns doubled"),
        (Wrong::Reordered, "turns reordered"),
        (Wrong::Foreign, "turns that nobody sent"),
        (Wrong::Unlike, "transcripts unlike the answer"),
        (Wrong::State, "states that miss a turn or have it twice"),
        (Wrong::Split, "first messages that began several conversations"),
        (Wrong::Differing, "keys answered in two ways"),
        (Wrong::Answer, "answers of another message, or excuses"),
        (Wrong::Unanswered, "messages never answered"),
        (Wrong::Refused, "messages refused"),
        (Wrong::TicketDoubled, "tickets doubled in the target systems"),
        (Wrong::TicketLost, "acknowledged tickets that are not there"),
        (Wrong::TicketNumber, "tickets answered with another number"),
        (Wrong::TicketOrphaned, "tickets that nobody was told of"),
        (Wrong::Doubtful, "tickets not told of though the system answered"),
        (Wrong::KeyReused, "idempotency keys of two writes"),
        (Wrong::DeskRefused, "requests that the help desk does not take"),
        (Wrong::EventLost, "accepted webhooks lost"),
        (Wrong::EventDoubled, "accepted webhooks processed twice"),
        (Wrong::EventRefused, "webhooks refused"),
        (Wrong::EventUnanswered, "webhooks never answered"),
        (Wrong::ReplayDifferent, "turns whose replay differs"),
        (Wrong::ReplayWithout, "turns without a record to replay"),
        (Wrong::ReplayTurns, "replay and transcripts of different length"),
        (Wrong::NoReplay, "replay that does not work"),
        (Wrong::HostEnded, "hosts that ended by themselves"),
        (Wrong::NothingKilled, "runs without the kills that are due"),
    ];
}

/// What came of a run.
#[derive(Debug)]
pub struct Report {
    title: String,
    notes: Vec<String>,
    counts: Vec<(String, u64)>,
    wrong: BTreeMap<Wrong, (u64, Vec<String>)>,
    logs: Option<String>,
}

impl Report {
    /// Of a run that begins.
    pub fn new(plan: &Plan) -> Report {
        let house = match plan.store {
            Store::Embedded => "one host with the embedded store".to_owned(),
            Store::Redis => format!("{} hosts on one Redis", plan.hosts),
        };
        let title = format!("chaos: {house}, {} conversations, seed {}", plan.conversations, plan.seed);
        Report { title, notes: Vec::new(), counts: Vec::new(), wrong: BTreeMap::new(), logs: None }
    }

    /// Something that the reader must know.
    pub fn note(&mut self, words: &str) {
        self.notes.push(words.to_owned());
    }

    /// A count that may be anything.
    pub fn count(&mut self, what: &str, count: impl TryInto<u64>) {
        self.counts.push((what.to_owned(), count.try_into().unwrap_or(u64::MAX)));
    }

    /// Something that must not be.
    pub fn wrong(&mut self, what: Wrong, example: String) {
        self.wrong_times(what, 1, example);
    }

    /// So many of them.
    pub fn wrong_times(&mut self, what: Wrong, times: u64, example: String) {
        let (count, examples) = self.wrong.entry(what).or_default();
        *count += times;
        if examples.len() < EXAMPLES && !example.is_empty() {
            examples.push(example);
        }
    }

    /// How it went until the last answer.
    pub fn talking(&mut self, time: Duration, door: &Door, machines: &Machines) {
        self.count("seconds until the last answer", time.as_secs());
        self.count("hosts killed (kill -9)", machines.kills());
        self.count("Redis killed (kill -9)", machines.redis_kills());
        self.count("starts tried again", machines.starts_failed());
        self.count(
            "milliseconds of the slowest start",
            u64::try_from(machines.slowest_start().as_millis()).unwrap_or(u64::MAX),
        );
        for (what, count) in door.tally.counts() {
            self.count(&format!("requests {what}"), count);
        }
    }

    /// How long it took in all.
    pub fn took(&mut self, time: Duration) {
        self.count("seconds in all", time.as_secs());
    }

    /// Everything that is wrong.
    pub fn found(&self) -> Vec<Wrong> {
        self.wrong.keys().copied().collect()
    }

    /// Whether anything is wrong.
    pub fn failed(&self) -> bool {
        !self.wrong.is_empty()
    }

    /// Keeps the hosts' logs for whoever has to find out why.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn keep_logs(&mut self, machines: &Machines) -> Result<()> {
        let dir = place::root().join("target/chaos");
        std::fs::create_dir_all(&dir)?;
        for (number, host) in machines.hosts().iter().enumerate() {
            std::fs::write(dir.join(format!("host-{number}.log")), host.log()?)?;
        }
        self.logs = Some(dir.display().to_string());
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for note in &self.notes {
            writeln!(f, "  NOTE: {note}")?;
        }
        for (what, count) in &self.counts {
            writeln!(f, "  {what:<58} {count:>8}")?;
        }
        writeln!(f, "  must be zero:")?;
        for (wrong, what) in Wrong::ALL {
            let (count, examples) = self.wrong.get(&wrong).cloned().unwrap_or_default();
            writeln!(f, "    {what:<56} {count:>8}{}", if count > 0 { "  WRONG" } else { "" })?;
            for example in examples {
                writeln!(f, "      {example}")?;
            }
        }
        if let Some(logs) = &self.logs {
            writeln!(f, "  logs of the hosts: {logs}")?;
        }
        write!(f, "  {}", if self.failed() { "FAILED" } else { "passed" })
    }
}
