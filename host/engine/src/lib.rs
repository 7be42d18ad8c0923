//! The engine: tenants, bots, connections, and the turns that run between them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`ids`] | names that can't be wrong |
//! | [`config`] | what a tenant writes: files to documents, with errors that name file and line |
//! | [`library`] | the plugin files of this host |
//! | [`install`] | letting plugins in and taking them out |
//! | [`installed`] | the plugins that came through the gate, shared by all hosts on a store |
//! | [`registry`] | bots and connections, prepared and ready |
//! | [`engine`] | [`Engine`]: everything together |
//! | [`turn`] | one message in, one answer out: lock, load, plugin, commit |
//! | [`conversation`] | what is kept of a conversation, and whose it is |
//! | [`services`] | what a plugin gets from the host while it runs |
//!
//! It knows sandbox, egress and store, and no transport: who asks and whether they may is the server's.
#![forbid(unsafe_code)]

pub mod config;
pub mod connections;
pub mod conversation;
pub mod engine;
pub mod error;
pub mod ids;
pub mod install;
pub mod installed;
pub mod library;
pub mod registry;
mod services;
pub mod turn;

pub use confab_egress as egress;
pub use confab_sandbox as sandbox;
pub use confab_store as store;
pub use config::{Finding, Severity, SourceFile};
pub use engine::{ApplyReport, Engine, EngineConfig};
pub use error::{ConnectionError, TurnError};
pub use ids::{BotId, ConnectionId, ConversationId, NameError, TenantId};
pub use turn::{Inbound, TurnAnswer, TurnRequest, Visitor};
