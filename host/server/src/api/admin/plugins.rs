//! Plugins: those in the plugin directory, and those that were installed, which only the operator does.

use super::super::App;
use crate::gateway::input::{Params, PathParams, wasm_body};
use crate::gateway::keys::Scope;
use crate::gateway::{Caller, Problem};
use axum::Json;
use axum::extract::{Request, State};
use confab_engine::install::{InstallError, InstallReport, RemoveError};
use confab_engine::installed::InstalledVersion;
use confab_engine::sandbox::limits::COMPONENT_BYTES;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

/// How to install.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InstallQuery {
    unsigned: bool,
}

/// `GET /api/admin/plugins`
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Value>, Problem> {
    caller.needs(Scope::Admin)?;
    let installed = app.engine.installed().all().await?;
    let engine = app.engine.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let library = engine.library();
        let each = library.names().into_iter().map(|name| match library.get(&name) {
            Ok(plugin) => {
                json!({"name": name, "manifest": plugin.manifest(), "digest": plugin.digest(), "limits": plugin.limits(),
                    "imports": plugin.imports(), "functions": plugin.callables().collect::<Vec<_>>()})
            }
            Err(e) => json!({"name": name, "error": e.to_string()}),
        });
        each.collect::<Vec<Value>>()
    });
    let listed = listed.await.map_err(|e| Problem::internal(e.to_string()))?;
    Ok(Json(json!({ "plugins": listed, "installed": installed })))
}

/// `POST /api/admin/plugins`
pub(crate) async fn install(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<InstallQuery>,
    request: Request,
) -> Result<(StatusCode, Json<InstallReport>), Problem> {
    caller.must_be_operator()?;
    let wasm = wasm_body(request, COMPONENT_BYTES).await?;
    match app.engine.install(wasm, query.unsigned).await {
        Ok(report) if report.already => Ok((StatusCode::OK, Json(report))),
        Ok(report) => Ok((StatusCode::CREATED, Json(report))),
        Err(InstallError::Refused(refusal)) => Err(Problem::plugin_refused(refusal.to_string())
            .with("refusal", json!(refusal.code))
            .with("help", json!(refusal.help))),
        Err(InstallError::Store(store)) => Err(store.into()),
        Err(e) => {
            tracing::error!("install: {e}");
            Err(Problem::internal("the plugin could not be installed; the request id finds the reason in the log"))
        }
    }
}

/// `DELETE /api/admin/plugins/{name}/{version}`
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    PathParams((name, version)): PathParams<(String, String)>,
) -> Result<Json<InstalledVersion>, Problem> {
    caller.must_be_operator()?;
    app.engine.remove_plugin(&name, &version).await.map(Json).map_err(|e| match e {
        RemoveError::Unknown(_) => Problem::not_found(e.to_string()),
        RemoveError::InUse { ref users, .. } => {
            let users = json!(users);
            Problem::plugin_in_use(e.to_string()).with("users", users)
        }
        RemoveError::Store(store) => store.into(),
    })
}
