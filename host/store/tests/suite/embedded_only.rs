//! The embedded store: what survives a crash, and what goes with time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use confab_store::{
    Again, Clock, Embedded, JournalNote, LANE_HOLD, Lanes, Links, Once, Push, Settled, Store, StoreError, Tally,
    TurnCommit, Unfinished,
};

use crate::documents::{MIB, delete, large, put};
use crate::harness::{Turns as _, answer, bytes, commit, key, options, turn};
use crate::lanes::push;

const DIRECTORY: &str = "CONFAB_CRASH_TEST_DIRECTORY";

/// A clock that a test moves.
fn clock() -> (Clock, Arc<AtomicU64>) {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let read = Arc::clone(&now);
    (Clock::from_fn(move || read.load(Ordering::SeqCst)), now)
}

/// What a crash would leave: a copy of the file as it is, with nobody having closed it.
async fn reopened_copy(directory: &Path) -> (tempfile::TempDir, Embedded) {
    let copy = tempfile::tempdir().unwrap();
    let name = confab_store::embedded::FILE_NAME;
    std::fs::copy(directory.join(name), copy.path().join(name)).unwrap();
    let store = Embedded::open(copy.path()).await.unwrap();
    (copy, store)
}

#[tokio::test]
async fn what_was_answered_is_in_the_file_without_a_close() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    let mut first = commit("one", &["a", "b"]);
    first.answers = answer("request", "200");
    turn(&store, &key("c"), first).await;
    store.kv_set("s", "k", bytes("v")).await.unwrap();
    let version = store.change_documents(vec![put("bot", "b", "1")]).await.unwrap();
    let file = large("plugin-file", "p", 3 * MIB);
    let version = store.change_documents(vec![file.clone()]).await.unwrap().max(version);
    store.kv_tally("s", vec![("n".to_owned(), Tally::Add(7))]).await.unwrap();
    store.append_records("log", (0..30).map(|number| bytes(number.to_string())).collect(), 20).await.unwrap();
    let records = store.records("log", None, 99).await.unwrap();
    store.append_records("gone", vec![bytes("newest")], 20).await.unwrap();
    store.delete_records("gone").await.unwrap();
    let held = store.open_turn(&key("c"), options()).await.unwrap();

    let (_kept, copy) = reopened_copy(directory.path()).await;
    let open = copy.open_turn(&key("c"), options()).await.unwrap();
    assert_eq!((open.head.clone(), open.turns), (Some(bytes("one")), 1));
    assert!(open.lease.fence > held.lease.fence, "fences grow across restarts");
    assert_eq!(copy.transcript(&key("c"), 0, 9).await.unwrap().len(), 2);
    assert_eq!(copy.answer(&key("c"), "request").await.unwrap(), Some(bytes("200")));
    assert_eq!(copy.kv_get("s", "k").await.unwrap(), Some(bytes("v")));
    assert_eq!(*copy.config_version().borrow(), version);
    assert!(copy.document("plugin-file", "p").await.unwrap() == file.body);
    assert_eq!(copy.kv_get("s", "n").await.unwrap(), Some(bytes("7")));
    assert_eq!(copy.records("log", None, 99).await.unwrap(), records);
    assert_eq!(copy.record_logs("", 9).await.unwrap(), ["log"]);
    copy.append_records("log", vec![bytes("next")], 20).await.unwrap();
    let next = copy.records("log", None, 1).await.unwrap();
    assert_eq!(next, [(records[0].0 + 2, bytes("next"))], "one number went with the deleted log");
}

#[tokio::test]
async fn a_turn_that_was_never_committed_leaves_nothing_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    turn(&store, &key("c"), commit("one", &["a"])).await;
    let open = store.open_turn(&key("c"), options()).await.unwrap();
    // Nobody polls it: the commit is never handed over, as if the process had died just before.
    drop(store.close_turn(open.lease, commit("two", &["b"])));
    let (_kept, copy) = reopened_copy(directory.path()).await;
    assert_eq!(copy.head(&key("c")).await.unwrap(), Some(bytes("one")));
    assert_eq!(copy.transcript(&key("c"), 0, 9).await.unwrap(), [(1, bytes("a"))]);
}

