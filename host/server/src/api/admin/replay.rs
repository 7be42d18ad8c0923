//! `POST /api/admin/replay`: turns of the past, run again.

use super::super::App;
use crate::gateway::input::{BUNDLE_BYTES, JsonBody, Params};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::State;
use confab_engine::TenantId;
use confab_engine::replay::{Recorded, ReplayError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What is to be run again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayBody {
    /// A turn, or a conversation for all of its turns.
    #[serde(default)]
    turn: Option<String>,
    /// Or a recorded conversation, as a test.
    #[serde(default)]
    recorded: Option<Recorded>,
    #[serde(default)]
    bot: Option<String>,
    /// A component's file on the server's machine to run it on; for the operator.
    #[serde(default)]
    plugin: Option<PathBuf>,
    /// Give the record back, to be kept as a test, instead of running it.
    #[serde(default)]
    record: bool,
}

/// `?tenant=`
#[derive(Debug, Deserialize)]
pub(crate) struct TenantQuery {
    tenant: Option<TenantId>,
}

/// The handler.
pub(crate) async fn replay(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<TenantQuery>,
    JsonBody(body): JsonBody<ReplayBody, BUNDLE_BYTES>,
) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    if body.plugin.is_some() {
        caller.must_be_operator()?;
    }
    let tenant = caller.tenant(query.tenant.as_ref())?;
    let (recorded, as_test) = match (body.recorded, body.turn) {
        (Some(recorded), None) => {
            if recorded.tenant != tenant {
                return Err(Problem::forbidden(format!("the recorded conversation is tenant `{}`'s", recorded.tenant)));
            }
            (recorded, true)
        }
        (None, Some(turn)) => {
            let bot = caller.bot(&app, &tenant, body.bot.as_deref())?;
            (app.engine.recorded(&tenant, &bot, &turn).await?, false)
        }
        _ => return Err(Problem::invalid_input("give either `turn` or `recorded`").at("/turn")),
    };
    if body.record {
        return Ok(Json(serde_json::to_value(&recorded).unwrap_or_default()));
    }
    let turns = app.engine.replay(&recorded, body.plugin.as_deref(), as_test).await?;
    let equal = turns.iter().filter(|turn| turn.equal).count();
    let different = turns.len() - equal;
    let without_record = recorded.without_record;
    Ok(Json(json!({"turns": turns, "equal": equal, "different": different, "without_record": without_record})))
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        let detail = error.to_string();
        match error {
            ReplayError::Turn(error) => error.into(),
            ReplayError::NoRecord(_) => Problem::not_found(detail),
            ReplayError::NoTurn(_) => Problem::invalid_input(detail).at("/turn"),
            ReplayError::Plugin(_) => Problem::invalid_input(detail).at("/plugin"),
        }
    }
}
