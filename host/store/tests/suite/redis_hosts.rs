//! Several hosts on one server: who comes first, what becomes of a host that is killed, and calls that are sent twice.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use confab_store::{
    Address, Again, BeginTurn, Begun, JournalNote, Lanes as _, Once, Push, RedisStore, Settled, StoreError, TurnCommit,
};
use parking_lot::Mutex;

use crate::harness::{LONG, Turns as _, answer, bytes, commit, eventually, key, options, turn};
use crate::losing_proxy::LosingProxy;
use crate::redis_only::raw;
use crate::redis_server::{RedisServer, shared};

fn push(lane: &str, body: &str) -> Push {
    Push { lane: lane.to_owned(), body: bytes(body), due_in: Duration::ZERO, once: Once::No }
}

fn through(number: u64) -> Settled {
    Settled { through: number, again: Again::Now, note: None, pushes: Vec::new() }
}

async fn with_lane_hold(url: &str, hold: Duration) -> RedisStore {
    let Address::Redis(location) = Address::parse(url).unwrap() else { panic!("not redis") };
    RedisStore::open_with_lane_hold(location, hold).await.unwrap()
}

/// How many turns wait for a lock, as the server knows.
async fn waiting(url: &str) -> usize {
    let names: Vec<String> = redis::from_redis_value(raw(url, redis::cmd("KEYS").arg("*:queue")).await).unwrap();
    match names.first() {
        Some(queue) => redis::from_redis_value(raw(url, redis::cmd("ZCARD").arg(queue)).await).unwrap(),
        None => 0,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_run_in_the_order_in_which_they_came_to_any_host() {
    let (_server, url) = shared();
    let mut hosts = Vec::new();
    for _ in 0..3 {
        hosts.push(confab_store::open(&url).await.unwrap());
    }
    let first = hosts[0].open_turn(&key("c"), options()).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (number, host) in [0, 1, 1, 0, 2, 0, 2, 1, 0].into_iter().enumerate() {
        let (host, order) = (Arc::clone(&hosts[host]), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let open = host.open_turn(&key("c"), options()).await.unwrap();
            order.lock().push(number);
            host.close_turn(open.lease, commit("x", &[])).await.unwrap();
        }));
        eventually("it waits", || async { waiting(&url).await == number + 1 }).await;
    }
    let crowd = BeginTurn { most_waiting: 9, ..options() };
    for host in &hosts {
        assert_eq!(host.open_turn(&key("c"), crowd.clone()).await.unwrap_err(), StoreError::Crowded);
    }
    hosts[0].abandon_turn(first.lease).await;
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock(), (0..9).collect::<Vec<_>>());
    assert_eq!(waiting(&url).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_kept_while_a_task_of_the_same_host_has_the_turn_for_long() {
    let (_server, url) = shared();
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    let running = one.open_turn(&key("c"), options()).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for (number, host) in [&one, &other].into_iter().enumerate() {
        let (host, order) = (Arc::clone(host), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            let open = host.open_turn(&key("c"), options()).await.unwrap();
            order.lock().push(number);
            host.close_turn(open.lease, commit("x", &[])).await.unwrap();
        }));
        eventually("it waits", || async { waiting(&url).await == number + 1 }).await;
    }
    // Longer than the tickets of a host are good after it last asked.
    let since = std::time::Instant::now();
    eventually("time has passed", || async { since.elapsed() > Duration::from_secs(3) }).await;
    one.close_turn(running.lease, commit("x", &[])).await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_host_leaves_neither_its_lock_nor_its_places() {
    let (_server, url) = shared();
    // Its tasks go with its threads, and nothing is given back.
    let killed = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let short = BeginTurn { hold: Duration::from_millis(500), ..options() };
    killed.spawn({
        let url = url.clone();
        async move {
            let host = confab_store::open(&url).await.unwrap();
            let _held = host.open_turn(&key("c"), short).await.unwrap();
            let key = key("c");
            let one = host.open_turn(&key, options());
            let other = host.open_turn(&key, options());
            drop(futures::future::join(one, other).await);
        }
    });
    eventually("its tasks wait", || async { waiting(&url).await == 2 }).await;
    killed.shutdown_background();
    let host = confab_store::open(&url).await.unwrap();
    // Their own waiting time is longer than this one's: it is the dead host that ends their places.
    let wait = Duration::from_secs(15);
    let open = host.open_turn(&key("c"), BeginTurn { wait, ..options() }).await.unwrap();
    assert_eq!(host.close_turn(open.lease, commit("x", &[])).await.unwrap(), 1);
    assert_eq!(waiting(&url).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_another_host_serves_is_in_flight_and_then_answered() {
    let (_server, url) = shared();
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    let same = BeginTurn { answer_key: Some("k".to_owned()), ..options() };
    let running = one.open_turn(&key("c"), same.clone()).await.unwrap();
    assert_eq!(other.begin_turn(&key("c"), same.clone()).await.unwrap_err(), StoreError::InFlight);
    let answered = TurnCommit { answers: answer("k", "200"), ..commit("x", &[]) };
    one.close_turn(running.lease, answered).await.unwrap();
    let begun = other.begin_turn(&key("c"), same).await.unwrap();
    assert!(matches!(&begun, Begun::Answered(body) if *body == bytes("200")), "{begun:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_turn_is_found_by_another_host() {
    let (_server, url) = shared();
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    let held = one.open_turn(&key("c"), BeginTurn { hold: Duration::from_millis(50), ..options() }).await.unwrap();
    let note = JournalNote { turn: Some(bytes("turn")), entries: vec![bytes("1"), bytes("2")], pushes: Vec::new() };
    one.journal(&held.lease, note).await.unwrap();
    let open = other.open_turn(&key("c"), options()).await.unwrap();
    let unfinished = open.unfinished.unwrap();
    assert_eq!((unfinished.turn, unfinished.entries), (bytes("turn"), vec![bytes("1"), bytes("2")]));
    let late = one.journal(&held.lease, JournalNote { entries: vec![bytes("3")], ..JournalNote::default() }).await;
    assert_eq!(late.unwrap_err(), StoreError::LeaseLost);
    assert_eq!(one.renew_turn(&held.lease, LONG).await.unwrap_err(), StoreError::LeaseLost);
    other.close_turn(open.lease, commit("x", &[])).await.unwrap();
    assert!(other.open_turn(&key("c"), options()).await.unwrap().unfinished.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_one_host_is_heard_of_and_done_by_another() {
    let (_server, url) = shared();
    let one = confab_store::open(&url).await.unwrap();
    let other = confab_store::open(&url).await.unwrap();
    for number in 0..200 {
        let lane = format!("lane {number}");
        assert_eq!(one.push(one.partition_of(&lane), vec![push(&lane, "x")]).await.unwrap(), [true]);
    }
    let done = Arc::new(Mutex::new(Vec::new()));
    let workers: Vec<_> = [one, other]
        .into_iter()
        .map(|host| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                while done.lock().len() < 200 {
                    for held in host.take_lanes(7, 1).await.unwrap() {
                        done.lock().push(held.lane.clone());
                        let last = held.entries[0].0;
                        host.settle_lane(held, through(last)).await.unwrap();
                    }
                    if done.lock().len() < 200 {
                        host.work_arrived(LONG).await;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let done = done.lock();
    assert_eq!((done.len(), done.iter().collect::<BTreeSet<_>>().len()), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_of_a_killed_host_is_taken_by_another_and_by_the_same_anew() {
    let (_server, url) = shared();
    let hold = Duration::from_millis(300);
    let one = with_lane_hold(&url, hold).await;
    let other = with_lane_hold(&url, hold).await;
    let partition = one.partition_of("lane");
    one.push(partition, vec![push("lane", "1"), push("lane", "2")]).await.unwrap();
    let lost = one.take_lanes(9, 9).await.unwrap().pop().unwrap();
    assert!(one.extend_lane(&lost).await.unwrap());
    let claimed = Mutex::new(None);
    eventually("it is taken", || async {
        *claimed.lock() = other.take_lanes(9, 9).await.unwrap().pop();
        claimed.lock().is_some()
    })
    .await;
    let claimed = claimed.into_inner().unwrap();
    assert_eq!(claimed.entries, lost.entries);
    assert!(!one.extend_lane(&lost).await.unwrap());
    let refused = one.settle_lane(lost, through(u64::MAX)).await;
    assert_eq!(refused.unwrap_err(), StoreError::LeaseLost);
    // The other host loses it to itself.
    let again = Mutex::new(None);
    eventually("it is taken again", || async {
        *again.lock() = other.take_lanes(9, 9).await.unwrap().pop();
        again.lock().is_some()
    })
    .await;
    assert!(!other.extend_lane(&claimed).await.unwrap());
    assert_eq!(other.settle_lane(claimed, through(u64::MAX)).await.unwrap_err(), StoreError::LeaseLost);
    let again = again.into_inner().unwrap();
    let first = again.entries[0].0;
    other.settle_lane(again, through(first)).await.unwrap();
    assert_eq!(one.lane_entries(partition, "lane", 0, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_nobody_disturbs_is_two_calls() {
    // A server of its own: it counts the calls of all.
    let server = RedisServer::start(&[]);
    let url = server.url(0);
    let calls = async || {
        let info: String = redis::from_redis_value(raw(&url, redis::cmd("INFO").arg("commandstats")).await).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap();
        line.split(',').next().unwrap().parse::<u32>().unwrap()
    };
    let store = confab_store::open(&url).await.unwrap();
    turn(&*store, &key("c"), commit("one", &["a"])).await;
    let before = calls().await;
    let same = BeginTurn { answer_key: Some("k".to_owned()), ..options() };
    let open = store.open_turn(&key("c"), same).await.unwrap();
    let mut all = TurnCommit { answers: answer("k", "200"), record: Some(bytes("r")), ..commit("two", &["b", "c"]) };
    all.pushes = vec![push("lane", "1")];
    store.close_turn(open.lease, all).await.unwrap();
    assert_eq!(calls().await - before, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_twice_is_done_once() {
    let server = RedisServer::start(&[]);
    let proxy = LosingProxy::to(server.port).await;
    let store = confab_store::open(&format!("redis://{}", proxy.address)).await.unwrap();
    // All scripts are known to the server: then it is the run of one whose answer is lost.
    let all = async |name: &str, lossy: bool| {
        let lose = |text: &str| {
            if lossy {
                proxy.lose(text);
            }
        };
        let key = key(name);
        let partition = store.partition_of(&key.to_string());
        let lanes = async || store.lanes(name, 99).await.unwrap();
        let lost = || assert!(!lossy || proxy.has_lost(), "no answer was lost");

        lose(&format!("{name}:lock"));
        let open = store.open_turn(&key, options()).await.unwrap();
        lost();
        lose("note-1");
        let pushes = vec![push(&format!("{name}-noted"), "x")];
        store
            .journal(&open.lease, JournalNote { turn: Some(bytes("t")), entries: vec![bytes("note-1")], pushes })
            .await
            .unwrap();
        lost();
        lose("note-2");
        let note = JournalNote { entries: vec![bytes("note-2")], ..JournalNote::default() };
        store.journal(&open.lease, note).await.unwrap();
        lost();
        store.abandon_turn(open.lease).await;
        let open = store.open_turn(&key, options()).await.unwrap();
        assert_eq!(open.unfinished.unwrap().entries, [bytes("note-1"), bytes("note-2")]);

        lose("head-1");
        let pushes = vec![push(&format!("{name}-committed"), "x")];
        let first = TurnCommit { keep: true, pushes, ..commit("head-1", &["a"]) };
        let first = store.commit_turn(open.lease, first).await.unwrap();
        lost();
        lose("head-2");
        let pushes = vec![push(&format!("{name}-committed"), "y")];
        let second = TurnCommit { pushes, ..commit("head-2", &["b"]) };
        let second = store.commit_turn(first.lease.unwrap(), second).await.unwrap();
        lost();
        assert_eq!((first.turns, second.turns), (1, 2));
        assert_eq!(store.transcript(&key, 0, 9).await.unwrap(), [(1, bytes("a")), (2, bytes("b"))]);

        lose("pushed-once");
        let pushes = vec![push(&format!("{name}-pushed"), "pushed-once")];
        assert_eq!(store.push(partition, pushes).await.unwrap(), [true]);
        lost();
        let lengths = lanes().await.into_iter().map(|lane| lane.length).collect::<Vec<_>>();
        assert_eq!(lengths, [2, 1, 1], "committed, noted, pushed");

        for held in store.take_lanes(9, 9).await.unwrap() {
            lose("settled-once");
            let pushes = vec![push(&format!("{name}-after"), "settled-once")];
            let last = held.entries.last().unwrap().0;
            store.settle_lane(held, Settled { pushes, ..through(last) }).await.unwrap();
            lost();
        }
        let left = lanes().await;
        assert_eq!(left.iter().map(|lane| lane.length).collect::<Vec<_>>(), [3]);
        lose(&format!("{name}-after"));
        assert!(store.drop_lane(partition, &format!("{name}-after")).await.unwrap());
        lost();
        assert!(!store.drop_lane(partition, &format!("{name}-after")).await.unwrap());
    };
    all("warm", false).await;
    all("lossy", true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_after_the_server_was_away() {
    let server = RedisServer::start(&[]);
    let (url, port) = (server.url(0), server.port);
    let store = confab_store::open(&url).await.unwrap();
    let partition = store.partition_of("lane");
    let work = async || {
        store.push(partition, vec![push("lane", "x")]).await.unwrap();
        let held = store.take_lanes(9, 9).await.unwrap().pop().unwrap();
        let last = held.entries.last().unwrap().0;
        store.settle_lane(held, through(last)).await.unwrap();
    };
    work().await;
    drop(server);
    assert!(matches!(store.push(partition, vec![push("lane", "x")]).await, Err(StoreError::Unavailable { .. })));
    eventually("it is seen that the server is away", || async {
        matches!(store.take_lanes(9, 9).await, Err(StoreError::Unavailable { .. }))
    })
    .await;
    // From then on nothing is taken for empty because it was looked at a moment ago.
    assert!(matches!(store.take_lanes(9, 9).await, Err(StoreError::Unavailable { .. })));
    // It comes back with nothing: without its streams and their groups.
    let _server = RedisServer::start_on(port, &[]).unwrap();
    eventually("the store has found its server again", || async { store.ping().await.is_ok() }).await;
    work().await;
}
