//! Configuration documents.

use std::sync::Arc;

use bytes::Bytes;
use confab_store::{DocumentChange, Store};
use tokio::time::timeout;

use crate::harness::{LONG, bytes};

pub(crate) fn put(kind: &str, id: &str, body: &str) -> DocumentChange {
    DocumentChange { kind: kind.to_owned(), id: id.to_owned(), body: Some(bytes(body)) }
}

pub(crate) fn delete(kind: &str, id: &str) -> DocumentChange {
    DocumentChange { kind: kind.to_owned(), id: id.to_owned(), body: None }
}

pub(crate) const MIB: usize = 1024 * 1024;

/// A body that no part of which is like another.
pub(crate) fn large(kind: &str, id: &str, length: usize) -> DocumentChange {
    let words = (0..length.div_ceil(4)).map(|number| u32::try_from(number).unwrap().wrapping_mul(2_654_435_761));
    let mut body: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    body.truncate(length);
    DocumentChange { kind: kind.to_owned(), id: id.to_owned(), body: Some(Bytes::from(body)) }
}

pub(crate) async fn changes_are_made_together_and_versioned(store: Arc<dyn Store>) {
    let first = store
        .change_documents(vec![put("bot", "b", "1"), put("bot", "a", "2"), put("version", "", "3")])
        .await
        .unwrap();
    assert_eq!(store.documents("bot").await.unwrap(), [("a".to_owned(), bytes("2")), ("b".to_owned(), bytes("1"))]);
    assert_eq!(store.document("version", "").await.unwrap(), Some(bytes("3")));
    assert_eq!(store.document("bo", "tb").await.unwrap(), None);
    let second =
        store.change_documents(vec![delete("bot", "a"), put("bot", "b", ""), delete("bot", "none")]).await.unwrap();
    assert!(second > first);
    assert_eq!(store.documents("bot").await.unwrap(), [("b".to_owned(), Bytes::new())]);
    assert_eq!(store.document("bot", "a").await.unwrap(), None);
    assert!(store.documents("nothing").await.unwrap().is_empty());
    assert!(store.document_ids("nothing").await.unwrap().is_empty());
    // In order: the last change of a document wins.
    store.change_documents(vec![put("bot", "c", "1"), delete("bot", "c"), put("bot", "c", "2")]).await.unwrap();
    assert_eq!(store.document("bot", "c").await.unwrap(), Some(bytes("2")));
    assert!(store.change_documents(Vec::new()).await.unwrap() > second);
}

pub(crate) async fn watchers_see_the_version_change(store: Arc<dyn Store>) {
    let mut watched = store.config_version();
    let before = *watched.borrow_and_update();
    let version = store.change_documents(vec![put("bot", "a", "1")]).await.unwrap();
    assert!(version > before);
    timeout(LONG, watched.wait_for(|seen| *seen == version)).await.unwrap().unwrap();
}

pub(crate) async fn a_document_of_64_mib_comes_back_whole(store: Arc<dyn Store>) {
    let file = large("plugin-file", "b", 64 * MIB);
    let changes =
        vec![put("plugin-file", "a", "small"), file.clone(), put("plugin-file", "c", ""), put("bot", "b", "1")];
    let version = store.change_documents(changes).await.unwrap();
    assert_eq!(*store.config_version().borrow(), version);
    let read = store.document("plugin-file", "b").await.unwrap();
    assert!(read == file.body, "64 MiB come back as they were");
    assert_eq!(store.document_ids("plugin-file").await.unwrap(), ["a", "b", "c"]);
    let all = store.documents("plugin-file").await.unwrap();
    assert_eq!(
        all.iter().map(|(id, body)| (id.as_str(), body.len())).collect::<Vec<_>>(),
        [("a", 5), ("b", 64 * MIB), ("c", 0)]
    );
    assert!(Some(&all[1].1) == file.body.as_ref());
    assert_eq!(store.documents("bot").await.unwrap(), [("b".to_owned(), bytes("1"))]);
    assert_eq!(store.document("plugin-file", "a").await.unwrap(), Some(bytes("small")));
    store.change_documents(vec![delete("plugin-file", "b")]).await.unwrap();
    assert_eq!(store.document("plugin-file", "b").await.unwrap(), None);
    assert_eq!(store.document_ids("plugin-file").await.unwrap(), ["a", "c"]);
}

pub(crate) async fn a_document_may_grow_large_and_small_again(store: Arc<dyn Store>) {
    // The two that would share their rows if names were not told apart, on both sides of every bound.
    let lengths = [3 * MIB + 1, 0, 64 * 1024, 64 * 1024 + 1, MIB, MIB + 1, 1, 5 * MIB, MIB - 8 * 1024, 2 * MIB];
    for length in lengths {
        let (one, other) = (large("k", "a", length), large("ka", "", MIB + length));
        store
            .change_documents(vec![put("k", "a", "passing"), one.clone(), put("k", "b", "x"), other.clone()])
            .await
            .unwrap();
        assert!(store.document("k", "a").await.unwrap() == one.body, "{length}");
        assert!(store.document("ka", "").await.unwrap() == other.body, "{length}");
        assert_eq!(store.document_ids("k").await.unwrap(), ["a", "b"]);
        let all = store.documents("k").await.unwrap();
        assert!(all == [("a".to_owned(), one.body.unwrap()), ("b".to_owned(), bytes("x"))], "{length}");
    }
    store
        .change_documents(vec![large("k", "a", MIB), delete("k", "a"), large("k", "b", MIB), put("k", "b", "y")])
        .await
        .unwrap();
    assert_eq!(store.documents("k").await.unwrap(), [("b".to_owned(), bytes("y"))]);
}

pub(crate) async fn many_documents_are_read_whole_though_they_are_large_together(store: Arc<dyn Store>) {
    let changes: Vec<DocumentChange> =
        (0..100).map(|number| large("k", &format!("{number:02}"), 30_000 + number)).collect();
    store.change_documents(changes.clone()).await.unwrap();
    let all = store.documents("k").await.unwrap();
    let expected: Vec<(String, Bytes)> = changes.into_iter().map(|change| (change.id, change.body.unwrap())).collect();
    assert!(all == expected);
}
