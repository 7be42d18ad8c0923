//! The two kinds of connection behind one type: to one server, and to a cluster.
//!
//! To one server redis' `ConnectionManager` multiplexes all calls and reconnects in the background. To a cluster
//! redis' `ClusterConnection` knows which master has which slots and keeps a connection to each. It would also repeat
//! calls that met a lost connection, whatever they are; so its own retries are off, and `link.rs`, which knows what may
//! be repeated, does all of it. What the connection still does by itself is to learn of moved slots.
//!
//! It would reconnect by itself too, but when a master is lost it may wait for itself for ever: its task asks for a
//! lock whose turn is with a reconnection that the same task polls only later (redis 1.8.1; seen in one of three
//! failovers). And while no node can be reached it tries again without a pause. So a connection that met an error of
//! the network or did not answer in time is given up, and the next call makes a new one.
//!
//! A slot that is being moved answers `ASK`: the call is to be sent to the other node, once, after `ASKING`. The two go
//! there in one write, so that nothing comes between them on the shared connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::SingleNodeRoutingInfo;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind,
};

use super::link::{CONNECT_RETRIES, CONNECT_TIMEOUT, LONGEST_RETRY_PAUSE, RESPONSE_TIMEOUT, RETRY_PAUSE};
use crate::address::RedisLocation;

#[derive(Clone)]
pub(super) enum Wire {
    One(ConnectionManager),
    Cluster(Arc<Nodes>),
}

/// The connection to a cluster, as long as it is good.
pub(super) struct Nodes {
    client: Arc<ClusterClient>,
    current: Mutex<Option<Current>>,
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Current {
    number: u64,
    connection: ClusterConnection,
}

impl Nodes {
    async fn current(&self) -> RedisResult<Current> {
        if let Some(current) = self.current.lock().clone() {
            return Ok(current);
        }
        let _alone = self.connecting.lock().await;
        if let Some(current) = self.current.lock().clone() {
            return Ok(current);
        }
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let connection = self.client.get_async_connection().await?;
        let current = Current { number: NUMBERS.fetch_add(1, Ordering::Relaxed), connection };
        *self.current.lock() = Some(current.clone());
        Ok(current)
    }

    /// Gives the connection up if the call met an error of the network on it.
    fn ended<T>(&self, number: u64, ended: RedisResult<T>) -> RedisResult<T> {
        ended.inspect_err(|error| {
            if error.is_io_error() || error.is_timeout() || error.kind() == ErrorKind::ClusterConnectionNotFound {
                self.current.lock().take_if(|current| current.number == number);
            }
        })
    }
}

/// What makes further connections.
#[derive(Clone)]
pub(super) enum Clients {
    One(Client),
    /// The cluster, and each node that the address names.
    Cluster(Arc<ClusterClient>, Vec<Client>),
}

/// A connection that one large call has for itself.
pub(super) enum OwnWire {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Clients {
    pub(super) fn of(location: &RedisLocation) -> RedisResult<Self> {
        let clients = location.nodes.iter().map(|node| Client::open(node.clone()));
        if location.cluster {
            let builder = ClusterClientBuilder::new(location.nodes.clone()).response_timeout(RESPONSE_TIMEOUT);
            Ok(Self::Cluster(Arc::new(of_cluster(builder)?), clients.collect::<RedisResult<_>>()?))
        } else {
            let mut clients = clients;
            clients.next().unwrap_or_else(|| Err(nothing_named())).map(Self::One)
        }
    }

    pub(super) async fn connect(&self) -> RedisResult<Wire> {
        match self {
            Self::One(client) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(Some(RESPONSE_TIMEOUT))
                    .set_number_of_retries(CONNECT_RETRIES)
                    .set_min_delay(RETRY_PAUSE)
                    .set_max_delay(LONGEST_RETRY_PAUSE);
                ConnectionManager::new_with_config(client.clone(), config).await.map(Wire::One)
            }
            Self::Cluster(client, _) => {
                let (current, connecting) = (Mutex::new(None), tokio::sync::Mutex::new(()));
                let nodes = Nodes { client: Arc::clone(client), current, connecting };
                nodes.current().await?;
                Ok(Wire::Cluster(Arc::new(nodes)))
            }
        }
    }

