//! Turns: what is committed, in which order, and who may commit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use confab_store::{BeginTurn, Begun, ConversationKey, Store, StoreError, TurnCommit};
use parking_lot::Mutex;

use crate::harness::{LONG, Turns as _, answer, bytes, commit, eventually, key, options, turn};

type Shared = Arc<dyn Store>;

const SOON: Duration = Duration::from_millis(50);

pub(crate) async fn a_commit_is_what_the_next_turn_reads(store: Shared) {
    let key = key("c");
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!((open.head.clone(), open.turns), (None, 0));
    let first_fence = open.lease.fence;
    assert_eq!(store.close_turn(open.lease, commit("one", &["hello"])).await.unwrap(), 1);
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!((open.head.clone(), open.turns), (Some(bytes("one")), 1));
    assert!(open.lease.fence > first_fence);
    assert!(open.lease.fence < 1 << 53);
    assert_eq!(store.close_turn(open.lease, commit("two", &[])).await.unwrap(), 2);
    assert_eq!(store.head(&key).await.unwrap(), Some(bytes("two")));
    store.ping().await.unwrap();
}

pub(crate) async fn a_transcript_keeps_its_order_and_can_be_paged(store: Shared) {
    let key = key("c");
    assert!(store.transcript(&key, 0, 10).await.unwrap().is_empty());
    for number in 0..10 {
        let (ask, tell) = (format!("ask {number}"), format!("tell {number}"));
        turn(&*store, &key, commit("head", &[&ask, &tell])).await;
    }
    turn(&*store, &key, commit("head", &[])).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = store.transcript(&key, after, 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some((last, _)) = page.last() else { break };
        after = *last;
        seen.extend(page);
    }
    let expected: Vec<(u64, Bytes)> = (0..10)
        .flat_map(|turn| [(turn * 2 + 1, bytes(format!("ask {turn}"))), (turn * 2 + 2, bytes(format!("tell {turn}")))])
        .collect();
    assert_eq!(seen, expected);
    assert!(store.transcript(&key, 0, 0).await.unwrap().is_empty());
    assert!(store.transcript(&key, u64::MAX, usize::MAX).await.unwrap().is_empty());
    assert_eq!(store.transcript(&key, 19, usize::MAX).await.unwrap().len(), 1);
}

pub(crate) async fn fifty_turns_run_one_at_a_time_in_arrival_order(store: Shared) {
    let key = key("c");
    let order = Arc::new(Mutex::new(Vec::new()));
    let first = store.open_turn(&key, options()).await.unwrap();
    let mut tasks = Vec::new();
    for number in 0..50_usize {
        let (store, key, order) = (Arc::clone(&store), key.clone(), Arc::clone(&order));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        tasks.push(tokio::spawn(async move {
            let mut wanting = std::pin::pin!(store.open_turn(&key, options()));
            // Polled once, it stands in the queue; then the next task may come.
            assert!(futures::poll!(wanting.as_mut()).is_pending());
            begun.send(()).unwrap();
            let open = wanting.await.unwrap();
            order.lock().push(number);
            let head = open.head.map_or(0, |head| String::from_utf8_lossy(&head).parse::<usize>().unwrap());
            assert_eq!(head, number);
            store.close_turn(open.lease, commit(&(head + 1).to_string(), &["x"])).await.unwrap()
        }));
        has_begun.await.unwrap();
    }
    assert!(order.lock().is_empty());
    store.abandon_turn(first.lease).await;
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), number as u64 + 1);
    }
    assert_eq!(*order.lock(), (0..50).collect::<Vec<_>>());
    assert_eq!(store.transcript(&key, 0, 100).await.unwrap().len(), 50);
}

pub(crate) async fn a_waiting_turn_is_busy_after_its_time(store: Shared) {
    let held = store.open_turn(&key("c"), options()).await.unwrap();
    for wait in [Duration::ZERO, SOON] {
        let since = Instant::now();
        let refused = store.open_turn(&key("c"), BeginTurn { wait, hold: LONG, ..options() }).await;
        assert_eq!(refused.unwrap_err(), StoreError::Busy);
        assert!(since.elapsed() >= wait && since.elapsed() < LONG);
    }
    // Another conversation is not concerned.
    turn(&*store, &key("d"), commit("x", &[])).await;
    store.abandon_turn(held.lease).await;
    turn(&*store, &key("c"), commit("x", &[])).await;
}

