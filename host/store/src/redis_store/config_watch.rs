//! Hears what other hosts did: configuration changes, and what `signals.rs` passes on.
//!
//! A message on a channel tells at once; messages get lost when a connection breaks, so the version key is also read
//! once a second. Whatever woke it, what counts is the key.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::keys::{CONFIG_CHANNEL, CONFIG_VERSION, LANES_CHANNEL, TURNS_CHANNEL};
use super::link::{Link, Repeat};
use super::signals::Signals;
use crate::error::StoreError;

/// The longest that a change goes unnoticed. One GET a second and host is nothing to a Redis server.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Reads the version; 0 before the first change.
pub(super) async fn read_version(link: &Link) -> Result<u64, StoreError> {
    let mut get = redis::cmd("GET");
    get.arg(CONFIG_VERSION);
    let version: Option<u64> = link.send("read the configuration version", Repeat::Safe, &get).await?;
    Ok(version.unwrap_or(0))
}

/// Sets the version if it differs.
pub(super) fn announce(version: u64, seen: &watch::Sender<u64>) {
    seen.send_if_modified(|known| std::mem::replace(known, version) != version);
}

/// Runs until it is aborted.
pub(super) async fn run(link: Link, seen: watch::Sender<u64>, signals: Arc<Signals>) {
    let mut tick = interval(POLL_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut messages: Option<BoxStream<'static, redis::Msg>> = None;
    let mut told_of_failure = false;
    loop {
        match &mut messages {
            Some(stream) => tokio::select! {
                message = stream.next() => match message {
                    None => messages = None,
                    Some(message) if message.get_channel_name() == CONFIG_CHANNEL => {}
                    Some(message) => {
                        signals.hear(message.get_channel_name(), &String::from_utf8_lossy(message.get_payload_bytes()));
                        continue;
                    }
                },
                _ = tick.tick() => {}
            },
            None => {
                tick.tick().await;
                messages = subscribe(&link).await.ok();
            }
        }
        match read_version(&link).await {
            Ok(version) => {
                announce(version, &seen);
                told_of_failure = false;
            }
            Err(error) if !told_of_failure => {
                tracing::warn!(%error, "configuration changes of other hosts can't be seen for now");
                told_of_failure = true;
            }
            Err(_) => {}
        }
    }
}

async fn subscribe(link: &Link) -> Result<BoxStream<'static, redis::Msg>, StoreError> {
    let mut connection = link.listen().await?;
    connection
        .subscribe(&[CONFIG_CHANNEL, LANES_CHANNEL, TURNS_CHANNEL])
        .await
        .map_err(|_| StoreError::unavailable("listen to other hosts", "the server refused to subscribe"))?;
    Ok(connection.into_on_message().boxed())
}
