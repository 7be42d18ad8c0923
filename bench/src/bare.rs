//! Handlers that do a turn's I/O and nothing else: parse the request, load the conversation, write it back with a
//! transcript entry, durably, answer.

use anyhow::{Context, Result};
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use confab_store::{BeginTurn, Begun, ConversationKey, Store, TurnCommit};
use redis::aio::ConnectionManager;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Clone)]
enum Io {
    None,
    /// The embedded store with its group commit: there is no barer way to be on disk.
    Embedded(Arc<dyn Store>),
    /// GET, then SET and RPUSH in one round trip.
    Redis(ConnectionManager),
}

#[derive(Clone)]
struct App {
    io: Io,
    next: Arc<AtomicU64>,
}

#[derive(Deserialize)]
struct Request {
    message: String,
    conversation_id: Option<String>,
}

#[derive(Serialize)]
struct Answer {
    response: String,
    conversation_id: String,
}

/// Bytes of a conversation's head and of a transcript entry, as the echo bot's turns have them.
const HEAD: usize = 120;
const ENTRY: usize = 220;
const DAY_S: u64 = 86_400;

pub(crate) async fn serve(store: &str) -> Result<()> {
    let io = match store {
        "none" => Io::None,
        url if url.starts_with("redis:") => Io::Redis(redis::Client::open(url)?.get_connection_manager().await?),
        url => Io::Embedded(confab_store::open(url).await?),
    };
    let app = App { io, next: Arc::new(AtomicU64::new(1)) };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, Router::new().route("/api/chat", post(chat)).with_state(app)).await.context("serve")
}

async fn chat(State(app): State<App>, Json(request): Json<Request>) -> Json<Answer> {
    let id = request.conversation_id.unwrap_or_else(|| format!("c{}", app.next.fetch_add(1, Ordering::Relaxed)));
    let seen = match &app.io {
        Io::None => 0,
        Io::Embedded(store) => embedded(store, &id).await.unwrap_or_default(),
        Io::Redis(connection) => on_redis(connection.clone(), &id).await.unwrap_or_default(),
    };
    Json(Answer { response: format!("{seen}: {}", request.message), conversation_id: id })
}

async fn embedded(store: &Arc<dyn Store>, id: &str) -> Result<usize> {
    let key = ConversationKey::new("t", "b", id);
    let begin =
        BeginTurn { wait: Duration::from_secs(5), hold: Duration::from_secs(30), most_waiting: 64, answer_key: None };
    let Begun::Open(open) = store.begin_turn(&key, begin).await? else { anyhow::bail!("answered without a key") };
    let seen = open.head.map_or(0, |head| head.len());
    let commit = TurnCommit {
        head: Bytes::from(vec![b'h'; HEAD]),
        entries: vec![Bytes::from(vec![b'e'; ENTRY])],
        expires_in: Duration::from_secs(DAY_S),
        ..TurnCommit::default()
    };
    store.commit_turn(open.lease, commit).await?;
    Ok(seen)
}

async fn on_redis(mut connection: ConnectionManager, id: &str) -> Result<usize> {
    let (head, log) = (format!("bare:{{{id}}}:head"), format!("bare:{{{id}}}:log"));
    let seen: Option<Vec<u8>> = redis::cmd("GET").arg(&head).query_async(&mut connection).await?;
    redis::pipe()
        .cmd("SET")
        .arg(&head)
        .arg(vec![b'h'; HEAD])
        .arg("EX")
        .arg(DAY_S)
        .ignore()
        .cmd("RPUSH")
        .arg(&log)
        .arg(vec![b'e'; ENTRY])
        .ignore()
        .cmd("EXPIRE")
        .arg(&log)
        .arg(DAY_S)
        .ignore()
        .query_async::<()>(&mut connection)
        .await?;
    Ok(seen.map_or(0, |head| head.len()))
}