pub(crate) async fn a_lease_taken_over_can_not_commit(store: Shared) {
    let key = key("c");
    turn(&*store, &key, commit("before", &["1"])).await;
    let slow = store.open_turn(&key, BeginTurn { wait: LONG, hold: SOON, ..options() }).await.unwrap();
    let quick = store.open_turn(&key, options()).await.unwrap();
    assert!(quick.lease.fence > slow.lease.fence);
    let mut late = commit("late", &["late"]);
    late.answers = answer("late", "late");
    assert_eq!(store.close_turn(slow.lease, late).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.head(&key).await.unwrap(), Some(bytes("before")));
    assert_eq!(store.answer(&key, "late").await.unwrap(), None);
    // The loser's attempt did not give the winner's lock away.
    let third = store.open_turn(&key, BeginTurn { wait: Duration::ZERO, hold: SOON, ..options() }).await;
    assert_eq!(third.unwrap_err(), StoreError::Busy);
    assert_eq!(store.close_turn(quick.lease, commit("quick", &["2"])).await.unwrap(), 2);
    assert_eq!(store.transcript(&key, 0, 9).await.unwrap(), [(1, bytes("1")), (2, bytes("2"))]);
}

pub(crate) async fn a_late_commit_succeeds_if_nobody_took_over(store: Shared) {
    let key = key("c");
    let hold = Duration::from_millis(5);
    let open = store.open_turn(&key, BeginTurn { wait: LONG, hold, ..options() }).await.unwrap();
    let since = Instant::now();
    eventually("the hold time has run out", || async { since.elapsed() > hold * 4 }).await;
    assert_eq!(store.close_turn(open.lease, commit("late", &[])).await.unwrap(), 1);
}

pub(crate) async fn an_answer_is_stored_with_its_turn(store: Shared) {
    let key = key("c");
    let mut first = commit("one", &["hello"]);
    first.answers = answer("request 1", "200 OK");
    turn(&*store, &key, first).await;
    for number in 2..20 {
        let mut next = commit("more", &[]);
        next.answers = answer(&format!("request {number}"), "201");
        turn(&*store, &key, next).await;
    }
    assert_eq!(store.answer(&key, "request 1").await.unwrap(), Some(bytes("200 OK")));
    assert_eq!(store.answer(&key, "request 19").await.unwrap(), Some(bytes("201")));
    assert_eq!(store.answer(&key, "request 20").await.unwrap(), None);
    assert_eq!(store.answer(&crate::harness::key("d"), "request 1").await.unwrap(), None);
    // An answer has its own life.
    let mut brief = commit("brief", &[]);
    brief.answers = answer("brief", "x")
        .into_iter()
        .map(|answer| confab_store::StoredAnswer { expires_in: SOON, ..answer })
        .collect();
    turn(&*store, &key, brief).await;
    eventually("the answer has expired", || async { store.answer(&key, "brief").await.unwrap().is_none() }).await;
    assert_eq!(store.answer(&key, "request 1").await.unwrap(), Some(bytes("200 OK")));
    assert_eq!(store.head(&key).await.unwrap(), Some(bytes("brief")));
}

pub(crate) async fn an_abandoned_turn_leaves_nothing(store: Shared) {
    let key = key("c");
    let open = store.open_turn(&key, options()).await.unwrap();
    store.abandon_turn(open.lease).await;
    let open = store.open_turn(&key, BeginTurn { wait: Duration::ZERO, hold: LONG, ..options() }).await.unwrap();
    assert_eq!((open.head, open.turns), (None, 0));
    assert_eq!(store.head(&key).await.unwrap(), None);
}

pub(crate) async fn a_dropped_lease_lets_the_next_turn_begin(store: Shared) {
    let key = key("c");
    let open = store.open_turn(&key, options()).await.unwrap();
    drop(open);
    // It would take LONG if only the hold time ended it.
    let since = Instant::now();
    turn(&*store, &key, commit("x", &[])).await;
    assert!(since.elapsed() < LONG / 2);
}

pub(crate) async fn a_cancelled_wait_does_not_block_the_queue(store: Shared) {
    let key = key("c");
    let first = store.open_turn(&key, options()).await.unwrap();
    let cancelled = tokio::spawn({
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { store.open_turn(&key, options()).await.map(drop) }
    });
    tokio::task::yield_now().await;
    let third = tokio::spawn({
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { turn(&*store, &key, commit("third", &[])).await }
    });
    cancelled.abort();
    assert_eq!(store.close_turn(first.lease, commit("first", &[])).await.unwrap(), 1);
    assert_eq!(third.await.unwrap(), 2);
}