/// Not a test by itself: the process that `a_killed_process_keeps_every_answered_turn_whole` kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a child process of the test below"]
async fn child_that_commits_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let store = Arc::new(Embedded::open(directory).await.unwrap());
    for conversation in 0..4 {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            loop {
                let open = store.open_turn(&key(&conversation.to_string()), options()).await.unwrap();
                let number = (open.turns + 1).to_string();
                let turns = store.close_turn(open.lease, commit(&number, &[&number])).await.unwrap();
                println!("answered {conversation} {turns}");
            }
        });
    }
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_process_keeps_every_answered_turn_whole() {
    let directory = tempfile::tempdir().unwrap();
    let mut answered = [0_u64; 4];
    for _ in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "embedded_only::child_that_commits_until_it_is_killed"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines {
            let line = line.unwrap();
            let mut words = line.split(' ').rev();
            if let (Some(Ok(turns)), Some(Ok(conversation))) =
                (words.next().map(str::parse::<u64>), words.next().map(str::parse::<usize>))
            {
                answered[conversation] = answered[conversation].max(turns);
                seen += 1;
            }
            if seen == 100 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= 100);
        let store = Embedded::open(directory.path()).await.unwrap();
        for (conversation, answered) in answered.iter().enumerate() {
            let open = store.open_turn(&key(&conversation.to_string()), options()).await.unwrap();
            assert!(open.turns >= *answered, "{} turns, {answered} answered", open.turns);
            assert_eq!(open.head, Some(bytes(open.turns.to_string())));
            let entries = store.transcript(&key(&conversation.to_string()), 0, usize::MAX).await.unwrap();
            let expected: Vec<_> = (1..=open.turns).map(|number| (number, bytes(number.to_string()))).collect();
            assert_eq!(entries, expected);
        }
    }
}

#[tokio::test]
async fn what_expired_is_unseen_at_once_and_removed_by_the_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, now) = clock();
    let store = Embedded::open_with_clock(directory.path(), clock.clone()).await.unwrap();
    let living = |seconds| TurnCommit { expires_in: Duration::from_secs(seconds), ..commit("x", &["1", "2"]) };
    let mut brief = living(10);
    brief.answers = answer("request", "200");
    turn(&store, &key("brief"), brief).await;
    turn(&store, &key("renewed"), living(10)).await;
    turn(&store, &key("renewed"), living(1_000)).await;
    now.fetch_add(10_000, Ordering::SeqCst);

    assert_eq!(store.head(&key("brief")).await.unwrap(), None);
    assert!(store.transcript(&key("brief"), 0, 9).await.unwrap().is_empty());
    assert_eq!(store.answer(&key("brief"), "request").await.unwrap(), Some(bytes("200")), "answers live 60 s");
    assert_eq!(store.sweep().await.unwrap(), 2);
    assert_eq!(store.head(&key("renewed")).await.unwrap(), Some(bytes("x")));
    assert_eq!(store.transcript(&key("renewed"), 0, 9).await.unwrap().len(), 4);
    assert!(!store.delete_conversation(&key("brief")).await.unwrap());

    turn(&store, &key("brief"), living(10)).await;
    now.fetch_add(50_000, Ordering::SeqCst);
    assert_eq!(store.answer(&key("brief"), "request").await.unwrap(), None);
    assert!(store.sweep().await.unwrap() > 0);
    now.fetch_add(10_000_000, Ordering::SeqCst);
    while store.sweep().await.unwrap() > 0 {}
    drop(store);

    // Nothing is left, not even an index row.
    for table in ["conversations", "transcript", "answers", "expiry"] {
        assert_eq!(rows(directory.path(), table), 0, "{table}");
    }
}

/// Rows of a table of a store that is closed.
fn rows(directory: &Path, table: &str) -> u64 {
    use redb::{ReadableDatabase, ReadableTableMetadata, TableDefinition};
    let file = redb::Database::open(directory.join(confab_store::embedded::FILE_NAME)).unwrap();
    let txn = file.begin_read().unwrap();
    let numbers: TableDefinition<&[u8], u64> = TableDefinition::new(table);
    if let Ok(table) = txn.open_table(numbers) {
        return table.len().unwrap();
    }
    let definition: TableDefinition<&[u8], &[u8]> = TableDefinition::new(table);
    txn.open_table(definition).unwrap().len().unwrap()
}

