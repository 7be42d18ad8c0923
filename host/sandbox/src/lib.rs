//! The sandbox: runs strangers' WebAssembly components with hard limits.
//!
//! | module | what it holds |
//! |---|---|
//! | [`limits`] | every limit, with its reason and the operator's floor and ceiling |
//! | [`manifest`] | what a plugin says about itself |
//! | [`gate`] | what a stranger's file must pass before it is installed |
//! | [`offers`] | what a component exports, and whether its manifest speaks of the same |
//! | [`signature`] | whose file it is |
//! | [`engine`] | [`Sandbox`]: wasmtime, the instance pool, the epoch clock |
//! | [`compile`] | compiling, in a process of its own |
//! | [`plugin`] | [`Plugin`]: what is known of a component, and its code while it is used |
//! | [`call`] | calling it: fresh instance, budgets, outer timeout, report |
//! | [`tenants`], `places`, `lanes` | what a tenant may use, whose turn it is, who goes first |
//! | `seeded` | chance and time of WASI, the same when a call is run again |
//! | `warm` | instances that are kept, for what can't be snapshotted |
//! | [`effects`], [`webhook`] | what a turn leaves behind; what platforms tell by themselves |
//! | [`services`] | [`HostServices`]: what the host does for a plugin, as a trait |
//! | [`reflect`] | types as JSON Schema, values from and to JSON |
//! | [`snapshot`] | keeping the memory of a prepared plugin |
//! | [`failure`] | what went wrong, whose fault it was, which limit was hit |
//!
//! One way in: load a [`Plugin`], call it with a [`HostServices`]. Nothing of a call outlives it.
//! This is the only crate that names wasmtime; what it gives out are plain values and JSON.
#![deny(unsafe_code)]

mod aot;
mod bindings;
pub mod call;
pub mod compile;
pub mod docs;
pub mod effects;
pub mod engine;
pub mod failure;
mod forward;
pub mod gate;
mod host;
mod lanes;
pub mod limits;
mod load;
pub mod manifest;
pub mod offers;
mod places;
pub mod plugin;
pub mod reflect;
#[cfg(test)]
mod reflect_fuzz;
mod seeded;
pub mod services;
pub mod signature;
pub mod snapshot;
mod state;
pub mod tenants;
mod warm;
pub mod webhook;

pub use bindings::dialogue::{Choice, Handoff, Match, Outcome, Reply, Turn, Visitor};
pub use bindings::types::Diagnostic;
pub use call::{CallReport, Reported};
pub use compile::{CompileLimits, Compiler};
pub use effects::Effect;
pub use engine::{Sandbox, SandboxConfig};
pub use failure::{Blame, Failure, FailureKind};
pub use gate::{Admitted, GateRules, Refusal, Unsigned};
pub use limits::{LimitPolicy, Limits, TenantLimits};
pub use manifest::{Kind, Manifest};
pub use plugin::{Callable, Plugin, Source};
pub use services::{
    CallContext, CapabilityError, HostServices, HttpError, HttpRequest, HttpResponse, KvError, KvServices, Provenance,
};
pub use webhook::{HmacAlgorithm, SignatureCheck, WebhookAccepted, WebhookAnswer, WebhookEvent, WebhookRequest};
