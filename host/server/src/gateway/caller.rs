//! Who asks.

use super::Problem;
use super::keys::{Key, Scope};
use crate::api::App;
use axum::extract::FromRequestParts;
use confab_engine::turn::now_millis;
use confab_engine::{BotId, TenantId};
use http::header;
use http::request::Parts;
use std::sync::Arc;

/// Who asks, and therefore what they may.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A client with an API key.
    Key(Arc<Key>),
    /// Whoever may open the admin socket, or works on the store itself: the operator.
    Operator,
}

/// In a request's extensions when it came over the admin socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromOperator;

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        if parts.extensions.get::<FromOperator>().is_some() {
            return Ok(Caller::Operator);
        }
        let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let sent = match bearer {
            Some(value) => match value.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Some(token.trim()),
                _ => return Err(Problem::unauthorised("send the API key as `authorization: Bearer cfb_...`")),
            },
            None => parts.headers.get("x-api-key").and_then(|v| v.to_str().ok()),
        };
        let Some(sent) = sent else {
            return Err(Problem::unauthorised("an API key is needed: send it as `authorization: Bearer cfb_...`"));
        };
        app.keys.check(sent, now_millis()).map(Caller::Key)
    }
}

impl Caller {
    /// The tenant that the request is about: the key's own, or the one that the operator names.
    pub(crate) fn tenant(&self, named: Option<&TenantId>) -> Result<TenantId, Problem> {
        match self {
            Caller::Key(key) => match named {
                Some(named) if *named != key.tenant => {
                    Err(Problem::forbidden(format!("the key belongs to tenant `{}`", key.tenant)))
                }
                _ => Ok(key.tenant.clone()),
            },
            Caller::Operator => named.cloned().ok_or_else(|| Problem::invalid_input("name the tenant: `?tenant=...`")),
        }
    }

    /// Refuses a key without the scope.
    pub(crate) fn needs(&self, scope: Scope) -> Result<(), Problem> {
        match self {
            Caller::Operator => Ok(()),
            Caller::Key(key) if key.scopes.contains(&scope) => Ok(()),
            Caller::Key(key) => {
                let name =
                    serde_json::to_value(scope).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default();
                Err(Problem::forbidden(format!("the key cfb_{} lacks the scope `{name}`", key.id)))
            }
        }
    }

    /// Refuses everybody but the operator: what is asked for concerns all tenants.
    pub(crate) fn must_be_operator(&self) -> Result<(), Problem> {
        match self {
            Caller::Operator => Ok(()),
            Caller::Key(_) => Err(Problem::forbidden(
                "plugins are the operator's: they are installed and removed on the server, with `confab plugin`",
            )),
        }
    }

    /// Whether the caller has a scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.needs(scope).is_ok()
    }

    /// The bot that the request is about: the key's, the named one, or the tenant's only one.
    pub(crate) fn bot(&self, app: &App, tenant: &TenantId, named: Option<&str>) -> Result<BotId, Problem> {
        let registry = app.engine.registry();
        let exists = |bot: &BotId| registry.bot(tenant, bot).is_some();
        let named: Option<BotId> = match named {
            Some(name) => Some(
                name.parse().map_err(|_| Problem::unknown_bot(format!("there is no bot `{}`", name.escape_debug())))?,
            ),
            None => None,
        };
        let bound = match self {
            Caller::Key(key) => key.bot.clone(),
            Caller::Operator => None,
        };
        match (bound, named) {
            (Some(bound), None) => Ok(bound),
            (Some(bound), Some(named)) if bound == named => Ok(bound),
            (Some(_), Some(named)) if exists(&named) => {
                Err(Problem::forbidden(format!("the key does not open bot `{named}`")))
            }
            (_, Some(named)) if !exists(&named) => Err(Problem::unknown_bot(format!("there is no bot `{named}`"))),
            (_, Some(named)) => Ok(named),
            (None, None) => {
                let bots = registry.tenants.get(tenant).map(|tenant| &tenant.bots);
                match bots.map(|bots| (bots.len(), bots.keys().next())) {
                    Some((1, Some(only))) => Ok(only.clone()),
                    Some((0, _)) | None => Err(Problem::unknown_bot(format!(
                        "tenant `{tenant}` has no bot; apply one with `confab apply DIR`"
                    ))),
                    _ => Err(Problem::invalid_input("the tenant has several bots; name one").at("/bot")),
                }
            }
        }
    }
}