pub(crate) async fn a_deleted_conversation_is_gone_and_refuses_the_running_turn(store: Shared) {
    let key = key("c");
    let mut first = commit("one", &["hello"]);
    first.answers = answer("request", "200");
    turn(&*store, &key, first).await;
    let running = store.open_turn(&key, options()).await.unwrap();
    assert!(store.delete_conversation(&key).await.unwrap());
    assert_eq!(store.close_turn(running.lease, commit("two", &["x"])).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.head(&key).await.unwrap(), None);
    assert!(store.transcript(&key, 0, 9).await.unwrap().is_empty());
    assert_eq!(store.answer(&key, "request").await.unwrap(), None);
    assert!(!store.delete_conversation(&key).await.unwrap());
    assert_eq!(turn(&*store, &key, commit("anew", &["first"])).await, 1);
    assert_eq!(store.transcript(&key, 0, 9).await.unwrap(), [(1, bytes("first"))]);
}

pub(crate) async fn conversations_with_odd_names_do_not_meet(store: Shared) {
    let names = ["", "a", "a/b", "a}", "{a}", "a\0", "%2F", "ä€😀", ":meta"];
    let mut keys = Vec::new();
    for one in names {
        for other in names {
            keys.push(ConversationKey::new(one, other, "x"));
            keys.push(ConversationKey::new("x", one, other));
        }
    }
    for key in &keys {
        turn(&*store, key, commit(&format!("{key:?}"), &[&format!("{key:?}")])).await;
    }
    for key in &keys {
        let expected = bytes(format!("{key:?}"));
        assert_eq!(store.head(key).await.unwrap(), Some(expected.clone()));
        assert_eq!(store.transcript(key, 0, 9).await.unwrap(), [(1, expected)]);
    }
}

pub(crate) async fn a_conversation_expires_soon_after_its_time(store: Shared) {
    let key = key("c");
    turn(&*store, &key, TurnCommit { expires_in: LONG, ..commit("one", &["old"]) }).await;
    turn(&*store, &key, TurnCommit { expires_in: SOON, ..commit("two", &["old"]) }).await;
    eventually("the conversation has expired", || async { store.head(&key).await.unwrap().is_none() }).await;
    assert!(store.transcript(&key, 0, 9).await.unwrap().is_empty());
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!((open.head, open.turns), (None, 0));
    assert_eq!(store.close_turn(open.lease, commit("anew", &["new"])).await.unwrap(), 1);
    assert_eq!(store.transcript(&key, 0, 9).await.unwrap(), [(1, bytes("new"))]);
}

pub(crate) async fn a_large_turn_is_stored_whole(store: Shared) {
    let key = key("c");
    let large = TurnCommit {
        head: Bytes::from(vec![7; 1_000_000]),
        entries: (0_u32..10_000).map(|number| Bytes::from(number.to_be_bytes().to_vec())).collect(),
        ..commit("", &[])
    };
    turn(&*store, &key, large).await;
    let open = store.open_turn(&key, options()).await.unwrap();
    assert_eq!(open.head.unwrap().len(), 1_000_000);
    let entries = store.transcript(&key, 9_990, 100).await.unwrap();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[9], (10_000, Bytes::from(9_999_u32.to_be_bytes().to_vec())));
}

/// The same request each time.
fn request(answer_key: &str) -> BeginTurn {
    BeginTurn { answer_key: Some(answer_key.to_owned()), ..options() }
}

fn answered(begun: Begun) -> Option<Bytes> {
    match begun {
        Begun::Answered(body) => Some(body),
        Begun::Open(_) => None,
    }
}

pub(crate) async fn a_request_that_was_answered_is_answered_again_without_the_lock(store: Shared) {
    let key = key("c");
    let open = store.open_turn(&key, request("one")).await.unwrap();
    store.close_turn(open.lease, TurnCommit { answers: answer("one", "200"), ..commit("x", &[]) }).await.unwrap();
    assert_eq!(answered(store.begin_turn(&key, request("one")).await.unwrap()), Some(bytes("200")));
    let held = store.open_turn(&key, request("two")).await.unwrap();
    let repeat = BeginTurn { wait: Duration::ZERO, most_waiting: 0, ..request("one") };
    assert_eq!(answered(store.begin_turn(&key, repeat).await.unwrap()), Some(bytes("200")));
    // Also while the lock is kept by whoever answered it.
    let kept = TurnCommit { answers: answer("two", "201"), keep: true, ..commit("x", &[]) };
    let kept = store.commit_turn(held.lease, kept).await.unwrap();
    let repeat = BeginTurn { wait: Duration::ZERO, ..request("two") };
    assert_eq!(answered(store.begin_turn(&key, repeat).await.unwrap()), Some(bytes("201")));
    store.close_turn(kept.lease.unwrap(), commit("y", &[])).await.unwrap();
    // It is another request in another conversation.
    assert_eq!(answered(store.begin_turn(&crate::harness::key("d"), request("one")).await.unwrap()), None);
    let brief = TurnCommit {
        answers: answer("brief", "200")
            .into_iter()
            .map(|answer| confab_store::StoredAnswer { expires_in: SOON, ..answer })
            .collect(),
        ..commit("x", &[])
    };
    turn(&*store, &key, brief).await;
    eventually("the answer has expired", || async {
        answered(store.begin_turn(&key, request("brief")).await.unwrap()).is_none()
    })
    .await;
}

