//! Links: small sets whose members expire.

use std::sync::Arc;
use std::time::Duration;

use confab_store::Store;

use crate::harness::{LONG, eventually};

type Shared = Arc<dyn Store>;

pub(crate) async fn members_come_by_expiry_the_latest_first(store: Shared) {
    assert!(store.linked("i", "k", 9).await.unwrap().is_empty());
    for (member, times) in [("b", 2), ("a", 1), ("d", 4), ("c", 3)] {
        store.link("i", "k", member, LONG * times).await.unwrap();
    }
    assert_eq!(store.linked("i", "k", 9).await.unwrap(), ["d", "c", "b", "a"]);
    assert_eq!(store.linked("i", "k", 2).await.unwrap(), ["d", "c"]);
    assert!(store.linked("i", "k", 0).await.unwrap().is_empty());
    // A member is renewed, to a later time or a sooner one.
    store.link("i", "k", "a", LONG * 10).await.unwrap();
    store.link("i", "k", "d", LONG).await.unwrap();
    assert_eq!(store.linked("i", "k", 9).await.unwrap(), ["a", "c", "b", "d"]);
    store.unlink("i", "k", "c").await.unwrap();
    store.unlink("i", "k", "nobody").await.unwrap();
    store.unlink("i", "nothing", "a").await.unwrap();
    assert_eq!(store.linked("i", "k", 9).await.unwrap(), ["a", "b", "d"]);
}

pub(crate) async fn a_member_goes_with_its_time_and_leaves_the_others(store: Shared) {
    store.link("i", "k", "brief", Duration::from_millis(30)).await.unwrap();
    store.link("i", "k", "renewed", Duration::from_millis(30)).await.unwrap();
    store.link("i", "k", "renewed", LONG * 10).await.unwrap();
    store.link("i", "k", "lasting", LONG * 9).await.unwrap();
    eventually("the member has expired", || async { store.linked("i", "k", 9).await.unwrap().len() == 2 }).await;
    assert_eq!(store.linked("i", "k", 9).await.unwrap(), ["renewed", "lasting"]);
    store.link("i", "k", "brief", LONG * 20).await.unwrap();
    assert_eq!(store.linked("i", "k", 1).await.unwrap(), ["brief"]);
}

pub(crate) async fn links_with_odd_names_do_not_meet(store: Shared) {
    let names = ["", "a", "a/b", "a}", "{a}", "a\0", "%2F", "ä€😀", ":x", "\u{1}a"];
    for index in names {
        for key in names {
            store.link(index, key, &format!("{index}|{key}"), LONG).await.unwrap();
            store.link(index, key, key, LONG * 2).await.unwrap();
        }
    }
    for index in names {
        for key in names {
            assert_eq!(store.linked(index, key, 9).await.unwrap(), [key.to_owned(), format!("{index}|{key}")]);
        }
    }
}
