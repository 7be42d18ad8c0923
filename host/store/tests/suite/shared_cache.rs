//! The cache that hosts share: one of them fetches, all have it, and what is worthless is so for all.

use std::time::Duration;

use confab_store::SharedRead;

use crate::harness::{LONG, bytes, embedded, eventually};
use crate::redis_server::shared;

const SPACE: &str = "shop/erp";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_host_fetches_while_the_others_wait_and_then_all_have_it() {
    let (_server, url) = shared();
    let hosts = [confab_store::open(&url).await.unwrap(), confab_store::open(&url).await.unwrap()];
    let [one, other] = [&hosts[0], &hosts[1]].map(|host| host.shared_cache().unwrap());
    let SharedRead::Fetch { ticket, stale: None } = one.read(SPACE, "k", LONG).await.unwrap() else {
        panic!("the first is to fetch it")
    };
    assert_eq!(other.read(SPACE, "k", LONG).await.unwrap(), SharedRead::Wait { stale: None });
    assert_eq!(one.read(SPACE, "k", LONG).await.unwrap(), SharedRead::Wait { stale: None });
    assert!(matches!(other.read("shop/crm", "k", LONG).await.unwrap(), SharedRead::Fetch { .. }));
    // Who gives up makes place for the next; somebody else's ticket gives nothing up.
    one.give_up(SPACE, "k", "another").await.unwrap();
    assert_eq!(other.read(SPACE, "k", LONG).await.unwrap(), SharedRead::Wait { stale: None });
    one.give_up(SPACE, "k", &ticket).await.unwrap();
    assert!(matches!(other.read(SPACE, "k", LONG).await.unwrap(), SharedRead::Fetch { .. }));
    other.write(SPACE, "k", bytes("\0value"), LONG, LONG).await.unwrap();
    let SharedRead::Fresh { entry, left } = one.read(SPACE, "k", LONG).await.unwrap() else { panic!("it is there") };
    assert_eq!(entry, bytes("\0value"));
    assert!(left <= LONG && !left.is_zero());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_no_longer_fresh_is_shown_to_who_fetches_it_and_a_lease_ends_by_itself() {
    let (_server, url) = shared();
    let host = confab_store::open(&url).await.unwrap();
    let cache = host.shared_cache().unwrap();
    let short = Duration::from_millis(1);
    cache.write(SPACE, "k", bytes("old"), short, LONG).await.unwrap();
    // The second time the lease of the first has ended by itself.
    for what in ["it is no longer fresh", "the lease has ended"] {
        eventually(what, || async {
            let read = cache.read(SPACE, "k", short).await.unwrap();
            matches!(read, SharedRead::Fetch { stale: Some(stale), .. } if stale == bytes("old"))
        })
        .await;
    }
    assert!(matches!(cache.read(SPACE, "none", short).await.unwrap(), SharedRead::Fetch { stale: None, .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_grow_and_are_read_only_when_they_changed() {
    let (_server, url) = shared();
    let hosts = [confab_store::open(&url).await.unwrap(), confab_store::open(&url).await.unwrap()];
    let [one, other] = [&hosts[0], &hosts[1]].map(|host| host.shared_cache().unwrap());
    assert_eq!(one.generations(SPACE, 0).await.unwrap(), None);
    let first = one.advance(SPACE, &[0, 7], LONG).await.unwrap();
    let second = other.advance(SPACE, &[7, 255], LONG).await.unwrap();
    assert!(second > first && first > 0);
    let mut read = one.generations(SPACE, first).await.unwrap().unwrap();
    read.buckets.sort_unstable();
    assert_eq!((read.version, read.buckets), (second, vec![(0, first), (7, second), (255, second)]));
    assert_eq!(other.generations(SPACE, second).await.unwrap(), None);
    assert_eq!(other.generations("shop/crm", 0).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_of_one_host_shares_nothing() {
    assert!(embedded().await.store.shared_cache().is_none());
}
