//! Durable turns: what a turn that was never committed leaves to the next, the lock that is kept or renewed, and the
//! work that is written with a turn.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use confab_store::{
    BeginTurn, ConversationKey, JournalNote, Lease, Once, Push, Store, StoreError, TurnCommit, Unfinished,
};

use crate::harness::{LONG, Turns as _, answer, bytes, commit, key, options, turn};
use crate::lanes::{push, take_one};

type Shared = Arc<dyn Store>;

/// A hold that is over soon.
const SOON: Duration = Duration::from_millis(50);

fn begins(turn: &str, entries: &[&str]) -> JournalNote {
    JournalNote { turn: Some(bytes(turn)), ..goes_on(entries) }
}

fn goes_on(entries: &[&str]) -> JournalNote {
    JournalNote { turn: None, entries: entries.iter().map(|entry| bytes(*entry)).collect(), pushes: Vec::new() }
}

fn unfinished(turn: &str, entries: &[&str]) -> Option<Unfinished> {
    Some(Unfinished { turn: bytes(turn), entries: entries.iter().map(|entry| bytes(*entry)).collect() })
}

/// Begins a turn that can be taken over soon.
async fn brief(store: &Shared, key: &ConversationKey) -> Lease {
    store.open_turn(key, BeginTurn { hold: SOON, ..options() }).await.unwrap().lease
}

pub(crate) async fn a_turn_that_lost_its_lock_is_found_by_the_next(store: Shared) {
    let key = key("c");
    turn(&*store, &key, commit("before", &[])).await;
    let first = brief(&store, &key).await;
    store.journal(&first, begins("first", &["1", "2"])).await.unwrap();
    store.journal(&first, goes_on(&[])).await.unwrap();
    store.journal(&first, goes_on(&["3"])).await.unwrap();

    let second = store.open_turn(&key, BeginTurn { hold: SOON, ..options() }).await.unwrap();
    assert_eq!(second.unfinished, unfinished("first", &["1", "2", "3"]));
    assert_eq!((second.head, second.turns), (Some(bytes("before")), 1));
    let late = Push { lane: "late".to_owned(), ..push("late", "x") };
    let note = JournalNote { pushes: vec![late], ..goes_on(&["late"]) };
    assert_eq!(store.journal(&first, note).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.commit_turn(first, commit("late", &[])).await.unwrap_err(), StoreError::LeaseLost);
    // Whoever goes on with it notes what comes next.
    store.journal(&second.lease, goes_on(&["4"])).await.unwrap();

    let third = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(third.unfinished, unfinished("first", &["1", "2", "3", "4"]));
    assert_eq!(store.close_turn(third.lease, commit("done", &["said"])).await.unwrap(), 2);
    let after = store.open_turn(&key, options()).await.unwrap();
    assert_eq!((after.head, after.unfinished), (Some(bytes("done")), None));
    assert!(store.lanes("", 9).await.unwrap().is_empty(), "the late note pushed nothing");
}

pub(crate) async fn a_turn_that_was_abandoned_is_found_too_and_a_new_journal_replaces_it(store: Shared) {
    let key = key("c");
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(open.unfinished, None);
    store.journal(&open.lease, begins("first", &["1"])).await.unwrap();
    store.abandon_turn(open.lease).await;
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(open.unfinished, unfinished("first", &["1"]));
    store.journal(&open.lease, begins("second", &[])).await.unwrap();
    drop(open);
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(open.unfinished, unfinished("second", &[]));
    store.journal(&open.lease, begins("third", &["a", "b"])).await.unwrap();
    store.journal(&open.lease, goes_on(&["c"])).await.unwrap();
    drop(open);
    // Other conversations have nothing of it.
    assert_eq!(store.open_turn(&crate::harness::key("d"), options()).await.unwrap().unfinished, None);
    assert_eq!(store.open_turn(&key, options()).await.unwrap().unfinished, unfinished("third", &["a", "b", "c"]));
}

pub(crate) async fn a_deleted_conversation_has_no_unfinished_turn(store: Shared) {
    let key = key("c");
    turn(&*store, &key, TurnCommit { record: Some(bytes("record")), ..commit("one", &[]) }).await;
    let running = store.open_turn(&key, options()).await.unwrap();
    store.journal(&running.lease, begins("turn", &["1"])).await.unwrap();
    assert!(store.delete_conversation(&key).await.unwrap());
    assert_eq!(store.journal(&running.lease, goes_on(&["2"])).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.renew_turn(&running.lease, LONG).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.turn_record(&key, 1).await.unwrap(), None);
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!((open.head, open.turns, open.unfinished), (None, 0, None));
}

pub(crate) async fn a_kept_lease_commits_again(store: Shared) {
    let key = key("c");
    let open = store.open_turn(&key, options()).await.unwrap();
    store.journal(&open.lease, begins("one", &["1"])).await.unwrap();
    let first = TurnCommit { keep: true, answers: answer("request", "200"), ..commit("one", &["a"]) };
    let committed = store.commit_turn(open.lease, first).await.unwrap();
    assert_eq!(committed.turns, 1);
    let lease = committed.lease.unwrap();
    assert_eq!(store.head(&key).await.unwrap(), Some(bytes("one")));
    assert_eq!(store.answer(&key, "request").await.unwrap(), Some(bytes("200")));
    let refused = store.begin_turn(&key, BeginTurn { wait: Duration::ZERO, ..options() }).await;
    assert_eq!(refused.unwrap_err(), StoreError::Busy);

    store.journal(&lease, begins("two", &["2"])).await.unwrap();
    let second = TurnCommit { keep: true, ..commit("two", &["b"]) };
    let committed = store.commit_turn(lease, second).await.unwrap();
    assert_eq!(committed.turns, 2);
    let committed = store.commit_turn(committed.lease.unwrap(), commit("three", &["c"])).await.unwrap();
    assert_eq!(committed.turns, 3);
    assert!(committed.lease.is_none());

    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!((open.head, open.turns, open.unfinished), (Some(bytes("three")), 3, None));
    assert_eq!(store.transcript(&key, 0, 9).await.unwrap().len(), 3);
    // One that is kept and dropped lets the next turn begin.
    let committed = store.commit_turn(open.lease, TurnCommit { keep: true, ..commit("four", &[]) }).await.unwrap();
    drop(committed);
    assert_eq!(turn(&*store, &key, commit("five", &[])).await, 5);
}

