//! Leased values.

use std::sync::Arc;
use std::time::Duration;

use confab_store::{Store, Taking};

use crate::harness::{LONG, bytes, eventually};

async fn take(store: &dyn Store, name: &str) -> Option<u64> {
    store.lease_take(name, LONG, Taking::IfFree).await.unwrap()
}

pub(crate) async fn a_lease_has_one_holder_until_its_time_is_over(store: Arc<dyn Store>) {
    assert_eq!(store.leased("n").await.unwrap(), None);
    let first = take(&*store, "n").await.unwrap();
    assert_eq!(take(&*store, "n").await, None);
    store.lease_free("n", first).await.unwrap();
    let second = store.lease_take("n", Duration::from_millis(50), Taking::IfFree).await.unwrap().unwrap();
    assert!(second > first, "{second} {first}");
    // One that was lost is not given back for another.
    store.lease_free("n", first).await.unwrap();
    eventually("the lease is over", || {
        let store = Arc::clone(&store);
        async move { take(&*store, "n").await.is_some_and(|third| third > second) }
    })
    .await;
    assert!(!store.lease_write("n", second, Some(bytes("late"))).await.unwrap());
    assert_eq!(store.leased("n").await.unwrap(), None);
}

pub(crate) async fn twenty_takers_have_one_winner(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { take(&*store, "n").await })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += u32::from(task.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
}

pub(crate) async fn only_the_newest_fence_writes(store: Arc<dyn Store>) {
    let first = take(&*store, "n").await.unwrap();
    assert!(store.lease_write("n", first, Some(bytes("1"))).await.unwrap());
    assert!(store.lease_write("n", first, Some(bytes("2"))).await.unwrap(), "the lease is kept");
    assert_eq!(take(&*store, "n").await, None, "a write does not give it back");
    let second = store.lease_take("n", LONG, Taking::FromAnyone).await.unwrap().unwrap();
    assert!(second > first);
    assert!(!store.lease_write("n", first, Some(bytes("3"))).await.unwrap());
    assert!(!store.lease_write("n", second + 1, Some(bytes("3"))).await.unwrap());
    assert_eq!(store.leased("n").await.unwrap(), Some(bytes("2")));
    store.lease_free("n", first).await.unwrap();
    assert_eq!(take(&*store, "n").await, None, "only the holder gives it back");
    store.lease_free("n", second).await.unwrap();
    assert!(!store.lease_write("n", second, Some(bytes("3"))).await.unwrap(), "it was given back");
    assert_eq!(store.leased("n").await.unwrap(), Some(bytes("2")), "the value stays");
    // Late, but nobody took over.
    let third = store.lease_take("n", Duration::from_millis(1), Taking::IfFree).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(store.lease_write("n", third, Some(bytes("4"))).await.unwrap());
    assert!(third > second);
}

pub(crate) async fn a_value_is_removed_with_the_fence_too(store: Arc<dyn Store>) {
    let first = take(&*store, "n").await.unwrap();
    assert!(store.lease_write("n", first, Some(bytes("1"))).await.unwrap());
    assert!(store.lease_write("n", first, None).await.unwrap());
    assert_eq!(store.leased("n").await.unwrap(), None);
    store.lease_free("n", first).await.unwrap();
    let second = take(&*store, "n").await.unwrap();
    assert!(second > first, "{second} {first}");
    assert!(!store.lease_write("n", first, Some(bytes("old"))).await.unwrap());
}

pub(crate) async fn leased_values_with_odd_names_do_not_meet(store: Arc<dyn Store>) {
    let names = ["", "a", "a/b", "a}b", "{", "%7B", "a\0", "ä"];
    for name in names {
        let fence = take(&*store, name).await.unwrap();
        assert!(store.lease_write(name, fence, Some(bytes(name))).await.unwrap());
    }
    for name in names {
        assert_eq!(store.leased(name).await.unwrap(), Some(bytes(name)), "{name:?}");
    }
}
