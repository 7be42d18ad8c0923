//! Chaos: conversations, webhooks and writes to business systems go on while hosts are killed. Afterwards everything that was
//! promised is held against what is there.
//!
//! | module | what it holds |
//! |---|---|
//! | [`script`] | what visitors say, the bot that answers, and what its answers must look like |
//! | [`desk`] | a strict help desk: makes what it is told to make, every time, and loses some answers |
//! | [`machines`] | the hosts and their Redis, and who kills them |
//! | [`door`] | one request to one of the hosts, with its key, until it is answered |
//! | [`visitor`] | one conversation, with messages that are sent twice and messages that do not wait |
//! | [`events`] | webhooks that are posted meanwhile |
//! | [`check`] | transcripts and systems against what was answered |
//! | [`replay`] | every turn again, from its journal |
//! | [`report`] | the counts, and which of them must be zero |
//! | [`dice`] | chance that can be had again |
//!
//! A visitor here is what a careful client is: each message has an `Idempotency-Key`, and while no answer comes it is sent again
//! under the same key to whichever host. All that is checked is what such a client may rely on; nothing looks into a host.

pub mod check;
pub mod desk;
pub mod dice;
pub mod door;
pub mod events;
pub mod machines;
pub mod replay;
pub mod report;
pub mod script;
pub mod visitor;

use crate::chaos::check::Ledger;
use crate::chaos::desk::Desk;
use crate::chaos::dice::Dice;
use crate::chaos::door::Door;
use crate::chaos::machines::Machines;
use crate::chaos::report::{Report, Wrong};
use crate::chaos::script::Kind;
use crate::folder::Folder;
use crate::systems::request_tracker::{self, RequestTracker};
use anyhow::{Context, Result};
use futures::StreamExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The tenant of it all.
pub const TENANT: &str = "chaos";
/// Conversations with Request Tracker at once: it has two workers, and takes half a second for a request.
const RT_AT_ONCE: usize = 2;
/// How often the operator hears how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Where conversations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the one host's own directory.
    Embedded,
    /// In a Redis that all hosts share, and that is killed once as well.
    Redis,
}

/// What is to happen.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where conversations are kept.
    pub store: Store,
    /// Hosts; the embedded store has one.
    pub hosts: usize,
    /// Conversations with the strict help desk behind the bot.
    pub conversations: usize,
    /// Conversations with a real Request Tracker behind it; none when it is not installed.
    pub rt_conversations: usize,
    /// Conversations at once.
    pub at_once: usize,
    /// How long a visitor thinks before the next message, on average.
    pub think: Duration,
    /// Time between two kills, on average.
    pub kill_every: Duration,
    /// How long a host stays down: between these.
    pub down: (Duration, Duration),
    /// Share of messages and webhooks that are sent twice.
    pub twice: f64,
    /// Share of messages that the next one does not wait for.
    pub together: f64,
    /// Share of conversations that a webhook is about.
    pub events: f64,
    /// After this long without an answer a client gives up, and the message is lost.
    pub give_up: Duration,
    /// How long nothing may have reached the help desk until the house is taken for quiet.
    pub quiet: Duration,
    /// How long something that comes a second time may take: longer than until another host takes over what one had begun.
    pub settle: Duration,
    /// What chance begins with.
    pub seed: u64,
}

impl Plan {
    /// The proof: 2,000 conversations.
    pub fn whole(store: Store) -> Plan {
        Plan {
            store,
            hosts: if store == Store::Redis { 3 } else { 1 },
            conversations: 2_000,
            rt_conversations: 60,
            at_once: 100,
            think: Duration::from_millis(500),
            kill_every: Duration::from_secs(4),
            down: (Duration::from_secs(1), Duration::from_secs(3)),
            twice: 0.05,
            together: 0.05,
            events: 0.5,
            give_up: Duration::from_secs(120),
            quiet: Duration::from_secs(5),
            settle: Duration::from_secs(45),
            seed: 1,
        }
    }

    /// The same in little, for the test suite: 40 conversations and a kill or two.
    pub fn small(store: Store) -> Plan {
        Plan {
            conversations: 40,
            rt_conversations: 0,
            at_once: 20,
            think: Duration::from_millis(500),
            kill_every: Duration::from_millis(1_500),
            down: (Duration::from_millis(300), Duration::from_secs(1)),
            // Of so few there would be none otherwise.
            twice: 0.15,
            together: 0.15,
            quiet: Duration::from_secs(2),
            settle: Duration::from_secs(2),
            ..Plan::whole(store)
        }
    }
}

