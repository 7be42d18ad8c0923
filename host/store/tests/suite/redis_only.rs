//! The shared store: several hosts, a server that goes away, what the server keeps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use confab_store::{BeginTurn, LanePause, StoreError};
use tokio::time::timeout;

use crate::documents::{MIB, large, put};
use crate::harness::{LONG, Turns as _, answer, bytes, commit, eventually, key, options, turn};
use crate::redis_server::{RedisServer, shared};

pub(crate) async fn raw(url: &str, command: &redis::Cmd) -> redis::Value {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    command.query_async(&mut connection).await.unwrap()
}

fn within(call: Instant) -> bool {
    call.elapsed() < confab_store::redis_store::OPERATION_TIMEOUT + Duration::from_secs(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_take_turns() {
    let (_server, url) = shared();
    let hosts = [confab_store::open(&url).await.unwrap(), confab_store::open(&url).await.unwrap()];
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let host = Arc::clone(&hosts[number % 2]);
            tokio::spawn(async move {
                let open = host.open_turn(&key("c"), options()).await.unwrap();
                let head = open.head.map_or(0, |head| String::from_utf8_lossy(&head).parse::<u32>().unwrap());
                host.close_turn(open.lease, commit(&(head + 1).to_string(), &["x"])).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(hosts[0].head(&key("c")).await.unwrap(), Some(bytes("20")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_is_busy_waits_and_takes_over() {
    let (_server, url) = shared();
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    let held = one
        .open_turn(&key("c"), BeginTurn { wait: LONG, hold: Duration::from_millis(300), ..options() })
        .await
        .unwrap();
    let refused = other.open_turn(&key("c"), BeginTurn { wait: Duration::ZERO, hold: LONG, ..options() }).await;
    assert_eq!(refused.unwrap_err(), StoreError::Busy);
    let taken = other.open_turn(&key("c"), options()).await.unwrap();
    assert!(taken.lease.fence > held.lease.fence);
    assert_eq!(one.close_turn(held.lease, commit("late", &[])).await.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(other.close_turn(taken.lease, commit("good", &[])).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_hears_of_changed_documents() {
    let (_server, url) = shared();
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    let mut watched = other.config_version();
    for body in ["1", "2", "3"] {
        let version = one.change_documents(vec![put("bot", "a", body), put("tenant", "t", body)]).await.unwrap();
        timeout(LONG, watched.wait_for(|seen| *seen == version)).await.unwrap().unwrap();
        assert_eq!(other.document("bot", "a").await.unwrap(), Some(bytes(body)));
        assert_eq!(other.document("tenant", "t").await.unwrap(), Some(bytes(body)));
    }
}

/// Bytes that the server has sent since it started.
async fn sent(url: &str) -> usize {
    let info: String = redis::from_redis_value(raw(url, redis::cmd("INFO").arg("stats")).await).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("total_net_output_bytes:")).unwrap();
    line.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_document_is_sent_to_nobody_who_did_not_ask_for_it() {
    // A server of its own: it counts what it sends to all.
    let server = RedisServer::start(&[]);
    let url = server.url(0);
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    let mut watched = other.config_version();
    let file = large("plugin-file", "p", 64 * MIB);
    let version = one.change_documents(vec![file.clone(), put("bot", "b", "1")]).await.unwrap();
    timeout(LONG, watched.wait_for(|seen| *seen == version)).await.unwrap().unwrap();
    assert_eq!(other.documents("bot").await.unwrap().len(), 1);
    assert_eq!(other.document_ids("plugin-file").await.unwrap(), ["p"]);
    assert_eq!(other.document("plugin-file", "none").await.unwrap(), None);
    let before = sent(&url).await;
    assert!(before < MIB, "{before} bytes");
    assert!(other.document("plugin-file", "p").await.unwrap() == file.body);
    assert!(sent(&url).await > 64 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_document_has_more_time_than_a_small_one() {
    let server = RedisServer::start(&[]);
    let url = server.url(0);
    let store = confab_store::open(&url).await.unwrap();
    // For longer than a small call waits for its answer, scripts stand still.
    raw(&url, redis::cmd("CLIENT").arg("PAUSE").arg(4_000).arg("WRITE")).await;
    let file = large("plugin-file", "p", 64 * MIB);
    let (small, large) =
        tokio::join!(store.change_documents(vec![put("bot", "b", "1")]), store.change_documents(vec![file.clone()]),);
    assert!(matches!(small, Err(StoreError::Unavailable { .. })), "{small:?}");
    large.unwrap();
    assert!(store.document("plugin-file", "p").await.unwrap() == file.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_document_works_when_the_server_forgot_the_scripts_and_the_connections() {
    let server = RedisServer::start(&["--requirepass", "secret"]);
    let url = format!("redis://:secret@127.0.0.1:{}/3", server.port);
    let store = confab_store::open(&url).await.unwrap();
    let file = large("plugin-file", "p", 2 * MIB);
    store.change_documents(vec![file.clone()]).await.unwrap();
    raw(&url, redis::cmd("SCRIPT").arg("FLUSH")).await;
    raw(&url, redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
    store.change_documents(vec![file.clone()]).await.unwrap();
    raw(&url, redis::cmd("SCRIPT").arg("FLUSH")).await;
    assert!(store.document("plugin-file", "p").await.unwrap() == file.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_append_to_one_log_and_a_deleted_one_leaves_no_key() {
    let (_server, url) = shared();
    let hosts = [confab_store::open(&url).await.unwrap(), confab_store::open(&url).await.unwrap()];
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let host = Arc::clone(&hosts[number % 2]);
            tokio::spawn(async move { host.append_records("l", vec![bytes(number.to_string())], 100).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let records = hosts[0].records("l", None, 99).await.unwrap();
    assert_eq!(records.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=40).rev().collect::<Vec<_>>());
    assert_eq!(hosts[1].records("l", None, 99).await.unwrap(), records);
    hosts[1].delete_records("l").await.unwrap();
    let redis::Value::Array(keys) = raw(&url, redis::cmd("KEYS").arg("*")).await else { panic!("no list") };
    let names: Vec<String> = keys.iter().map(|name| redis::from_redis_value_ref(name).unwrap()).collect();
    assert_eq!(names, ["confab:{records}:last"], "only the count stays, so that no number comes again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_of_a_conversation_expires_and_a_lock_leaves_none() {
    let (_server, url) = shared();
    let store = confab_store::open(&url).await.unwrap();
    let mut first = commit("one", &["a"]);
    first.answers = answer("request", "200");
    turn(&*store, &key("c"), first).await;
    let redis::Value::Array(keys) = raw(&url, redis::cmd("KEYS").arg("*")).await else { panic!("no list") };
    let mut names: Vec<String> = keys.iter().map(|name| redis::from_redis_value_ref(name).unwrap()).collect();
    names.sort();
    let tag = "confab:{p19-78}:c/tenant/bot/c";
    assert_eq!(names, ["answers", "answers-due", "log", "meta"].map(|part| format!("{tag}:{part}")));
    for name in names {
        let longest = if name.contains("answers") { 60_000 } else { 3_600_000 };
        let redis::Value::Int(left) = raw(&url, redis::cmd("PTTL").arg(&name)).await else { panic!("no number") };
        assert!(left > longest - 30_000 && left <= longest, "{name}: {left}");
    }
    let held = store.open_turn(&key("d"), options()).await.unwrap();
    let redis::Value::Int(left) = raw(&url, redis::cmd("PTTL").arg("confab:{p52-332}:c/tenant/bot/d:lock")).await
    else {
        panic!("no number")
    };
    assert!(left > 0, "a lock that is never given back must go by itself");
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_loaded_again_when_the_server_forgot_them() {
    // A server of its own: what is done to it would hit other tests' stores too.
    let server = RedisServer::start(&[]);
    let url = server.url(0);
    let store = confab_store::open(&url).await.unwrap();
    turn(&*store, &key("c"), commit("one", &[])).await;
    raw(&url, redis::cmd("SCRIPT").arg("FLUSH")).await;
    assert_eq!(turn(&*store, &key("c"), commit("two", &[])).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_not_noticed_by_a_turn() {
    // A server of its own: what is done to it would hit other tests' stores too.
    let server = RedisServer::start(&[]);
    let url = server.url(0);
    let store = confab_store::open(&url).await.unwrap();
    for number in 1..=5 {
        let open = store.open_turn(&key("c"), options()).await.unwrap();
        raw(&url, redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
        assert_eq!(store.close_turn(open.lease, commit("x", &["y"])).await.unwrap(), number);
    }
    assert_eq!(store.transcript(&key("c"), 0, 9).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_is_unavailable_within_bounds_and_comes_back() {
    let server = RedisServer::start(&[]);
    let (url, port) = (server.url(0), server.port);
    let store = confab_store::open(&url).await.unwrap();
    let held = store.open_turn(&key("c"), options()).await.unwrap();
    drop(server);
    let since = Instant::now();
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(within(since));
    let since = Instant::now();
    assert!(matches!(store.open_turn(&key("d"), options()).await, Err(StoreError::Unavailable { .. })));
    assert!(within(since));
    let since = Instant::now();
    let lost = store.close_turn(held.lease, commit("x", &[])).await;
    assert!(matches!(lost, Err(StoreError::Unavailable { .. })));
    assert!(within(since));
    let since = Instant::now();
    assert!(matches!(confab_store::open(&url).await.map(drop), Err(StoreError::Unavailable { .. })));
    assert!(within(since));

    let _server = RedisServer::start_on(port, &[]).unwrap();
    eventually("the store has found its server again", || async { store.ping().await.is_ok() }).await;
    assert_eq!(turn(&*store, &key("c"), commit("again", &[])).await, 1);
    let mut watched = store.config_version();
    let host = confab_store::open(&url).await.unwrap();
    let version = host.change_documents(vec![put("bot", "a", "1")]).await.unwrap();
    timeout(LONG, watched.wait_for(|seen| *seen == version)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_but_never_answers_is_unavailable_within_bounds() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://:hunter2@{}", silent.local_addr().unwrap());
    let since = Instant::now();
    let refused = confab_store::open(&url).await.map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused}");
    assert!(within(since));
    assert!(!refused.to_string().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_work_and_stay_out_of_errors() {
    let server = RedisServer::start(&["--requirepass", "correct horse"]);
    let port = server.port;
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{port}/0");
    let store = confab_store::open(&url("correct%20horse")).await.unwrap();
    turn(&*store, &key("c"), commit("x", &[])).await;
    for wrong in ["hunter2", ""] {
        let refused = confab_store::open(&url(wrong)).await.map(drop).unwrap_err();
        assert!(matches!(refused, StoreError::Misconfigured { .. }), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
    drop(server);
    let down = confab_store::open(&url("hunter2")).await.map(drop).unwrap_err();
    assert!(matches!(down, StoreError::Unavailable { .. }));
    assert!(!format!("{down} {down:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hosts_share_a_schedule_and_its_pause() {
    let (_server, url) = shared();
    let hour = Duration::from_secs(3_600);
    let step = |take_within: Option<Duration>, pause: LanePause| confab_store::PaceStep {
        schedule: "shop/erp".to_owned(),
        lane: "api".to_owned(),
        paces: vec![confab_store::Pace { interval_us: 3_600_000_000, tolerance_us: 3 * 3_600_000_000 }],
        take_within,
        pause,
    };
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(confab_store::open(&url).await.unwrap());
    }
    let tasks: Vec<_> = (0..12)
        .map(|number| {
            let (host, step) = (Arc::clone(&hosts[number % 3]), step(Some(hour * 100), LanePause::Keep));
            tokio::spawn(async move { host.pace(step).await.unwrap() })
        })
        .collect();
    let mut hours = Vec::new();
    for task in tasks {
        let paced = task.await.unwrap();
        assert!(paced.taken);
        hours.push((paced.wait + hour / 2).as_secs() / 3_600);
    }
    hours.sort_unstable();
    assert_eq!(hours, [0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    hosts[0].pace(step(None, LanePause::AtLeast(hour * 50))).await.unwrap();
    let seen = hosts[2].pace(step(Some(hour), LanePause::Keep)).await.unwrap();
    assert!(!seen.taken && seen.paused > hour * 49, "{seen:?}");
    // It goes with what it says: nothing is kept for ever.
    let keys = raw(&url, redis::cmd("PTTL").arg("confab:pace:shop/erp")).await;
    assert!(matches!(keys, redis::Value::Int(ms) if ms > 0), "{keys:?}");
}
