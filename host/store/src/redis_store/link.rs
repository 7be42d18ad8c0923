//! The connection to the server: time limits, repeating after a lost connection, errors without passwords.
//!
//! redis' `ConnectionManager` multiplexes all calls over one connection and reconnects in the background, but
//! the call that met the lost connection fails. [`Repeat::Safe`] calls are then sent once more; for the others only
//! the caller knows whether that is right.
//!
//! What is large goes another way: on the shared connection all calls would wait behind 64 MiB until their time is
//! over. So a call above `LARGE` gets a connection of its own and time by its size.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, ParsingError, Pipeline, RedisError, RedisResult,
    Script, ServerErrorKind, Value,
};
use tokio::time::timeout;

use crate::address::RedisLocation;
use crate::error::StoreError;

/// Longest time that any call takes, reconnecting and repeating included; a large one (more than 1 MiB each way)
/// gets a second more for each 4 MiB. Then the answer is `Unavailable`; the
/// visitor should hear 503 before a proxy in front gives up.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(5);

/// One attempt to connect. A server of the same network answers within milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One answer. Scripts run below a millisecond; this covers a server that forks or syncs.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Further attempts to connect before the waiting calls fail, and the pauses between them. With `CONNECT_TIMEOUT`
/// they stay below `OPERATION_TIMEOUT`. The next call begins anew.
const CONNECT_RETRIES: usize = 2;
const RETRY_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_RETRY_PAUSE: Duration = Duration::from_millis(200);

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
    /// A script, and the run of it.
    Script(&'a Script, &'a Cmd),
    /// Commands that are made together.
    Transaction(&'a Pipeline),
}

#[derive(Clone)]
pub(super) struct Link {
    manager: ConnectionManager,
    client: Client,
    names: Arc<RedisLocation>,
}

impl Link {
    pub(super) async fn connect(location: RedisLocation) -> Result<Self, StoreError> {
        const WANTED: &str = "connect";
        let names = Arc::new(location);
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_number_of_retries(CONNECT_RETRIES)
            .set_min_delay(RETRY_PAUSE)
            .set_max_delay(LONGEST_RETRY_PAUSE);
        let client = Client::open(names.info.clone()).map_err(|error| explain(&names, WANTED, &error))?;
        let manager = timeout(OPERATION_TIMEOUT, ConnectionManager::new_with_config(client.clone(), config))
            .await
            .map_err(|_| no_answer(&names, WANTED, OPERATION_TIMEOUT))?
            .map_err(|error| explain(&names, WANTED, &error))?;
        Ok(Self { manager, client, names })
    }

    /// Sends a command.
    pub(super) async fn send<T: FromRedisValue>(
        &self,
        wanted: &str,
        repeat: Repeat,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        self.limited(wanted, OPERATION_TIMEOUT, async {
            let mut manager = self.manager.clone();
            match command.query_async(&mut manager).await {
                Err(error) if may_repeat(repeat, &error) => command.query_async(&mut manager).await,
                ended => ended,
            }
        })
        .await
    }

