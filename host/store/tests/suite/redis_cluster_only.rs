//! What only a cluster does: slots that move, masters that are replaced, hosts that know different nodes.

use std::time::{Duration, Instant};

use confab_store::{BeginTurn, ConversationKey, Once, Push, StoreError, TurnCommit};
use tokio::time::timeout;

use crate::documents::put;
use crate::harness::{LONG, Turns as _, bytes, commit, eventually, key, options, turn};
use crate::redis_cluster::{RedisCluster, ask, shared};
use crate::redis_server::RedisServer;

/// A conversation whose keys lie on the first of three masters, and the slot they lie in.
fn of_the_first(cluster: &RedisCluster, store: &dyn confab_store::Store) -> (ConversationKey, String) {
    let candidates = (0..).map(|number| key(&format!("c{number}")));
    // The first third of the slots has the first third of the partitions.
    let key = candidates.into_iter().find(|key| store.partition_of(&key.to_string()).number() < 20).unwrap();
    let number = store.partition_of(&key.to_string()).number();
    let tags = (0..).map(|x| format!("p{number:02}-{x}"));
    let slots = tags.map(|tag| ask::<u16>(&cluster.nodes[0], &["CLUSTER", "KEYSLOT", &tag]));
    let slot = slots.into_iter().find(|slot| slot / 256 == number).unwrap();
    (key, slot.to_string())
}

fn push(lane: &str) -> Push {
    Push { lane: lane.to_owned(), body: bytes("x"), due_in: Duration::ZERO, once: Once::No }
}

fn id_of(node: &RedisServer) -> String {
    ask(node, &["CLUSTER", "MYID"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_know_different_nodes_share_all_and_hear_of_each_other() {
    let shared = shared().await;
    let gone = format!("redis-cluster://127.0.0.1:1,127.0.0.1:{}", shared.cluster.nodes[2].port);
    let one = confab_store::open(&shared.cluster.url_of(&[0])).await.unwrap();
    let other = confab_store::open(&gone).await.unwrap();
    for number in 0..30 {
        let key = key(&number.to_string());
        assert_eq!(turn(&*one, &key, commit("one", &[])).await, 1);
        assert_eq!(turn(&*other, &key, commit("two", &[])).await, 2);
    }
    let mut watched = other.config_version();
    let version = one.change_documents(vec![put("bot", "a", "1")]).await.unwrap();
    timeout(LONG, watched.wait_for(|seen| *seen == version)).await.unwrap().unwrap();
    // All three have a share of the keys.
    for node in &shared.cluster.nodes {
        assert!(ask::<u64>(node, &["DBSIZE"]) > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_slot_moves_its_turns_wait_and_nothing_is_half_done() {
    let cluster = RedisCluster::start();
    let store = confab_store::open(&cluster.url()).await.unwrap();
    let (key, slot) = of_the_first(&cluster, &*store);
    let [from, to, _] = [&cluster.nodes[0], &cluster.nodes[1], &cluster.nodes[2]];
    assert_eq!(turn(&*store, &key, commit("before", &["a"])).await, 1);
    let running = store.open_turn(&key, options()).await.unwrap();
    let _ok: () = ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id_of(from)]);
    let _ok: () = ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id_of(to)]);
    // The keys of a new lane are at neither node, so nobody can say where the commit belongs.
    let pushes = vec![push("lane")];
    let refused = store.commit_turn(running.lease, TurnCommit { pushes, ..commit("half", &["half"]) }).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert_eq!(store.head(&key).await.unwrap(), Some(bytes("before")));
    let names: Vec<String> = ask(from, &["CLUSTER", "GETKEYSINSLOT", &slot, "99"]);
    let port = to.port.to_string();
    for name in &names {
        let _ok: () = ask(from, &["MIGRATE", "127.0.0.1", &port, name, "0", "5000"]);
    }
    // What has gone is asked for at the other node.
    assert_eq!(store.head(&key).await.unwrap(), Some(bytes("before")));
    let refused = store.open_turn(&key, BeginTurn { wait: Duration::ZERO, ..options() }).await.map(drop);
    assert!(matches!(refused, Err(StoreError::Unavailable { .. } | StoreError::Busy)), "{refused:?}");
    for node in [to, from, &cluster.nodes[2]] {
        let _ok: () = ask(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &id_of(to)]);
    }
    eventually("turns go on", || async { store.open_turn(&key, options()).await.is_ok() }).await;
    assert_eq!(turn(&*store, &key, commit("moved", &["b"])).await, 2);
    assert_eq!(store.transcript(&key, 0, 9).await.unwrap(), [(1, bytes("a")), (2, bytes("b"))]);
    assert!(store.take_lanes(9, 9).await.unwrap().is_empty());
    assert!(store.delete_conversation(&key).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_fails_is_unavailable_within_bounds_until_its_replica_takes_over() {
    let mut cluster = RedisCluster::start();
    let store = confab_store::open(&cluster.url()).await.unwrap();
    let replica = cluster.add_replica_of_the_first();
    let (key, _) = of_the_first(&cluster, &*store);
    turn(&*store, &key, commit("before", &["a"])).await;
    eventually("the replica has it", || async {
        ask::<u64>(&replica, &["DBSIZE"]) == ask::<u64>(&cluster.nodes[0], &["DBSIZE"])
    })
    .await;
    drop(cluster.nodes.remove(0));
    let since = Instant::now();
    let refused = store.open_turn(&key, options()).await.map(drop);
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(since.elapsed() < 2 * confab_store::redis_store::OPERATION_TIMEOUT + Duration::from_secs(2));
    // The others need not agree first: that would take until they are sure that it failed.
    let _ok: () = ask(&replica, &["CLUSTER", "FAILOVER", "TAKEOVER"]);
    eventually("the replica serves", || async { store.head(&key).await == Ok(Some(bytes("before"))) }).await;
    assert_eq!(turn(&*store, &key, commit("after", &["b"])).await, 2);
    eventually("all is well", || async { store.ping().await.is_ok() }).await;
    store.push(store.partition_of(&key.to_string()), vec![push("lane")]).await.unwrap();
    assert_eq!(store.take_lanes(9, 9).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_of_a_cluster_work_and_stay_out_of_errors() {
    let cluster = RedisCluster::start();
    for node in &cluster.nodes {
        let _ok: () = ask(node, &["CONFIG", "SET", "requirepass", "correct horse"]);
    }
    let address = |password: &str| cluster.url().replace("redis-cluster://", &format!("redis-cluster://:{password}@"));
    let store = confab_store::open(&address("correct%20horse")).await.unwrap();
    assert_eq!(turn(&*store, &key("c"), commit("x", &[])).await, 1);
    for wrong in [address("hunter2"), cluster.url()] {
        let refused = confab_store::open(&wrong).await.map(drop).unwrap_err();
        assert!(matches!(refused, StoreError::Misconfigured { .. }), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_nodes_is_unavailable_within_bounds() {
    let since = Instant::now();
    let refused = confab_store::open("redis-cluster://127.0.0.1:1,127.0.0.1:2").await.map(drop).unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
    assert!(since.elapsed() < confab_store::redis_store::OPERATION_TIMEOUT + Duration::from_secs(2));
}
