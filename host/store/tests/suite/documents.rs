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
