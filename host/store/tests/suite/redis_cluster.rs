//! A real Redis Cluster for the tests: three masters, a third of the slots each.
//!
//! A cluster has one database only, so tests that share it run one at a time, each on an empty one.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::redis_server::{RedisServer, free_port};

const SLOTS: u16 = 16_384;

pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

/// The right to use the shared cluster; for its holder it is empty at first.
pub(crate) struct Turn {
    pub(crate) cluster: Arc<RedisCluster>,
    _permit: SemaphorePermit<'static>,
}

static SHARED: Mutex<Weak<RedisCluster>> = Mutex::new(Weak::new());
static TURN: Semaphore = Semaphore::const_new(1);

/// The cluster that the tests of this process share while any of them uses it or waits for it.
pub(crate) async fn shared() -> Turn {
    let cluster = {
        let mut shared = SHARED.lock().unwrap();
        let cluster = shared.upgrade().unwrap_or_else(|| Arc::new(RedisCluster::start()));
        *shared = Arc::downgrade(&cluster);
        cluster
    };
    let _permit = TURN.acquire().await.unwrap();
    for node in &cluster.nodes {
        let _ok: () = ask(node, &["FLUSHALL"]);
    }
    Turn { cluster, _permit }
}

/// Sends a command to this node, whatever its slots.
pub(crate) fn ask<T: redis::FromRedisValue>(node: &RedisServer, words: &[&str]) -> T {
    let mut connection = redis::Client::open(node.url(0)).unwrap().get_connection().unwrap();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]).query(&mut connection).unwrap()
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<RedisServer> = (0..3).map(|_| start_node()).collect();
        for (number, node) in (0_u16..).zip(&nodes) {
            let (first, end) = (SLOTS / 3 * number, if number == 2 { SLOTS } else { SLOTS / 3 * (number + 1) });
            let _ok: () = ask(node, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()]);
            let _ok: () = ask(node, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            if number > 0 {
                let first = &nodes[0];
                let (port, bus) = (first.port.to_string(), first.bus_port.unwrap().to_string());
                let _ok: () = ask(node, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
            }
        }
        let cluster = Self { nodes };
        cluster.wait_until_it_serves();
        cluster
    }

    /// Starts a replica of the first master; it is no node of this cluster's list.
    pub(crate) fn add_replica_of_the_first(&self) -> RedisServer {
        let replica = start_node();
        let first = &self.nodes[0];
        let (port, bus) = (first.port.to_string(), first.bus_port.unwrap().to_string());
        let _ok: () = ask(&replica, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        wait_until("the replica knows the cluster", || {
            ask::<String>(&replica, &["CLUSTER", "INFO"]).contains("cluster_known_nodes:4")
        });
        let _ok: () = ask(&replica, &["CLUSTER", "REPLICATE", &ask::<String>(first, &["CLUSTER", "MYID"])]);
        wait_until("the replica follows", || {
            ask::<String>(&replica, &["INFO", "replication"]).contains("master_link_status:up")
        });
        replica
    }

    /// The address that names the nodes of these numbers.
    pub(crate) fn url_of(&self, nodes: &[usize]) -> String {
        let nodes: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", self.nodes[*node].port)).collect();
        format!("redis-cluster://{}", nodes.join(","))
    }

    pub(crate) fn url(&self) -> String {
        self.url_of(&[0, 1, 2])
    }

    /// Each node has to know all slots: what one has not heard of yet it answers with an error.
    pub(crate) fn wait_until_it_serves(&self) {
        for node in &self.nodes {
            wait_until("the cluster serves", || {
                let info: String = ask(node, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
    }
}

fn wait_until(what: &str, asked: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !asked() {
        assert!(Instant::now() < deadline, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start_node() -> RedisServer {
    for _ in 0..10 {
        let (port, bus) = (free_port(), free_port());
        if let Some(node) = RedisServer::start_in_cluster(port, bus) {
            return node;
        }
    }
    panic!("redis-server did not start ten times");
}
