//! Plugin data.

use std::sync::Arc;

use bytes::Bytes;
use confab_store::{Store, StoreError, Tally};

use crate::harness::bytes;

pub(crate) async fn values_can_be_set_read_and_deleted(store: Arc<dyn Store>) {
    assert_eq!(store.kv_get("s", "k").await.unwrap(), None);
    store.kv_set("s", "k", bytes("1")).await.unwrap();
    store.kv_set("s", "k", Bytes::from_static(&[0, 255, b'\r', b'\n'])).await.unwrap();
    assert_eq!(store.kv_get("s", "k").await.unwrap(), Some(Bytes::from_static(&[0, 255, b'\r', b'\n'])));
    assert_eq!(store.kv_get("", "sk").await.unwrap(), None);
    assert_eq!(store.kv_insert("s", "k", bytes("2")).await.unwrap(), Some(Bytes::from_static(&[0, 255, b'\r', b'\n'])));
    assert!(store.kv_delete("s", "k").await.unwrap());
    assert!(!store.kv_delete("s", "k").await.unwrap());
    assert!(store.kv_scan("s", "", None, 10).await.unwrap().is_empty());
    assert_eq!(store.kv_insert("s", "k", Bytes::new()).await.unwrap(), None);
    assert_eq!(store.kv_get("s", "k").await.unwrap(), Some(Bytes::new()));
}

pub(crate) async fn a_scan_is_in_byte_order_and_pages(store: Arc<dyn Store>) {
    let mut names = vec![
        "",
        "a",
        "a\0",
        "a b",
        "aa",
        "ab",
        "b",
        "(",
        "[",
        "a/{x}",
        "aä",
        "a€",
        "a😀",
        "a\u{10FFFF}",
        "\u{7f}",
        "Z",
        "a\n",
        "a%",
    ];
    for name in &names {
        store.kv_set("a}s/{", name, bytes(*name)).await.unwrap();
        store.kv_set("a}s/{2", name, bytes("other")).await.unwrap();
    }
    names.sort_unstable();
    let all = store.kv_scan("a}s/{", "", None, 100).await.unwrap();
    assert_eq!(all, names.iter().map(|name| ((*name).to_owned(), bytes(*name))).collect::<Vec<_>>());
    for prefix in ["a", "", "a\u{10FFFF}", "(", "none"] {
        let expected: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(prefix)).collect();
        let mut seen: Vec<String> = Vec::new();
        loop {
            let page = store.kv_scan("a}s/{", prefix, seen.last().map(String::as_str), 2).await.unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 2);
            seen.extend(page.into_iter().map(|(name, _)| name));
        }
        assert_eq!(seen, expected, "{prefix:?}");
    }
    let before_prefix = store.kv_scan("a}s/{", "b", Some("a"), 9).await.unwrap();
    assert_eq!(before_prefix.len(), 1);
    assert!(store.kv_scan("a}s/{", "a", Some("b"), 9).await.unwrap().is_empty());
    assert!(store.kv_scan("a}s/{", "", None, 0).await.unwrap().is_empty());
    assert_eq!(store.kv_scan("a}s/{", "", None, usize::MAX).await.unwrap().len(), names.len());
}

pub(crate) async fn twenty_inserts_have_one_winner(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.kv_insert("s", "k", bytes(number.to_string())).await.unwrap() })
        })
        .collect();
    let mut winners = Vec::new();
    let mut found = Vec::new();
    for (number, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            None => winners.push(bytes(number.to_string())),
            Some(value) => found.push(value),
        }
    }
    assert_eq!(winners.len(), 1);
    assert!(found.iter().all(|value| *value == winners[0]));
    assert_eq!(store.kv_get("s", "k").await.unwrap().as_ref(), winners.first());
}

pub(crate) async fn numbers_add_up_and_refuse_other_values(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.kv_add("s", "n", 3).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(store.kv_add("s", "n", -61).await.unwrap(), -1);
    assert_eq!(store.kv_get("s", "n").await.unwrap(), Some(bytes("-1")));
    assert_eq!(store.kv_scan("s", "", None, 9).await.unwrap().len(), 1);
    assert_eq!(store.kv_add("s", "big", i64::MAX).await.unwrap(), i64::MAX);
    store.kv_set("s", "text", bytes(" 5")).await.unwrap();
    for (key, delta) in [("big", 1), ("text", 1)] {
        let refused = store.kv_add("s", key, delta).await.unwrap_err();
        assert_eq!(refused, StoreError::NotANumber { key: key.to_owned() });
    }
    assert_eq!(store.kv_get("s", "big").await.unwrap(), Some(bytes(i64::MAX.to_string())));
}

