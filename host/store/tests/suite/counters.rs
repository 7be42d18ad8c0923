//! Shared counters.

use std::sync::Arc;
use std::time::Duration;

use confab_store::{CounterIncrement, Store};

use crate::harness::eventually;

fn step(key: &str, window: u64, delta: u64) -> CounterIncrement {
    CounterIncrement { key: key.to_owned(), window, delta, keep: Duration::from_secs(60) }
}

pub(crate) async fn windows_count_apart(store: Arc<dyn Store>) {
    assert!(store.count(Vec::new()).await.unwrap().is_empty());
    let seen = store.count(vec![step("a", 1, 2), step("b", 1, 1), step("a", 1, 3), step("a", 2, 1)]).await.unwrap();
    assert_eq!(seen, [2, 1, 5, 1]);
    assert_eq!(store.count(vec![step("a", 1, 0)]).await.unwrap(), [5]);
    let brief = CounterIncrement { keep: Duration::from_millis(20), ..step("brief", 1, 7) };
    assert_eq!(store.count(vec![brief]).await.unwrap(), [7]);
    let read = || CounterIncrement { keep: Duration::from_millis(1), ..step("brief", 1, 0) };
    eventually("the counter is forgotten", || async { store.count(vec![read()]).await.unwrap() == [0] }).await;
}

pub(crate) async fn two_hundred_steps_at_once_are_all_counted(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.count(vec![step("k", 1, 1)]).await.unwrap()[0] })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}
