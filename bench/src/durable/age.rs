//! Whether a conversation gets slower as it gets older.
//!
//! One conversation with 20,000 past turns, and ones with ten, are spoken to in turn by one client, turn for turn. Its first ten turns
//! are real; the store is given the others as copies of those (transcript entry, record, head), each as a commit of its own,
//! while no server runs. Young conversations have ten turns before they are measured, ten that are, and make place for the next.
//! Both stores are in memory: a disk's sync would hide what age costs.

use super::world::{TENANT, World};
use super::{Options, median_of};
use crate::load::{Talk, at_ms};
use crate::targets::Redis;
use anyhow::{Context, Result, bail, ensure};
use confab_store::{BeginTurn, Begun, ConversationKey, TurnCommit};
use std::path::Path;
use std::time::{Duration, Instant};

/// Past turns of a young conversation, and how many more are measured.
const YOUNG: u64 = 10;
const HELLO: &str = "Hello there, how are you today?";
const DAY: Duration = Duration::from_secs(86_400);
/// Seconds of a round for one of load: a turn of one client, two conversations, and half of them not measured.
const LONGER: f64 = 2.0;

/// Milliseconds.
struct Round {
    old: (f64, f64),
    young: (f64, f64),
}

pub(super) async fn report(world: &World, options: &Options) -> Result<()> {
    ensure!(options.past > YOUNG, "--past is more than {YOUNG}");
    println!(
        "\nA conversation's age: {:<43} {:>8} {:>8} {:>8} {:>8} {:>10} {:>10}",
        "", "old p50", "p99 ms", "new p50", "p99 ms", "p50 ratio", "p99 ratio"
    );
    for name in ["embedded", "Redis"] {
        let data = in_memory()?;
        let redis = (name == "Redis").then(|| Redis::start(false)).transpose()?;
        let mut old = None;
        {
            let server = world.serve(data.path(), redis.as_ref(), &[])?;
            let mut talk = Talk::open(&server.address, &server.key, Some("echo")).await?;
            for _ in 0..YOUNG {
                good(&mut talk, &mut old).await?;
            }
        }
        let began = Instant::now();
        let id = old.clone().context("no conversation")?;
        grow(data.path(), redis.as_ref(), &id, options.past).await?;
        eprintln!("age, {name}: {} turns in {:.1} s", options.past, began.elapsed().as_secs_f64());
        let server = world.serve(data.path(), redis.as_ref(), &[])?;
        let mut talk = Talk::open(&server.address, &server.key, Some("echo")).await?;
        good(&mut talk, &mut old).await?;
        let said = talk.answer()?.response;
        ensure!(said.starts_with(&format!("{}: ", YOUNG + 1)), "the old conversation forgot its state: {said}");
        let mut rounds = Vec::new();
        measure(&mut talk, &mut old, Duration::from_secs_f64(0.5)).await?;
        for _ in 0..options.rounds {
            rounds.push(measure(&mut talk, &mut old, Duration::from_secs_f64(options.seconds * LONGER)).await?);
        }
        println!(
            "  {:<63} {:>8.2} {:>8.2} {:>8.2} {:>8.2} {:>9.3}x {:>9.3}x",
            format!("{name}: {} past turns beside {YOUNG}", options.past),
            median_of(&rounds, |round| round.old.0),
            median_of(&rounds, |round| round.old.1),
            median_of(&rounds, |round| round.young.0),
            median_of(&rounds, |round| round.young.1),
            median_of(&rounds, |round| round.old.0 / round.young.0),
            median_of(&rounds, |round| round.old.1 / round.young.1),
        );
    }
    println!(
        "\nMedians of the rounds; one client, turn for turn. Goal: 1.05x at most. The stores are in memory, where there is such a place."
    );
    Ok(())
}

fn in_memory() -> Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?)
}

async fn good(talk: &mut Talk, conversation: &mut Option<String>) -> Result<Duration> {
    let (took, good) = talk.say(HELLO, conversation).await?;
    ensure!(good, "a turn was not answered");
    Ok(took)
}

/// Gives a conversation more past turns, by copies of those that it has.
async fn grow(data: &Path, redis: Option<&Redis>, id: &str, past: u64) -> Result<()> {
    let url = redis.map_or_else(|| format!("embedded:{}", data.join("store").display()), |redis| redis.url.clone());
    let store = confab_store::open(&url).await?;
    let key = ConversationKey::new(TENANT, "echo", id);
    let mut models = Vec::new();
    for (number, entry) in store.transcript(&key, 0, usize::MAX).await? {
        let record = store.turn_record(&key, number).await?.context("a turn without a record")?;
        models.push((entry, record));
    }
    ensure!(models.len() as u64 == YOUNG, "{} turns were stored of {YOUNG}", models.len());
    // A server that was killed may have the lock still: it was not in a turn, so it has not.
    let begin =
        BeginTurn { wait: Duration::from_secs(5), hold: Duration::from_secs(600), most_waiting: 1, answer_key: None };
    let Begun::Open(open) = store.begin_turn(&key, begin).await? else { bail!("answered without a key") };
    let head = open.head.context("no head")?;
    let (mut turns, mut lease) = (open.turns, Some(open.lease));
    for (entry, record) in models.iter().cycle() {
        let Some(open) = lease.take() else { break };
        let commit = TurnCommit {
            head: head.clone(),
            entries: vec![entry.clone()],
            expires_in: DAY,
            record: Some(record.clone()),
            keep: turns + 1 < past,
            ..TurnCommit::default()
        };
        let committed = store.commit_turn(open, commit).await?;
        (turns, lease) = (committed.turns, committed.lease);
    }
    store.close().await;
    ensure!(turns == past, "{turns} turns instead of {past}");
    Ok(())
}

/// The old conversation and young ones, turn for turn.
async fn measure(talk: &mut Talk, old: &mut Option<String>, length: Duration) -> Result<Round> {
    let until = Instant::now() + length;
    let (mut olds, mut youngs) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let mut young = None;
        for turn in 0..2 * YOUNG {
            // Who comes first changes.
            let (a, b) = if turn % 2 == 0 {
                let a = good(talk, old).await?;
                (a, good(talk, &mut young).await?)
            } else {
                let b = good(talk, &mut young).await?;
                (good(talk, old).await?, b)
            };
            if turn >= YOUNG {
                olds.push(a);
                youngs.push(b);
            }
        }
    }
    olds.sort_unstable();
    youngs.sort_unstable();
    let both = |sorted: &[Duration]| (at_ms(sorted, 0.5), at_ms(sorted, 0.99));
    Ok(Round { old: both(&olds), young: both(&youngs) })
}