async fn number(store: &dyn Store, key: &str) -> String {
    let value = store.kv_get("s", key).await.unwrap().unwrap();
    String::from_utf8(value.to_vec()).unwrap()
}

fn steps(steps: &[(&str, Tally)]) -> Vec<(String, Tally)> {
    steps.iter().map(|(key, tally)| ((*key).to_owned(), *tally)).collect()
}

pub(crate) async fn a_tally_makes_all_its_steps_or_none(store: Arc<dyn Store>) {
    store.kv_tally("s", Vec::new()).await.unwrap();
    assert!(store.kv_scan("s", "", None, 9).await.unwrap().is_empty());
    let first = [
        ("calls", Tally::Add(2)),
        ("peak", Tally::Max(10)),
        ("low", Tally::Max(-7)),
        ("calls", Tally::Add(-5)),
        ("odd}/{\0 ä", Tally::Add(0)),
        ("", Tally::Add(1)),
    ];
    store.kv_tally("s", steps(&first)).await.unwrap();
    assert_eq!(number(&*store, "calls").await, "-3");
    assert_eq!(number(&*store, "low").await, "-7", "the largest so far is the only one");
    let second = [("peak", Tally::Max(9)), ("low", Tally::Max(-8)), ("peak", Tally::Add(1)), ("peak", Tally::Max(10))];
    store.kv_tally("s", steps(&second)).await.unwrap();
    assert_eq!(number(&*store, "peak").await, "11");
    assert_eq!(number(&*store, "low").await, "-7");
    assert_eq!(store.kv_add("s", "calls", 4).await.unwrap(), 1);
    store.kv_tally("s", steps(&[("calls", Tally::Max(100)), ("low", Tally::Max(3))])).await.unwrap();
    assert_eq!((number(&*store, "calls").await, number(&*store, "low").await), ("100".to_owned(), "3".to_owned()));

    for wrong in
        ["", " 5", "+5", "05", "-0", "5 ", "x", "1.5", "9223372036854775808", "-9223372036854775809", "5\0", "\n"]
    {
        store.kv_set("s", "text", bytes(wrong)).await.unwrap();
        for tally in [Tally::Add(1), Tally::Max(1)] {
            let refused =
                store.kv_tally("s", steps(&[("calls", Tally::Add(1)), ("text", tally), ("new", tally)])).await;
            assert_eq!(refused.unwrap_err(), StoreError::NotANumber { key: "text".to_owned() }, "{wrong:?}");
        }
    }
    assert_eq!(number(&*store, "calls").await, "100");
    let names: Vec<String> = store.kv_scan("s", "", None, 99).await.unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(names, ["", "calls", "low", "odd}/{\0 ä", "peak", "text"]);
    assert!(store.kv_scan("", "", None, 9).await.unwrap().is_empty());
}

pub(crate) async fn a_tally_stays_within_its_range(store: Arc<dyn Store>) {
    let numbers = [
        i64::MIN,
        i64::MIN + 1,
        -(1 << 60) - 1,
        -(1 << 60),
        -10,
        -9,
        -1,
        0,
        1,
        9,
        10,
        1 << 60,
        (1 << 60) + 1,
        i64::MAX - 1,
        i64::MAX,
    ];
    for before in numbers {
        for step in numbers {
            store.kv_set("s", "sum", bytes(before.to_string())).await.unwrap();
            store.kv_set("s", "top", bytes(before.to_string())).await.unwrap();
            store.kv_tally("s", steps(&[("sum", Tally::Add(step)), ("top", Tally::Max(step))])).await.unwrap();
            assert_eq!(number(&*store, "sum").await, before.saturating_add(step).to_string(), "{before} + {step}");
            assert_eq!(number(&*store, "top").await, before.max(step).to_string(), "{before} or {step}");
        }
    }
    store.kv_tally("s", steps(&[("least", Tally::Add(i64::MIN)), ("least", Tally::Add(-1))])).await.unwrap();
    assert_eq!(number(&*store, "least").await, i64::MIN.to_string());
}

pub(crate) async fn tallies_at_once_are_all_counted(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20_i64)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for step in 0..10 {
                    let peak = Tally::Max(task * 10 + step);
                    store.kv_tally("s", steps(&[("calls", Tally::Add(3)), ("peak", peak)])).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(number(&*store, "calls").await, "600");
    assert_eq!(number(&*store, "peak").await, "199");
}