pub(crate) async fn a_request_that_is_being_served_is_in_flight(store: Shared) {
    let key = key("c");
    let first = store.open_turn(&key, request("one")).await.unwrap();
    assert_eq!(store.begin_turn(&key, request("one")).await.unwrap_err(), StoreError::InFlight);
    // One that waits counts as well.
    let waiting = tokio::spawn({
        let (store, key) = (Arc::clone(&store), key.clone());
        async move { store.open_turn(&key, request("two")).await.unwrap().lease }
    });
    eventually("the second waits", || async {
        let repeat = BeginTurn { wait: Duration::from_millis(1), ..request("two") };
        // A repeat that came before the second stands in the queue would have the second refused: so first see that it does.
        let alone = BeginTurn { most_waiting: 1, answer_key: None, ..repeat.clone() };
        store.begin_turn(&key, alone).await.unwrap_err() == StoreError::Crowded
            && store.begin_turn(&key, repeat).await.unwrap_err() == StoreError::InFlight
    })
    .await;
    store.close_turn(first.lease, TurnCommit { answers: answer("one", "200"), ..commit("x", &[]) }).await.unwrap();
    let second = waiting.await.unwrap();
    assert_eq!(store.begin_turn(&key, request("two")).await.unwrap_err(), StoreError::InFlight);
    // It failed and may be repeated.
    store.abandon_turn(second).await;
    assert_eq!(answered(store.begin_turn(&key, request("two")).await.unwrap()), None);
}

pub(crate) async fn a_turn_too_many_is_crowded_out(store: Shared) {
    let key = key("c");
    let held = store.open_turn(&key, options()).await.unwrap();
    let mut waiting = Vec::new();
    for waiters in 1..=3 {
        waiting.push(tokio::spawn({
            let (store, key) = (Arc::clone(&store), key.clone());
            async move { turn(&*store, &key, commit("x", &[])).await }
        }));
        eventually("one more waits", || async {
            let one_more = BeginTurn { wait: Duration::from_millis(1), most_waiting: waiters, ..options() };
            store.begin_turn(&key, one_more).await.unwrap_err() == StoreError::Crowded
        })
        .await;
    }
    let one_more = BeginTurn { wait: Duration::from_millis(1), most_waiting: 4, ..options() };
    assert_eq!(store.begin_turn(&key, one_more).await.unwrap_err(), StoreError::Busy);
    let nobody = BeginTurn { most_waiting: 0, ..options() };
    assert_eq!(store.begin_turn(&key, nobody.clone()).await.unwrap_err(), StoreError::Crowded);
    store.abandon_turn(held.lease).await;
    for (number, task) in waiting.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), number as u64 + 1);
    }
    // Who need not wait is never too many.
    assert_eq!(store.open_turn(&key, nobody).await.unwrap().turns, 3);
}

pub(crate) async fn a_repeat_that_waited_is_answered_and_lets_the_next_begin(store: Shared) {
    let key = key("c");
    // Somebody finishes the turn of the request that the second one repeats.
    let first = store.open_turn(&key, options()).await.unwrap();
    let wanting = |begin| {
        let (store, key) = (Arc::clone(&store), key.clone());
        tokio::spawn(async move { store.begin_turn(&key, begin).await.unwrap() })
    };
    let mut tasks = Vec::new();
    for (waiters, begin) in [(1, request("one")), (2, options())] {
        tasks.push(wanting(begin));
        eventually("one more waits", || async {
            let one_more = BeginTurn { wait: Duration::from_millis(1), most_waiting: waiters, ..options() };
            store.begin_turn(&key, one_more).await.unwrap_err() == StoreError::Crowded
        })
        .await;
    }
    store.close_turn(first.lease, TurnCommit { answers: answer("one", "200"), ..commit("x", &[]) }).await.unwrap();
    let third = tasks.pop().unwrap().await.unwrap();
    assert_eq!(answered(tasks.pop().unwrap().await.unwrap()), Some(bytes("200")));
    let Begun::Open(third) = third else { panic!("nothing was stored for the third") };
    assert_eq!(third.turns, 1);
}