    /// A connection on which an answer may take its time.
    pub(super) async fn connect_for_one(&self, location: &RedisLocation) -> RedisResult<OwnWire> {
        match self {
            Self::One(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(None);
                client.get_multiplexed_async_connection_with_config(&config).await.map(OwnWire::One)
            }
            Self::Cluster(..) => {
                let builder = ClusterClientBuilder::new(location.nodes.clone()).response_timeout(LONGEST_LARGE);
                of_cluster(builder)?.get_async_connection().await.map(OwnWire::Cluster)
            }
        }
    }

    /// A connection for messages. In a cluster each node hears all of them, so any will do.
    pub(super) async fn listen(&self) -> RedisResult<PubSub> {
        let nodes = match self {
            Self::One(client) => std::slice::from_ref(client),
            Self::Cluster(_, nodes) => nodes,
        };
        let mut refused = nothing_named();
        for node in nodes {
            match tokio::time::timeout(CONNECT_TIMEOUT, node.get_async_pubsub()).await {
                Ok(Ok(messages)) => return Ok(messages),
                Ok(Err(error)) => refused = error,
                Err(_) => {}
            }
        }
        Err(refused)
    }
}

/// Longer than any large call is given by its size: what ends it is its own limit.
const LONGEST_LARGE: std::time::Duration = std::time::Duration::from_secs(600);

fn of_cluster(builder: ClusterClientBuilder) -> RedisResult<ClusterClient> {
    builder.connection_timeout(CONNECT_TIMEOUT).retries(0).build()
}

fn nothing_named() -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "no node of the address can be reached"))
}

impl Wire {
    pub(super) async fn command<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(manager) => command.query_async(&mut manager.clone()).await,
            Self::Cluster(nodes) => {
                let Current { number, connection } = nodes.current().await?;
                nodes.ended(number, by_slot(&connection, command).await)
            }
        }
    }

    pub(super) async fn commands<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        match self {
            Self::One(manager) => commands.query_async(&mut manager.clone()).await,
            Self::Cluster(nodes) => {
                let Current { number, mut connection } = nodes.current().await?;
                nodes.ended(number, commands.query_async(&mut connection).await)
            }
        }
    }
}

impl OwnWire {
    pub(super) async fn command<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => by_slot(connection, command).await,
        }
    }

    pub(super) async fn commands<T: FromRedisValue>(&mut self, commands: &Pipeline) -> RedisResult<T> {
        match self {
            Self::One(connection) => commands.query_async(connection).await,
            Self::Cluster(connection) => commands.query_async(connection).await,
        }
    }
}

async fn by_slot<T: FromRedisValue>(connection: &ClusterConnection, command: &Cmd) -> RedisResult<T> {
    let mut connection = connection.clone();
    let error = match command.query_async(&mut connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => error,
        ended => return ended,
    };
    let node = error.redirect_node().and_then(|(node, _slot)| node.rsplit_once(':'));
    let Some((host, port)) = node.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?))) else {
        return Err(error);
    };
    let mut commands = Pipeline::new();
    commands.cmd("ASKING").add_command(command.clone());
    let at = SingleNodeRoutingInfo::ByAddress { host, port };
    let answers = connection.route_pipeline(commands, 0, 2, at).await?;
    let answer = answers.into_iter().last().ok_or(error)?.extract_error()?;
    Ok(T::from_redis_value(answer)?)
}

/// Whether a cluster's node refused the call before it did anything, for a reason that passes.
pub(super) fn was_refused(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading
        ),
        _ => false,
    }
}
