//! The engine: tenants, bots, connections, and the turns that run between them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | names that can't be wrong |
//! | [`config`] | what a tenant writes: files to documents, with errors that name file and line |
//! | [`library`] | the plugin files of this host |
//! | [`install`] | letting plugins in and taking them out |
//! | [`installed`] | the plugins that came through the gate, shared by all hosts on a store |
//! | [`versions`] | which version of a plugin a bot or connection gets |
//! | [`rollout`] | a new version beside the stable one: whose it is, and how it is judged |
//! | [`upgrade`] | upgrade, promote, roll back: one switch each |
//! | [`net`] | what a new version fails to serve, the stable one serves |
//! | [`registry`] | bots and connections, prepared and ready |
//! | [`engine`] | [`Engine`]: everything together |
//! | [`tokens`] | tokens of OAuth2 connections: kept encrypted, got by a person |
//! | [`turn`] | one message in, one answer out: lock, load, plugin, commit |
//! | `work`, `later` | what waits: unfinished turns, events for later |
//! | [`events`] | what other systems tell: taken in once, told to the bots that want it |
//! | [`replay`] | a turn of the past, run again |
//! | [`conversation`] | what is kept of a conversation, and whose it is |
//! | [`cache`] | what capability calls gave, kept for a while |
//! | [`services`] | what a plugin gets from the host while it runs |
//! | [`webhooks`] | what tenants' systems are told of turns, signed and in order |
//! | `watch` | what surrounds each call of a plugin: quarantine before it, account and record after it |
//! | [`failures`], `quarantine`, [`usage`], [`breakers`] | what is known of plugins and systems that fail, and of what they use |
//!
//! It knows sandbox, egress and store, and no transport: who asks and whether they may is the server's.
#![forbid(unsafe_code)]

pub mod breakers;
mod budget;
pub mod cache;
pub mod config;
pub mod connections;
pub mod conversation;
pub mod engine;
pub mod error;
pub mod events;
pub mod failures;
pub mod ids;
pub mod install;
pub mod installed;
mod later;
pub mod library;
mod net;
mod quarantine;
pub mod registry;
pub mod replay;
pub mod rollout;
mod services;
mod settings_schema;
pub mod tokens;
pub mod turn;
pub mod upgrade;
pub mod usage;
pub mod versions;
mod watch;
pub mod webhooks;
mod work;

pub use confab_egress as egress;
pub use confab_sandbox as sandbox;
pub use confab_store as store;
pub use config::{Finding, Severity, SourceFile};
pub use engine::{ApplyReport, Engine, EngineConfig};
pub use error::{ConnectionError, TurnError};
pub use failures::{FailureFilter, FailurePage, FailureRecord};
pub use ids::{BotId, ConnectionId, ConversationId, NameError, TenantId, WebhookId};
pub use turn::{Access, IdempotencyKey, Inbound, PeopleStep, TurnAnswer, TurnRequest, Visitor};
