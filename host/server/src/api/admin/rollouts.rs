//! New versions of plugins: trying one, making it the stable one, going back. The operator's alone: a plugin serves many tenants.

use super::super::App;
use crate::api::conversations::time;
use crate::gateway::input::{JsonBody, PathParams};
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::rollout::{RolloutDoc, Scope};
use confab_engine::upgrade::{RolloutError, RolloutReport};
use confab_engine::{BotId, ConnectionId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is to be upgraded, promoted or rolled back.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolloutRequest {
    pub(crate) version: Option<String>,
    pub(crate) share: Option<u8>,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) bot: Option<BotId>,
    pub(crate) connection: Option<ConnectionId>,
}

impl RolloutRequest {
    fn scope(&self) -> Result<Scope, Problem> {
        match (self.tenant.clone(), self.bot.clone(), self.connection.clone()) {
            (None, None, None) => Ok(Scope::All),
            (Some(tenant), None, None) => Ok(Scope::Tenant(tenant)),
            (Some(tenant), Some(bot), None) => Ok(Scope::Bot(tenant, bot)),
            (Some(tenant), None, Some(connection)) => Ok(Scope::Connection(tenant, connection)),
            (None, _, _) => Err(Problem::invalid_input("name the tenant of the bot or connection").at("/tenant")),
            (Some(_), Some(_), Some(_)) => {
                Err(Problem::invalid_input("name a bot or a connection, not both").at("/connection"))
            }
        }
    }

    /// Only an upgrade has a version and a share.
    fn without_version(&self) -> Result<Scope, Problem> {
        for (given, pointer) in [(self.version.is_some(), "/version"), (self.share.is_some(), "/share")] {
            if given {
                return Err(Problem::invalid_input("only an upgrade takes this; leave it out").at(pointer));
            }
        }
        self.scope()
    }
}

fn operator(caller: &Caller) -> Result<(), Problem> {
    match caller {
        Caller::Operator => Ok(()),
        Caller::Key(_) => Err(Problem::forbidden("versions of plugins are the operator's: use the admin socket")),
    }
}

/// `GET /api/admin/rollouts`
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    operator(&caller)?;
    let registry = app.engine.registry();
    let rollouts: Vec<Value> = registry.rollouts.iter().map(|(id, doc)| shown(id, doc)).collect();
    Ok(Json(json!({ "rollouts": rollouts })))
}

/// `POST /api/admin/rollouts/{plugin}/upgrade`
pub(crate) async fn upgrade(
    State(app): State<App>,
    caller: Caller,
    PathParams(plugin): PathParams<String>,
    JsonBody(body): JsonBody<RolloutRequest>,
) -> Result<Json<Value>, Problem> {
    operator(&caller)?;
    let scope = body.scope()?;
    let Some(version) = &body.version else {
        return Err(Problem::invalid_input("name the version to upgrade to").at("/version"));
    };
    let share = body.share.unwrap_or(100);
    answer(app.engine.upgrade(named(&plugin)?, version, share, &scope).await)
}

/// `POST /api/admin/rollouts/{plugin}/promote`
pub(crate) async fn promote(
    State(app): State<App>,
    caller: Caller,
    PathParams(plugin): PathParams<String>,
    JsonBody(body): JsonBody<RolloutRequest>,
) -> Result<Json<Value>, Problem> {
    operator(&caller)?;
    answer(app.engine.promote(named(&plugin)?, &body.without_version()?).await)
}

/// `POST /api/admin/rollouts/{plugin}/rollback`
pub(crate) async fn rollback(
    State(app): State<App>,
    caller: Caller,
    PathParams(plugin): PathParams<String>,
    JsonBody(body): JsonBody<RolloutRequest>,
) -> Result<Json<Value>, Problem> {
    operator(&caller)?;
    answer(app.engine.rollback(named(&plugin)?, &body.without_version()?).await)
}

fn named(plugin: &str) -> Result<&str, Problem> {
    match confab_engine::sandbox::manifest::is_name(plugin) {
        true => Ok(plugin),
        false => Err(Problem::invalid_input(format!("`{}` is no plugin's name", plugin.escape_debug()))),
    }
}

fn answer(outcome: Result<RolloutReport, RolloutError>) -> Result<Json<Value>, Problem> {
    match outcome {
        Ok(report) => {
            let mut body = shown(&report.id, &report.doc);
            if let Some(body) = body.as_object_mut() {
                body.insert("bots".into(), json!(report.bots));
                body.insert("connections".into(), json!(report.connections));
            }
            Ok(Json(body))
        }
        Err(RolloutError::Invalid(reason)) => Err(Problem::invalid_input(reason)),
        Err(RolloutError::Findings(list)) => {
            let detail = format!("{} finding(s); nothing was changed", list.len());
            Err(Problem::invalid_configuration(detail).with("findings", json!(list)))
        }
        Err(RolloutError::Store(store)) => Err(store.into()),
        Err(RolloutError::Internal(reason)) => {
            tracing::error!("rollout: {reason}");
            Err(Problem::internal("the rollout could not be stored; the request id finds the reason in the log"))
        }
    }
}

/// A rollout as it is shown.
fn shown(id: &str, doc: &RolloutDoc) -> Value {
    let mut parts = id.split('/');
    let mut body = json!({
        "plugin": parts.next(), "tenant": parts.next(), "bot": null, "connection": null,
        "stable": doc.stable.to_string(), "previous": doc.previous.as_ref().map(ToString::to_string),
        "candidate": doc.candidate.as_ref().map(|candidate| {
            json!({"version": candidate.version.to_string(), "share": candidate.share, "since": time(candidate.since)})
        }),
        "rolled_back": doc.rolled_back.as_ref().map(|back| {
            json!({"version": back.version.to_string(), "reason": back.reason, "at": time(back.at)})
        }),
    });
    if let (Some(kind), Some(name), Some(body)) = (parts.next(), parts.next(), body.as_object_mut()) {
        body.insert(kind.to_owned(), json!(name));
    }
    body
}