pub(crate) async fn a_kept_lease_can_be_taken_over_after_its_hold(store: Shared) {
    let key = key("c");
    let lease = brief(&store, &key).await;
    let committed = store.commit_turn(lease, TurnCommit { keep: true, ..commit("one", &[]) }).await.unwrap();
    let next = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(next.head, Some(bytes("one")));
    let late = store.commit_turn(committed.lease.unwrap(), commit("late", &[])).await;
    assert_eq!(late.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.close_turn(next.lease, commit("two", &[])).await.unwrap(), 2);
}

pub(crate) async fn a_renewed_turn_is_kept_beyond_its_hold(store: Shared) {
    let key = key("c");
    let lease = brief(&store, &key).await;
    store.renew_turn(&lease, LONG * 10).await.unwrap();
    let refused = store.begin_turn(&key, BeginTurn { wait: SOON * 4, ..options() }).await;
    assert_eq!(refused.unwrap_err(), StoreError::Busy);
    // It can be made shorter as well; then somebody takes over.
    store.renew_turn(&lease, SOON).await.unwrap();
    let next = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(store.renew_turn(&lease, LONG).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.close_turn(next.lease, commit("one", &[])).await.unwrap(), 1);
}

pub(crate) async fn turns_are_recorded_by_their_number(store: Shared) {
    let key = key("c");
    for number in 1..=3 {
        let record = (number != 2).then(|| bytes(format!("record {number}")));
        turn(&*store, &key, TurnCommit { record, ..commit("x", &[]) }).await;
    }
    let mut found = Vec::new();
    for number in 0..=4 {
        found.push(store.turn_record(&key, number).await.unwrap());
    }
    assert_eq!(found, [None, Some(bytes("record 1")), None, Some(bytes("record 3")), None]);
    assert_eq!(store.turn_record(&key, u64::MAX).await.unwrap(), None);
    assert_eq!(store.turn_record(&crate::harness::key("d"), 1).await.unwrap(), None);
    assert!(store.delete_conversation(&key).await.unwrap());
    turn(&*store, &key, commit("anew", &[])).await;
    for number in 1..=3 {
        assert_eq!(store.turn_record(&key, number).await.unwrap(), None);
    }
}

pub(crate) async fn a_commit_pushes_and_drops_work_in_one_step(store: Shared) {
    let key = key("c");
    let partition = store.partition_of(&key.to_string());
    let open = store.open_turn(&key, options()).await.unwrap();
    let mut note = begins("turn", &["1"]);
    note.pushes = vec![Push { due_in: LONG, ..push("look", "later") }];
    store.journal(&open.lease, note).await.unwrap();
    assert_eq!(store.lanes("", 9).await.unwrap().len(), 1);
    let left = TurnCommit {
        drops: vec!["look".to_owned(), "nothing".to_owned(), "again".to_owned()],
        pushes: vec![push("tell", "one"), push("tell", "two"), push("again", "kept")],
        ..commit("one", &[])
    };
    store.commit_turn(open.lease, left).await.unwrap();
    let names: Vec<_> = store.lanes("", 9).await.unwrap().into_iter().map(|lane| lane.lane).collect();
    assert_eq!(names, ["again", "tell"], "what was dropped comes before what is pushed");
    let bodies = bodies(&store.lane_entries(partition, "tell", 0, 9).await.unwrap());
    assert_eq!(bodies, ["one", "two"]);
    for _ in 0..2 {
        let held = take_one(&store, 9).await;
        assert_eq!(held.partition, partition);
        assert!(store.drop_lane(partition, &held.lane).await.unwrap());
    }
}

fn bodies(entries: &[(u64, Bytes)]) -> Vec<String> {
    entries.iter().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).collect()
}

pub(crate) async fn a_commit_that_lost_its_lease_leaves_no_work(store: Shared) {
    let key = key("c");
    let partition = store.partition_of(&key.to_string());
    store.push(partition, vec![push("kept", "x")]).await.unwrap();
    let lost = brief(&store, &key).await;
    let next = store.open_turn(&key, options()).await.unwrap();
    let left = || TurnCommit {
        pushes: vec![Push { once: Once::Named { name: "once".to_owned(), keep: LONG }, ..push("tell", "one") }],
        drops: vec!["kept".to_owned()],
        record: Some(bytes("record")),
        keep: true,
        ..commit("one", &[])
    };
    assert_eq!(store.commit_turn(lost, left()).await.unwrap_err(), StoreError::LeaseLost);
    let names: Vec<_> = store.lanes("", 9).await.unwrap().into_iter().map(|lane| lane.lane).collect();
    assert_eq!(names, ["kept"]);
    assert_eq!(store.turn_record(&key, 1).await.unwrap(), None);
    // What was refused does not count as pushed; what was pushed does.
    let committed = store.commit_turn(next.lease, left()).await.unwrap();
    store.commit_turn(committed.lease.unwrap(), left()).await.unwrap();
    let lanes = store.lanes("", 9).await.unwrap();
    assert_eq!(lanes.len(), 1);
    assert_eq!((lanes[0].lane.as_str(), lanes[0].length), ("tell", 1));
}
