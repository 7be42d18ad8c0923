use super::pending::Pending;
use super::*;
use confab_sandbox::Blame;
use std::time::Duration;

fn record(tenant: &str, message: &str) -> FailureRecord {
    FailureRecord {
        id: String::new(),
        at: 1,
        tenant: tenant.into(),
        bot: Some("b".into()),
        connection: None,
        plugin: "p".into(),
        version: "1.0.0".into(),
        digest: "d".into(),
        function: "handle".into(),
        kind: "trap".into(),
        blame: Blame::Guest,
        message: message.into(),
        fuel: 1,
        cpu_us: 1,
        peak_memory: 1,
        wall_us: 1,
        host_calls: 0,
        backtrace: Vec::new(),
        last_lines: Vec::new(),
        conversation: None,
        turn: None,
        request_id: "r".into(),
        endpoint: None,
        method: None,
        path: None,
        status: None,
        attempts: None,
        duration_ms: None,
        provider_request_id: None,
        count: 1,
        suppressed: 0,
    }
}

#[test]
fn equal_failures_become_one_with_a_count_and_others_do_not() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    for _ in 0..7 {
        pending.add(record("shop", "same"), now);
    }
    pending.add(record("shop", "other"), now);
    let panics = |line: &str| FailureRecord { last_lines: vec![line.into(), "bye".into()], ..record("shop", "same") };
    for line in ["panicked at src/lib.rs:1: a", "panicked at src/lib.rs:2: b", "panicked at src/lib.rs:2: b"] {
        pending.add(panics(line), now);
    }
    pending.add(record("bakery", "same"), now);
    let mut batches = pending.drain(now).batches;
    batches.sort_by(|a, b| a.0.cmp(&b.0));
    let counts: Vec<(&str, Vec<u64>)> =
        batches.iter().map(|(tenant, records)| (tenant.as_str(), records.iter().map(|r| r.count).collect())).collect();
    assert_eq!(counts, [("bakery", vec![1]), ("shop", vec![7, 1, 1, 2])]);
    assert!(pending.drain(now).batches.is_empty());
}

#[test]
fn a_tenants_flood_is_cut_at_50_different_ones_a_second_and_what_was_left_out_is_told() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let left_out = (0..200).filter(|n| pending.add(record("shop", &n.to_string()), now).suppressed).count();
    assert_eq!(left_out, 150);
    // Writing them makes no room within the same second, and takes none from another tenant.
    let drained = pending.drain(now);
    assert_eq!(drained.batches[0].1.len(), 50);
    assert_eq!(drained.batches[0].1.iter().map(|r| r.suppressed).sum::<u64>(), 150);
    assert!(pending.add(record("shop", "more"), now).suppressed);
    assert!(!pending.add(record("bakery", "more"), now).suppressed);
    let later = now + WINDOW;
    assert!(!pending.add(record("shop", "later"), later).suppressed);
    let batches = pending.drain(later).batches;
    let shop = batches.iter().find(|(tenant, _)| tenant == "shop").unwrap();
    assert_eq!(shop.1[0].suppressed, 1);
}

#[test]
fn the_log_has_10_lines_a_second_of_a_tenant_and_then_says_how_many_it_has_not() {
    let (mut pending, now) = (Pending::default(), Instant::now());
    let lines = (0..35).filter(|_| pending.add(record("shop", "same"), now).log).count();
    assert_eq!(lines, 10);
    assert!(pending.drain(now).unlogged.is_empty());
    let drained = pending.drain(now + WINDOW);
    assert_eq!(drained.unlogged, [("shop".to_owned(), 25)]);
    assert!(!drained.more);
    assert!(pending.add(record("shop", "same"), now + WINDOW).log);
}

#[test]
fn a_store_that_takes_nothing_does_not_fill_the_memory() {
    let (mut pending, mut now, mut kept) = (Pending::default(), Instant::now(), 0);
    for n in 0..100_000 {
        kept += usize::from(!pending.add(record(&format!("t{}", n % 1_000), &n.to_string()), now).suppressed);
        now += Duration::from_millis(5);
    }
    assert_eq!(kept, 5_000);
}

async fn opened() -> (tempfile::TempDir, Arc<dyn Store>) {
    let dir = tempfile::tempdir().unwrap();
    let store = confab_store::open(&format!("embedded:{}", dir.path().display())).await.unwrap();
    (dir, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_listed_newest_first_by_pages_over_all_tenants_or_one() {
    let (_dir, store) = opened().await;
    let failures = Failures::start(store.clone());
    let (shop, bakery): (TenantId, TenantId) = ("shop".parse().unwrap(), "bakery".parse().unwrap());
    for n in 0..6 {
        failures.record(record(if n % 2 == 0 { "shop" } else { "bakery" }, &format!("m{n}")));
        failures.flush().await;
    }
    let all = FailureFilter::default();
    let messages = |page: &FailurePage| page.failures.iter().map(|r| r.message.clone()).collect::<Vec<_>>();
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = failures.list(None, &all, before, 4).await.unwrap();
        seen.extend(messages(&page));
        match page.next {
            Some(next) => before = Some(next.parse().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, ["m5", "m4", "m3", "m2", "m1", "m0"]);
    assert_eq!(messages(&failures.list(Some(&shop), &all, None, 2).await.unwrap()), ["m4", "m2"]);
    let one = FailureFilter { kind: Some("fuel".into()), ..FailureFilter::default() };
    assert!(failures.list(None, &one, None, 10).await.unwrap().failures.is_empty());
    failures.delete(&shop).await.unwrap();
    assert_eq!(messages(&failures.list(None, &all, None, 10).await.unwrap()), ["m5", "m3", "m1"]);
    assert_eq!(messages(&failures.list(Some(&bakery), &all, None, 10).await.unwrap()), ["m5", "m3", "m1"]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_different_failures_leave_a_bounded_log() {
    let (_dir, store) = opened().await;
    let failures = Failures::start(store.clone());
    let shop: TenantId = "shop".parse().unwrap();
    let mut now = Instant::now();
    for n in 0..10_000 {
        // 25 a second, so that none is left out by the second's limit.
        failures.shared.pending.lock().add(record("shop", &n.to_string()), now);
        now += WINDOW / 25;
        if n % 25 == 24 {
            failures.flush().await;
        }
    }
    failures.flush().await;
    let kept = store.records(&log_of("shop"), None, 20_000).await.unwrap().len();
    assert!((KEEP..=KEEP + KEEP / 10).contains(&kept), "{kept} records are kept");
    let newest = failures.list(Some(&shop), &FailureFilter::default(), None, 1).await.unwrap();
    assert_eq!(newest.failures[0].message, "9999");
    // A filter that finds little reads the whole log, and ends.
    let none = FailureFilter { plugin: Some("other".into()), ..FailureFilter::default() };
    assert!(failures.list(Some(&shop), &none, None, 10).await.unwrap().failures.is_empty());
    store.close().await;
}