/// Does it all, and says what came of it.
///
/// # Errors
/// When it can't be done: something is not installed or does not start. What goes wrong in the house stands in the report.
pub async fn run(plan: Plan) -> Result<Report> {
    let began = Instant::now();
    let mut report = Report::new(&plan);
    let desk = Desk::start(plan.seed).await?;
    let rt = match plan.rt_conversations {
        0 => None,
        _ if !request_tracker::installed() => {
            report.note("Request Tracker is not installed (make test-systems does it): LEFT OUT");
            None
        }
        _ => Some(RequestTracker::start().await?),
    };
    let folder = Folder::of(TENANT)?;
    script::furnish(&folder, &desk, rt.as_ref(), plan.events > 0.0)?;
    let machines = Machines::start(&plan, &folder, &desk, rt.as_ref()).await?;
    let door = Arc::new(Door::new(machines.clients().await?, plan.give_up));
    machines.warm(&door).await?;

    eprintln!("{} hosts are up; {} conversations begin", plan.hosts, plan.conversations);
    let done = Arc::new(AtomicUsize::new(0));
    let (stop, stopped) = watch::channel(false);
    let haunting = tokio::spawn(machines.haunt(plan.clone(), done.clone(), stopped.clone()));
    let telling = tokio::spawn(tell(plan.conversations, done.clone(), door.clone()));
    let plan = Arc::new(plan);
    let talks = |kind: Kind, count: usize, at_once: usize| {
        let (plan, door, done) = (plan.clone(), door.clone(), done.clone());
        futures::stream::iter(0..count)
            .map(move |number| {
                let talk = visitor::converse(plan.clone(), door.clone(), kind, number);
                let done = done.clone();
                tokio::spawn(async move {
                    let talk = talk.await;
                    done.fetch_add(usize::from(kind == Kind::Desk), Ordering::Relaxed);
                    talk
                })
            })
            .buffer_unordered(at_once)
            .collect::<Vec<_>>()
    };
    let rt_count = if rt.is_some() { plan.rt_conversations } else { 0 };
    let (mut talked, on_rt) =
        tokio::join!(talks(Kind::Desk, plan.conversations, plan.at_once), talks(Kind::Tracker, rt_count, RT_AT_ONCE));
    talked.extend(on_rt);
    let talked = talked.into_iter().collect::<Result<Vec<_>, _>>().context("a visitor panicked")?;
    stop.send_replace(true);
    telling.abort();
    let mut machines = haunting.await.context("who kills hosts panicked")??;
    machines.all_up().await?;
    report.talking(began.elapsed(), &door, &machines);

    eprintln!("everybody is answered or has given up; waiting for quiet");
    let mut ledger = Ledger::new(talked);
    ledger.read_when_quiet(&plan, &door, &desk).await?;
    eprintln!("comparing");
    ledger.conversations(&mut report);
    ledger.tickets(&desk, rt.as_ref(), &mut report).await?;
    ledger.events(&mut report);
    for (host, log) in machines.ended_by_themselves() {
        report.wrong(Wrong::HostEnded, format!("host {host}: {log}"));
    }
    if machines.kills() == 0 {
        report.wrong(Wrong::NothingKilled, "the run was too short for a kill".to_owned());
    }
    if plan.store == Store::Redis && machines.redis_kills() == 0 {
        report.wrong(Wrong::NothingKilled, "the run was too short for Redis to be killed".to_owned());
    }
    replay::run(&machines, &ledger, &mut report).await?;
    report.took(began.elapsed());
    if report.failed() {
        report.keep_logs(&machines)?;
    }
    Ok(report)
}

async fn tell(of: usize, done: Arc<AtomicUsize>, door: Arc<Door>) {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let tries = door.tally.total();
        eprintln!("  {} of {of} conversations, {tries} requests and retries", done.load(Ordering::Relaxed));
    }
}

/// Chance for one thing of many: the same at each run.
fn dice(seed: u64, of: &str, number: usize) -> Dice {
    Dice::new(seed, of, number as u64)
}