#[tokio::test]
async fn deleted_logs_and_large_documents_leave_no_rows() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    store.change_documents(vec![large("k", "a", 5 * MIB), large("k", "b", 5 * MIB)]).await.unwrap();
    store.change_documents(vec![put("k", "a", "small"), delete("k", "b")]).await.unwrap();
    store.append_records("log", vec![bytes("x"); 1_000], 100).await.unwrap();
    store.append_records("kept", vec![bytes("x"); 1_000], 100).await.unwrap();
    store.delete_records("log").await.unwrap();
    drop(store);
    for (table, left) in [("documents", 1), ("large_documents", 0), ("document_parts", 0), ("records", 100)] {
        assert_eq!(rows(directory.path(), table), left, "{table}");
    }
}

#[tokio::test]
async fn a_second_store_on_the_same_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("made/for/it");
    let store = confab_store::open(&format!("embedded:{}", inner.display())).await.unwrap();
    assert_eq!(store.backend(), "embedded");
    let refused = Embedded::open(&inner).await.unwrap_err();
    assert_eq!(refused, StoreError::InUse { path: inner.join("confab.redb") });
    drop(store);
    Embedded::open(&inner).await.unwrap();
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_closed_store_has_kept_its_writes_and_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    turn(&store, &key("c"), commit("one", &[])).await;
    store.close().await;
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(store.kv_get("s", "k").await, Err(StoreError::Unavailable { .. })));
    let again = Embedded::open(directory.path()).await.unwrap();
    assert_eq!(again.head(&key("c")).await.unwrap(), Some(bytes("one")));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("confab.redb"), vec![7; 100_000]).unwrap();
    let refused = Embedded::open(directory.path()).await.unwrap_err();
    assert!(refused.to_string().contains("open the database"), "{refused}");
}

#[tokio::test]
async fn a_lease_of_another_store_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = Embedded::open(one.path()).await.unwrap();
    let other = Embedded::open(other.path()).await.unwrap();
    let open = one.open_turn(&key("c"), options()).await.unwrap();
    assert_eq!(other.close_turn(open.lease, commit("x", &[])).await.unwrap_err(), StoreError::LeaseLost);
}

fn settled(through: u64, again: Again) -> Settled {
    Settled { through, again, note: None, pushes: Vec::new() }
}

#[tokio::test]
async fn an_unfinished_turn_is_found_after_a_crash() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    turn(&store, &key("done"), commit("one", &[])).await;
    let running = store.open_turn(&key("c"), options()).await.unwrap();
    let entries = vec![bytes("1"), bytes("2")];
    let pushes = vec![Push { due_in: Duration::from_secs(60), ..push("look", "x") }];
    let note = JournalNote { turn: Some(bytes("turn")), entries: entries.clone(), pushes };
    store.journal(&running.lease, note).await.unwrap();
    store.journal(&running.lease, JournalNote { entries: vec![bytes("3")], ..JournalNote::default() }).await.unwrap();

    let (kept, copy) = reopened_copy(directory.path()).await;
    assert_eq!(copy.open_turn(&key("done"), options()).await.unwrap().unfinished, None);
    let open = copy.open_turn(&key("c"), options()).await.unwrap();
    assert!(open.lease.fence > running.lease.fence);
    let expected = [entries, vec![bytes("3")]].concat();
    assert_eq!(open.unfinished, Some(Unfinished { turn: bytes("turn"), entries: expected }));
    assert_eq!(copy.lanes("look", 9).await.unwrap().len(), 1);
    let done = TurnCommit { drops: vec!["look".to_owned()], record: Some(bytes("record")), ..commit("done", &[]) };
    copy.close_turn(open.lease, done).await.unwrap();
    drop(copy);

    let again = Embedded::open(kept.path()).await.unwrap();
    assert_eq!(again.open_turn(&key("c"), options()).await.unwrap().unfinished, None);
    assert_eq!(again.turn_record(&key("c"), 1).await.unwrap(), Some(bytes("record")));
    assert!(again.lanes("", 9).await.unwrap().is_empty());
    drop(again);
    for table in ["journals", "journal_entries", "lanes", "lane_entries", "lanes_due"] {
        assert_eq!(rows(kept.path(), table), 0, "{table}");
    }
}

