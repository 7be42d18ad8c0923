//! The way to the server or the cluster: time limits, repeating after a lost connection, errors without passwords.
//!
//! Connections (`wire.rs`) come back by themselves, but the call that met the lost connection fails.
//! [`Repeat::Safe`] calls are then sent once more; for the others only the caller knows whether that is right. A call
//! that a cluster's node refused, because a slot moves or its master is being replaced, did nothing and is sent again
//! in any case.
//!
//! What is large goes another way: on the shared connection all calls would wait behind 64 MiB until their time is
//! over. So a call above `LARGE` gets a connection of its own and time by its size.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::PubSub;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};
use tokio::time::{sleep, timeout};

use super::call::ScriptCall;
use super::scripts::Script;
use super::wire::{Clients, Wire, was_refused};
use crate::address::RedisLocation;
use crate::error::StoreError;

/// Longest time that any call takes, reconnecting and repeating included; a large one (more than 1 MiB each way)
/// gets a second more for each 4 MiB. Then the answer is `Unavailable`; the
/// visitor should hear 503 before a proxy in front gives up.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// One attempt to connect. A server of the same network answers within milliseconds.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One answer. Scripts run below a millisecond; this covers a server that forks or syncs.
pub(super) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Further attempts to connect before the waiting calls fail, and the pauses between them. With `CONNECT_TIMEOUT`
/// they stay below `OPERATION_TIMEOUT`. The next call begins anew.
pub(super) const CONNECT_RETRIES: usize = 2;
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_RETRY_PAUSE: Duration = Duration::from_millis(200);

/// How often a call is sent again that a cluster refused: for about two seconds, in which moved slots and the new
/// connections are learnt. A master that fails is replaced later than that (after `cluster-node-timeout`).
const MOST_REFUSALS: u32 = 12;

/// How often a call that may be repeated is, when connections break under it. In a cluster the first repetition may meet
/// another broken one.
const MOST_LOST: u32 = 1;
const MOST_LOST_IN_CLUSTER: u32 = 3;

/// Bytes up to which a call shares the connection. A network of 10 Mbit/s moves this within `RESPONSE_TIMEOUT`.
pub(super) const LARGE: u64 = 1024 * 1024;

/// The slowest that a large call may be, in bytes a second: a third of a network of 100 Mbit/s, so that 64 MiB have
/// 21 s.
const SLOWEST_LARGE: u64 = 4 * 1024 * 1024;

/// Whether a call may be sent again when the connection broke and nobody knows whether it had arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Safe,
    Never,
}

