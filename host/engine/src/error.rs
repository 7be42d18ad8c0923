//! Why there is no answer.

use confab_store::StoreError;

/// Why a turn gave no answer. What goes wrong inside a plugin is no error here: the visitor gets the bot's fallback.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TurnError {
    /// The tenant has no such bot.
    #[error("there is no bot `{0}`")]
    UnknownBot(String),
    /// The bot is there but could not be made ready.
    #[error("bot `{bot}` is not ready: {reason}")]
    BotNotReady {
        /// The bot.
        bot: String,
        /// What has to be done.
        reason: String,
    },
    /// There is no such conversation, it has expired, or it is somebody else's. Nobody can tell which.
    #[error("there is no such conversation; leave conversation_id out to start one")]
    UnknownConversation,
    /// An earlier message of the conversation is still being answered.
    #[error("an earlier message of this conversation is still being answered")]
    Busy,
    /// So many messages of the conversation wait already that another one would wait in vain.
    #[error("too many messages of this conversation are waiting; send fewer at a time")]
    Crowded,
    /// The same request is being served.
    #[error("a request with the same idempotency key is being served")]
    InFlight,
    /// The idempotency key was used for something else.
    #[error("this idempotency key was used for another request; use a new key for each request")]
    KeyReused,
    /// Somebody else of the tenant's people has the conversation.
    #[error("{0} has this conversation")]
    HandledBy(String),
    /// The bot has the conversation.
    #[error("the bot answers this conversation; there is nothing to give back")]
    NotHandedOver,
    /// The tenant's plugins have computed as much as they may for now.
    #[error("this tenant's plugins have used up their fuel for this minute")]
    Quota {
        /// Seconds until there is some again.
        retry_after_s: u32,
    },
    /// Too much is going on.
    #[error("all places for plugin calls are taken")]
    Overloaded,
    /// The store can't serve.
    #[error(transparent)]
    Store(StoreError),
    /// The host is at fault.
    #[error("{0}")]
    Internal(String),
}

/// Why an operation on a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// There is no such connection.
    #[error("tenant `{tenant}` has no connection `{connection}`")]
    Unknown {
        /// The tenant.
        tenant: String,
        /// The connection.
        connection: String,
    },
    /// It could not be made ready.
    #[error("connection `{connection}` is not ready: {reason}")]
    NotReady {
        /// The connection.
        connection: String,
        /// What has to be done.
        reason: String,
    },
    /// Its plugin doesn't do this.
    #[error("connector `{0}` does not offer this")]
    Unsupported(String),
    /// The plugin says no.
    #[error("{0}")]
    Refused(confab_sandbox::CapabilityError),
    /// The plugin failed.
    #[error(transparent)]
    Failed(#[from] Box<confab_sandbox::Failure>),
}