#[tokio::test]
async fn held_lanes_are_free_after_a_crash_and_known_pushes_stay_known() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    let partition = store.partition_of("");
    let named = || Push { once: Once::Named { name: "n".to_owned(), keep: LANE_HOLD }, ..push("lane", "1") };
    let numbered = || Push { once: Once::Numbered { source: "s".to_owned(), number: 7 }, ..push("lane", "2") };
    assert_eq!(store.push(partition, vec![named(), numbered(), push("lane", "3")]).await.unwrap(), [true; 3]);
    store.link("i", "k", "m", LANE_HOLD).await.unwrap();
    let held = store.take_lanes(9, 1).await.unwrap().remove(0);
    let first = held.entries[0].0;
    store.settle_lane(held, Settled { note: Some(bytes("note")), ..settled(first, Again::Now) }).await.unwrap();
    let held = store.take_lanes(9, 9).await.unwrap().remove(0);

    let (_kept, copy) = reopened_copy(directory.path()).await;
    let theirs = copy.take_lanes(9, 9).await.unwrap().remove(0);
    assert_eq!((&theirs.entries, &theirs.note), (&held.entries, &Some(bytes("note"))));
    assert_eq!(copy.push(partition, vec![named(), numbered()]).await.unwrap(), [false; 2]);
    assert_eq!(copy.linked("i", "k", 9).await.unwrap(), ["m"]);
    // Who held it before the crash holds it no more.
    assert!(!copy.extend_lane(&held).await.unwrap());
    assert_eq!(copy.settle_lane(held, settled(u64::MAX, Again::Now)).await.unwrap_err(), StoreError::LeaseLost);
    assert!(copy.extend_lane(&theirs).await.unwrap());
    copy.settle_lane(theirs, settled(u64::MAX, Again::Now)).await.unwrap();
    assert!(copy.lanes("", 9).await.unwrap().is_empty());
    assert_eq!(copy.push(partition, vec![push("lane", "4")]).await.unwrap(), [true]);
    assert!(copy.take_lanes(9, 9).await.unwrap()[0].entries[0].0 > first + 2, "no number is used twice");
}

#[tokio::test]
async fn lanes_are_due_by_the_clock_also_if_it_jumps_while_nobody_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, now) = clock();
    let store = Embedded::open_with_clock(directory.path(), clock.clone()).await.unwrap();
    let day = Duration::from_secs(24 * 3_600);
    let partition = store.partition_of("");
    let pushes = vec![Push { due_in: day * 2, ..push("later", "x") }, Push { due_in: day, ..push("sooner", "x") }];
    store.push(partition, pushes).await.unwrap();
    drop(store);
    now.fetch_add(24 * 3_600_000 - 1, Ordering::SeqCst);
    let store = Embedded::open_with_clock(directory.path(), clock).await.unwrap();
    assert!(store.take_lanes(9, 9).await.unwrap().is_empty());
    assert_eq!(store.lanes("sooner", 9).await.unwrap()[0].due_in, Duration::from_millis(1));
    now.fetch_add(1, Ordering::SeqCst);
    assert_eq!(store.take_lanes(9, 9).await.unwrap()[0].lane, "sooner");
    assert!(store.take_lanes(9, 9).await.unwrap().is_empty());
    // Who waits sees that the clock has jumped.
    let waiting = store.work_arrived(day);
    now.fetch_add(24 * 3_600_000, Ordering::SeqCst);
    tokio::time::timeout(crate::harness::LONG, waiting).await.unwrap();
    assert_eq!(store.take_lanes(9, 9).await.unwrap()[0].lane, "later");
}