/// What is sent over a connection of its own.
#[derive(Clone, Copy)]
pub(super) enum Large<'a> {
    Command(&'a Cmd),
    /// Commands that are made together, for keys of one slot.
    Transaction(&'a Pipeline),
}

#[derive(Clone)]
pub(super) struct Link {
    wire: Wire,
    clients: Clients,
    names: Arc<RedisLocation>,
}

impl Link {
    pub(super) async fn connect(location: RedisLocation) -> Result<Self, StoreError> {
        const WANTED: &str = "connect";
        let names = Arc::new(location);
        let clients = Clients::of(&names).map_err(|error| explain(&names, WANTED, &error))?;
        let wire = timeout(OPERATION_TIMEOUT, clients.connect())
            .await
            .map_err(|_| no_answer(&names, WANTED, OPERATION_TIMEOUT))?
            .map_err(|error| explain(&names, WANTED, &error))?;
        Ok(Self { wire, clients, names })
    }

    pub(super) fn is_cluster(&self) -> bool {
        self.names.cluster
    }

    /// Sends a command.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        wanted: &str,
        repeat: Repeat,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        self.limited(wanted, OPERATION_TIMEOUT, async {
            let mut repeats = self.repeats(repeat);
            loop {
                match self.wire.command(command).await {
                    Err(error) if repeats.another(&error).await => {}
                    ended => return ended,
                }
            }
        })
        .await
    }

    /// Sends several commands at once; each stands for itself. In a cluster their keys have to be of one slot.
    pub(super) async fn send_all<T: FromRedisValue>(
        &self,
        wanted: &str,
        repeat: Repeat,
        commands: &Pipeline,
    ) -> Result<T, StoreError> {
        self.limited(wanted, OPERATION_TIMEOUT, async {
            let mut repeats = self.repeats(repeat);
            loop {
                match self.wire.commands(commands).await {
                    Err(error) if repeats.another(&error).await => {}
                    ended => return ended,
                }
            }
        })
        .await
    }

    /// Runs a script by its hash; sends its text only when the server does not know it.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        wanted: &str,
        repeat: Repeat,
        script: &Script,
        call: &ScriptCall,
    ) -> Result<T, StoreError> {
        let size = call.size();
        if size > LARGE {
            // With its text at once: else the bytes might be sent in vain.
            let command = call.command("EVAL", script.text);
            return self.send_large(wanted, repeat, Large::Command(&command), size).await;
        }
        let command = call.command("EVALSHA", &script.hash);
        self.limited(wanted, OPERATION_TIMEOUT, async {
            let mut repeats = self.repeats(repeat);
            loop {
                let mut ended = self.wire.command(&command).await;
                if ended.as_ref().is_err_and(is_unknown_script) {
                    // The text goes to the one node that has the keys, and makes the script known there.
                    ended = self.wire.command(&call.command("EVAL", script.text)).await;
                }
                match ended {
                    Err(error) if repeats.another(&error).await => {}
                    ended => return ended,
                }
            }
        })
        .await
    }

    /// Sends what moves about `size` bytes, with a connection and time of its own.
    pub(super) async fn send_large<T: FromRedisValue>(
        &self,
        wanted: &str,
        repeat: Repeat,
        large: Large<'_>,
        size: u64,
    ) -> Result<T, StoreError> {
        let time = OPERATION_TIMEOUT + Duration::from_secs(size / SLOWEST_LARGE);
        self.limited(wanted, time, async {
            let mut repeats = self.repeats(repeat);
            loop {
                match self.once_alone(large).await {
                    Err(error) if repeats.another(&error).await => {}
                    ended => return ended,
                }
            }
        })
        .await
    }

    async fn once_alone<T: FromRedisValue>(&self, large: Large<'_>) -> RedisResult<T> {
        let mut wire = self.clients.connect_for_one(&self.names).await?;
        match large {
            Large::Command(command) => wire.command(command).await,
            Large::Transaction(commands) => wire.commands(commands).await,
        }
    }

    /// A connection of its own for messages.
    pub(super) async fn listen(&self) -> Result<PubSub, StoreError> {
        self.limited("listen to other hosts", OPERATION_TIMEOUT, self.clients.listen()).await
    }

    fn repeats(&self, repeat: Repeat) -> Repeats {
        Repeats { cluster: self.is_cluster(), repeat, refusals: 0, lost: 0 }
    }

    async fn limited<T>(
        &self,
        wanted: &str,
        time: Duration,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        match timeout(time, work).await {
            Ok(ended) => ended.map_err(|error| explain(&self.names, wanted, &error)),
            Err(_) => Err(no_answer(&self.names, wanted, time)),
        }
    }
}

/// How often one call was sent again.
struct Repeats {
    cluster: bool,
    repeat: Repeat,
    refusals: u32,
    lost: u32,
}

impl Repeats {
    /// Whether the call is to be sent again after this error; if so, when it is time.
    async fn another(&mut self, error: &RedisError) -> bool {
        let most_lost = if self.cluster { MOST_LOST_IN_CLUSTER } else { MOST_LOST };
        if self.cluster && was_refused(error) && self.refusals < MOST_REFUSALS {
            self.refusals += 1;
        } else if may_repeat(self.repeat, error) && self.lost < most_lost {
            self.lost += 1;
        } else {
            return false;
        }
        // One server is reconnected to before the call is sent. In a cluster it has to be learnt where to send it.
        if self.cluster {
            sleep((RETRY_PAUSE / 4 * (self.refusals + self.lost)).min(LONGEST_RETRY_PAUSE)).await;
        }
        true
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.names)
    }
}

/// Only a broken connection is a reason to repeat; a server that was too slow once would be asked twice the work.
fn may_repeat(repeat: Repeat, error: &RedisError) -> bool {
    repeat == Repeat::Safe && !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error())
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn no_answer(names: &RedisLocation, wanted: &str, time: Duration) -> StoreError {
    StoreError::unavailable(wanted, format!("{names} did not answer within {} s", time.as_secs()))
}

/// Redis' error as one of ours.
fn explain(names: &RedisLocation, wanted: &str, error: &RedisError) -> StoreError {
    let said = without_password(names, error.to_string());
    if error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
        // When a cluster's first connections fail, the reason is only a part of the text.
        || (names.cluster && ["AuthenticationFailed", "NOAUTH"].iter().any(|reason| said.contains(reason)))
    {
        return StoreError::misconfigured(format!(
            "{names} refused to {wanted}: {said}; check the user and password in the store's address and what this user may do"
        ));
    }
    match error.kind() {
        ErrorKind::Parse | ErrorKind::UnexpectedReturnType => StoreError::corrupt(wanted, format!("{names}: {said}")),
        _ if error.code() == Some("WRONGTYPE") => StoreError::corrupt(wanted, format!("{names}: {said}")),
        _ => StoreError::unavailable(wanted, format!("{names}: {said}")),
    }
}

fn without_password(names: &RedisLocation, text: String) -> String {
    match names.password() {
        Some(password) => text.replace(password, "***"),
        None => text,
    }
}