    /// Sends several commands at once; each stands for itself.
    pub(super) async fn send_all<T: FromRedisValue>(
        &self,
        wanted: &str,
        repeat: Repeat,
        commands: &Pipeline,
    ) -> Result<T, StoreError> {
        self.limited(wanted, OPERATION_TIMEOUT, async {
            let mut manager = self.manager.clone();
            match commands.query_async(&mut manager).await {
                Err(error) if may_repeat(repeat, &error) => commands.query_async(&mut manager).await,
                ended => ended,
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
        let command = call.command(script);
        let size = call.size();
        if size > LARGE {
            return self.send_large(wanted, repeat, Large::Script(script, &command), size).await;
        }
        self.limited(wanted, OPERATION_TIMEOUT, async {
            let mut manager = self.manager.clone();
            let mut ended = command.query_async(&mut manager).await;
            if let Err(error) = &ended
                && may_repeat(repeat, error)
            {
                ended = command.query_async(&mut manager).await;
            }
            match ended {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    script.load_async(&mut manager).await?;
                    command.query_async(&mut manager).await
                }
                ended => ended,
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
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_TIMEOUT)).set_response_timeout(None);
        let once = async || {
            let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            match large {
                Large::Command(command) => command.query_async(&mut connection).await,
                Large::Script(script, command) => {
                    // Loaded before, so that the bytes are not sent in vain.
                    script.load_async(&mut connection).await?;
                    command.query_async(&mut connection).await
                }
                Large::Transaction(commands) => commands.query_async(&mut connection).await,
            }
        };
        self.limited(wanted, time, async {
            match once().await {
                Err(error) if may_repeat(repeat, &error) => once().await,
                ended => ended,
            }
        })
        .await
    }

    /// A connection of its own for messages.
    pub(super) async fn listen(&self) -> Result<PubSub, StoreError> {
        self.limited("listen for configuration changes", OPERATION_TIMEOUT, self.client.get_async_pubsub()).await
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

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", self.names)
    }
}

/// The answer of a script that reads something if it is not large, and otherwise only measures it.
#[derive(Debug)]
pub(super) enum Measured<T> {
    Read(T),
    /// Its bytes; to be fetched with [`Link::send_large`].
    Large(u64),
}

impl<T: FromRedisValue> FromRedisValue for Measured<T> {
    fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
        match value {
            Value::Int(size) => Ok(Self::Large(size.unsigned_abs())),
            other => T::from_redis_value(other).map(Self::Read),
        }
    }
}

/// Keys and arguments of one run of a script.
#[derive(Debug, Default)]
pub(super) struct ScriptCall {
    keys: Vec<String>,
    arguments: Vec<Argument>,
}

#[derive(Debug)]
enum Argument {
    Bytes(bytes::Bytes),
    Text(String),
    Number(u64),
}

impl ScriptCall {
    pub(super) fn key(mut self, key: String) -> Self {
        self.keys.push(key);
        self
    }

    pub(super) fn bytes(mut self, bytes: &bytes::Bytes) -> Self {
        self.arguments.push(Argument::Bytes(bytes.clone()));
        self
    }

    pub(super) fn text(mut self, text: impl Into<String>) -> Self {
        self.arguments.push(Argument::Text(text.into()));
        self
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        self.arguments.push(Argument::Number(number));
        self
    }

    /// Bytes of its arguments.
    fn size(&self) -> u64 {
        let length = |argument: &Argument| match argument {
            Argument::Bytes(bytes) => bytes.len(),
            Argument::Text(text) => text.len(),
            Argument::Number(_) => size_of::<u64>(),
        };
        self.arguments.iter().map(|argument| u64::try_from(length(argument)).unwrap_or(u64::MAX)).sum()
    }

    fn command(&self, script: &Script) -> Cmd {
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(self.keys.len());
        for key in &self.keys {
            command.arg(key);
        }
        for argument in &self.arguments {
            match argument {
                Argument::Bytes(bytes) => command.arg(bytes.as_ref()),
                Argument::Text(text) => command.arg(text),
                Argument::Number(number) => command.arg(*number),
            };
        }
        command
    }
}

/// Only a broken connection is a reason to repeat; a server that was too slow once would be asked twice the work.
fn may_repeat(repeat: Repeat, error: &RedisError) -> bool {
    repeat == Repeat::Safe && !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error())
}

fn no_answer(names: &RedisLocation, wanted: &str, time: Duration) -> StoreError {
    StoreError::unavailable(wanted, format!("{names} did not answer within {} s", time.as_secs()))
}

/// Redis' error as one of ours.
fn explain(names: &RedisLocation, wanted: &str, error: &RedisError) -> StoreError {
    let said = without_password(names, error.to_string());
    if error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
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