#[tokio::test(start_paused = true)]
async fn a_lane_is_taken_from_a_worker_that_neither_settles_nor_extends() {
    let directory = tempfile::tempdir().unwrap();
    let store = Embedded::open(directory.path()).await.unwrap();
    let partition = store.partition_of("");
    store.push(partition, vec![push("lane", "1"), push("lane", "2")]).await.unwrap();
    let first = store.take_lanes(9, 1).await.unwrap().remove(0);
    let almost = LANE_HOLD - Duration::from_millis(1);
    tokio::time::advance(almost).await;
    assert!(store.extend_lane(&first).await.unwrap());
    tokio::time::advance(almost).await;
    assert!(store.take_lanes(9, 1).await.unwrap().is_empty());
    tokio::time::advance(almost).await;
    let second = store.take_lanes(9, 9).await.unwrap().remove(0);
    assert_eq!(second.entries.len(), 2);
    assert!(!store.extend_lane(&first).await.unwrap());
    let more = Settled { pushes: vec![push("more", "x")], ..settled(u64::MAX, Again::Now) };
    assert_eq!(store.settle_lane(first, more).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(store.lane_entries(partition, "lane", 0, 9).await.unwrap().len(), 2);
    assert!(store.lanes("more", 9).await.unwrap().is_empty());
    // One that is late settles all the same, if nobody took over.
    tokio::time::advance(LANE_HOLD * 2).await;
    let through = second.entries[0].0;
    store.settle_lane(second, settled(through, Again::Now)).await.unwrap();
    assert_eq!(store.take_lanes(9, 9).await.unwrap()[0].entries.len(), 1);
}

#[tokio::test]
async fn journals_records_links_and_known_names_leave_no_rows() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, now) = clock();
    let store = Embedded::open_with_clock(directory.path(), clock).await.unwrap();
    let seconds = Duration::from_secs;
    let recorded =
        |life| TurnCommit { expires_in: seconds(life), record: Some(bytes("record")), ..commit("x", &["said"]) };
    turn(&store, &key("brief"), recorded(10)).await;
    turn(&store, &key("lasting"), recorded(100 * 3_600)).await;
    let note = || JournalNote { turn: Some(bytes("turn")), entries: vec![bytes("1")], ..JournalNote::default() };
    for id in ["brief", "lasting"] {
        let open = store.open_turn(&key(id), options()).await.unwrap();
        store.journal(&open.lease, note()).await.unwrap();
    }
    let partition = store.partition_of("");
    let named = |keep| Push { once: Once::Named { name: "n".to_owned(), keep }, ..push("lane", "x") };
    assert_eq!(store.push(partition, vec![named(seconds(10))]).await.unwrap(), [true]);
    store.link("i", "k", "brief", seconds(10)).await.unwrap();
    store.link("i", "k", "renewed", seconds(10)).await.unwrap();
    store.link("i", "k", "renewed", seconds(100)).await.unwrap();
    store.link("i", "k", "gone", seconds(10)).await.unwrap();
    store.unlink("i", "k", "gone").await.unwrap();

    now.fetch_add(10_000, Ordering::SeqCst);
    assert_eq!(store.turn_record(&key("brief"), 1).await.unwrap(), None);
    assert_eq!(store.linked("i", "k", 9).await.unwrap(), ["renewed"]);
    assert_eq!(store.push(partition, vec![named(seconds(50))]).await.unwrap(), [true], "the name was forgotten");
    while store.sweep().await.unwrap() > 0 {}
    assert_eq!(
        store.push(partition, vec![named(seconds(10))]).await.unwrap(),
        [false],
        "the sweep spares what was renewed"
    );
    assert_eq!(store.linked("i", "k", 9).await.unwrap(), ["renewed"]);
    // A journal lives for a day at the least, or as long as its conversation would.
    assert!(store.open_turn(&key("brief"), options()).await.unwrap().unfinished.is_some());
    now.fetch_add(24 * 3_600_000, Ordering::SeqCst);
    assert_eq!(store.open_turn(&key("brief"), options()).await.unwrap().unfinished, None);
    assert!(store.open_turn(&key("lasting"), options()).await.unwrap().unfinished.is_some());
    assert_eq!(store.turn_record(&key("lasting"), 1).await.unwrap(), Some(bytes("record")));
    now.fetch_add(100 * 3_600_000, Ordering::SeqCst);
    while store.sweep().await.unwrap() > 0 {}
    assert!(store.drop_lane(partition, "lane").await.unwrap());
    drop(store);
    for table in [
        "conversations",
        "transcript",
        "turn_records",
        "journals",
        "journal_entries",
        "expiry",
        "once_names",
        "links",
        "links_by_expiry",
        "lanes",
        "lane_entries",
        "lanes_due",
    ] {
        assert_eq!(rows(directory.path(), table), 0, "{table}");
    }
}
