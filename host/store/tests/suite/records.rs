//! Bounded logs.

use std::sync::Arc;

use bytes::Bytes;
use confab_store::Store;

use crate::harness::bytes;

const ALL: usize = usize::MAX;

/// The records of a log, newest first.
async fn texts(store: &dyn Store, log: &str) -> Vec<String> {
    let records = store.records(log, None, ALL).await.unwrap();
    assert!(records.windows(2).all(|pair| pair[0].0 > pair[1].0), "{records:?}");
    records.into_iter().map(|(_, record)| String::from_utf8(record.to_vec()).unwrap()).collect()
}

async fn append(store: &dyn Store, log: &str, records: &[&str], keep: usize) {
    store.append_records(log, records.iter().map(|record| bytes(*record)).collect(), keep).await.unwrap();
}

pub(crate) async fn records_come_newest_first_and_page(store: Arc<dyn Store>) {
    assert!(store.records("a", None, 9).await.unwrap().is_empty());
    append(&*store, "a", &[], 100).await;
    assert!(store.record_logs("", 9).await.unwrap().is_empty(), "nothing appended, no log made");
    append(&*store, "a", &["1", "2", "3"], 100).await;
    append(&*store, "b", &["other"], 100).await;
    append(&*store, "a", &["4"], 100).await;
    let odd = Bytes::from_static(&[0, 255, b'\r', b'\n']);
    store.append_records("a", vec![Bytes::new(), odd.clone()], 100).await.unwrap();
    let expected = [odd, Bytes::new(), bytes("4"), bytes("3"), bytes("2"), bytes("1")];
    let all = store.records("a", None, ALL).await.unwrap();
    assert_eq!(all.iter().map(|(_, record)| record.clone()).collect::<Vec<_>>(), expected);
    assert!(all.iter().all(|(number, _)| (1..1 << 53).contains(number)), "{all:?}");
    let mut seen: Vec<(u64, Bytes)> = Vec::new();
    loop {
        let page = store.records("a", seen.last().map(|(number, _)| *number), 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 4);
        seen.extend(page);
    }
    assert_eq!(seen, all);
    assert!(store.records("a", None, 0).await.unwrap().is_empty());
    assert!(store.records("a", Some(0), 9).await.unwrap().is_empty());
    assert!(store.records("a", Some(1), 9).await.unwrap().is_empty());
    assert_eq!(store.records("a", Some(u64::MAX), 9).await.unwrap(), all);
    assert_eq!(texts(&*store, "b").await, ["other"]);
}

pub(crate) async fn a_log_keeps_its_newest_and_at_most_a_tenth_more(store: Arc<dyn Store>) {
    append(&*store, "other", &["x", "y"], 100).await;
    for number in 1..=130_usize {
        append(&*store, "a", &[&number.to_string()], 20).await;
        let left = texts(&*store, "a").await;
        assert!(left.len() >= number.min(20) && left.len() <= 22, "{number}: {}", left.len());
        let newest: Vec<String> = (1..=number).rev().take(left.len()).map(|number| number.to_string()).collect();
        assert_eq!(left, newest);
    }
    // More than is kept at once, a smaller bound, none at all.
    let many: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    append(&*store, "a", &many.iter().map(String::as_str).collect::<Vec<_>>(), 20).await;
    let left = texts(&*store, "a").await;
    assert!((20..=22).contains(&left.len()), "{}", left.len());
    assert_eq!(left[0], "999");
    append(&*store, "a", &["last"], 2).await;
    assert_eq!(texts(&*store, "a").await, ["last", "999"]);
    append(&*store, "a", &["gone"], 0).await;
    assert!(texts(&*store, "a").await.is_empty());
    append(&*store, "a", &["1", "2"], usize::MAX).await;
    assert_eq!(texts(&*store, "a").await, ["2", "1"]);
    assert_eq!(texts(&*store, "other").await, ["y", "x"]);
}

pub(crate) async fn no_number_is_used_twice(store: Arc<dyn Store>) {
    let mut last = 0;
    for round in 0..10 {
        for log in ["a", "b"] {
            append(&*store, log, &["x", "y", "z"], 3).await;
            let numbers: Vec<u64> =
                store.records(log, None, 3).await.unwrap().iter().map(|(number, _)| *number).collect();
            assert!(numbers[2] > last, "{numbers:?} after {last}, which came before in this or the other log");
            last = numbers[0];
        }
        if round % 3 == 0 {
            store.delete_records("a").await.unwrap();
            store.delete_records("b").await.unwrap();
        }
    }
}

pub(crate) async fn appenders_at_once_lose_nothing_and_do_not_mix(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for step in 0..10 {
                    let name = |part| format!("{task} {step} {part}");
                    append(&*store, "a", &[&name(1), &name(2), &name(3)], 10_000).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut left = texts(&*store, "a").await;
    assert_eq!(left.len(), 600);
    for together in left.chunks(3) {
        let of = together[0].strip_suffix(" 3").unwrap();
        assert_eq!(together[1..], [format!("{of} 2"), format!("{of} 1")]);
    }
    left.sort_unstable();
    left.dedup();
    assert_eq!(left.len(), 600);
}

pub(crate) async fn logs_with_odd_names_do_not_meet_and_are_listed_by_prefix(store: Arc<dyn Store>) {
    let long = "x".repeat(300);
    let mut names = vec![
        "",
        "a",
        "a/b",
        "a/",
        "a}",
        "{a}",
        "a\0",
        "a\0\0",
        "%2F",
        "aä",
        "a€😀",
        "a\u{10FFFF}",
        "(",
        "[",
        "+",
        "-",
        ":log",
        "\u{1}a",
        "a\n",
        "names",
        long.as_str(),
    ];
    for name in &names {
        append(&*store, name, &[&format!("1 {name}"), &format!("2 {name}")], 9).await;
    }
    names.sort_unstable();
    assert_eq!(store.record_logs("", ALL).await.unwrap(), names);
    assert_eq!(store.record_logs("", 3).await.unwrap(), names[..3]);
    assert!(store.record_logs("", 0).await.unwrap().is_empty());
    for prefix in ["a", "a/", "a\0", "a\u{10FFFF}", "(", "+", "none"] {
        let expected: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(store.record_logs(prefix, ALL).await.unwrap(), expected, "{prefix:?}");
    }
    for name in &names {
        assert_eq!(texts(&*store, name).await, [format!("2 {name}"), format!("1 {name}")]);
    }
    for (deleted, name) in names.iter().enumerate() {
        store.delete_records(name).await.unwrap();
        store.delete_records(name).await.unwrap();
        assert!(texts(&*store, name).await.is_empty());
        assert_eq!(store.record_logs("", ALL).await.unwrap(), names[deleted + 1..]);
    }
}
