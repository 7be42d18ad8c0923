use super::*;
use confab_sandbox::CallReport;

fn report(fuel: u64, peak_memory: u64) -> CallReport {
    CallReport { fuel, peak_memory, cpu_us: 600_000, wall_us: 7, host_calls: 2, bytes_out: 3, ..CallReport::default() }
}

async fn opened() -> (tempfile::TempDir, Arc<dyn Store>) {
    let dir = tempfile::tempdir().unwrap();
    let store = confab_store::open(&format!("embedded:{}", dir.path().display())).await.unwrap();
    (dir, store)
}

async fn numbers(store: &Arc<dyn Store>) -> Vec<(String, String)> {
    let all = store.kv_scan("usage/shop", "", None, 1_000).await.unwrap();
    all.into_iter().map(|(key, value)| (key, String::from_utf8(value.to_vec()).unwrap())).collect()
}

fn bot() -> User {
    User::Bot("helper".parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_add_up_in_the_store_and_of_memory_the_largest_counts() {
    let (_dir, store) = opened().await;
    let accounts = Accounts::start(store.clone());
    let account = accounts.of(&"shop".into(), bot(), "flow");
    let day: Date = "2026-11-22".parse().unwrap();
    account.add(&report(10, 500), false);
    account.add(&report(20, 900), true);
    accounts.shared.flush(day).await;
    account.add(&report(5, 100), false);
    accounts.shared.flush(day).await;
    let stored = numbers(&store).await;
    let expected = [
        ("bytes_out", "9"),
        ("calls", "3"),
        ("cpu_us", "1800000"),
        ("failures", "1"),
        ("fuel", "35"),
        ("host_calls", "6"),
        ("peak_memory", "900"),
        ("wall_us", "21"),
    ];
    let expected = expected.map(|(field, value)| (format!("2026-11-22/bot/helper/flow/{field}"), value.to_owned()));
    assert_eq!(stored, expected);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_that_are_too_old_are_deleted_and_no_others() {
    let (_dir, store) = opened().await;
    let accounts = Accounts::start(store.clone());
    let account = accounts.of(&"shop".into(), bot(), "flow");
    for day in ["2026-01-01", "2026-01-02", "2026-04-01", "2026-04-02"] {
        account.add(&report(1, 1), false);
        accounts.shared.flush(day.parse().unwrap()).await;
    }
    let mut days: Vec<String> = numbers(&store).await.into_iter().map(|(key, _)| key[..10].to_owned()).collect();
    days.dedup();
    // 2026-04-02 is 91 days after the first of January and 90 after the second.
    assert_eq!(days, ["2026-01-02", "2026-04-01", "2026-04-02"]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_is_kept() {
    let (_dir, store) = opened().await;
    let accounts = Accounts::start(store.clone());
    let account = accounts.of(&"shop".into(), bot(), "flow");
    account.add(&report(10, 500), false);
    store.close().await;
    accounts.flush().await;
    assert_eq!(account.take(), Fields([1, 0, 10, 600_000, 7, 500, 3, 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_the_same_while_it_is_in_use_and_forgotten_when_it_is_idle_and_nobodys() {
    let (_dir, store) = opened().await;
    let accounts = Accounts::start(store.clone());
    let kept = accounts.of(&"shop".into(), bot(), "flow");
    drop(accounts.of(&"shop".into(), bot(), "other"));
    accounts.flush().await;
    assert!(Arc::ptr_eq(&kept, &accounts.of(&"shop".into(), bot(), "flow")));
    assert_eq!(accounts.shared.accounts.lock().len(), 1);
    store.close().await;
}
