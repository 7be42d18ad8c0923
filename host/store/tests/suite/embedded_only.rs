//! The embedded store: what survives a crash, and what goes with time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use confab_store::{Clock, Embedded, Store, StoreError, Tally, TurnCommit};

use crate::documents::{MIB, delete, large, put};
use crate::harness::{Turns as _, answer, bytes, commit, key, options, turn};

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
    first.answer = answer("request", "200");
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
    brief.answer = answer("request", "200");
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
    let definition: TableDefinition<&[u8], &[u8]> = TableDefinition::new(table);
    file.begin_read().unwrap().open_table(definition).unwrap().len().unwrap()
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
