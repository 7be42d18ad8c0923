//! The net under a candidate: what it fails to serve, the stable version serves at once, and nobody outside notices.
//!
//! Only failures that are the plugin's own count. Being overloaded, a used-up quota or a fault of the host would meet the
//! stable version as well.
//!
//! An intent plugin may have called capabilities before it failed. Those calls are not made twice: the stable version's n-th call
//! gets the remembered result if it is the same call. If it is another, it is made, under the idempotency key of the n-th
//! call. What the candidate wrote with `kv` stays. A connector's call is made again as a whole: reads change nothing, and a write
//! has the same idempotency key.

use crate::registry::Bot;
use crate::rollout::Watch;
use crate::services::BotServices;
use crate::turn::{Said, check, record_failure};
use bytes::Bytes;
use confab_sandbox::{Blame, Failure, FailureKind, Plugin, Turn};
use std::sync::Arc;

/// Whose call it is, for records.
pub(crate) struct Whose<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) scope: &'a str,
    pub(crate) request_id: &'a Arc<str>,
}

/// Calls the candidate, and the stable version if the candidate fails by its own fault.
pub(crate) async fn caught<T, F: Future<Output = Result<T, Failure>>>(
    watch: &Arc<Watch>,
    whose: Whose<'_>,
    candidate: impl Future<Output = Result<T, Failure>>,
    stable: impl FnOnce() -> F,
) -> Result<T, Failure> {
    let failure = match candidate.await {
        Ok(value) => {
            watch.passed();
            return Ok(value);
        }
        Err(failure) if !own_fault(&failure) => return Err(failure),
        Err(failure) => failure,
    };
    record_failure(&failure, whose.tenant, whose.scope, whose.request_id);
    let served = stable().await;
    match &served {
        Ok(_) => watch.strike(failure, whose.tenant, whose.scope, whose.request_id),
        Err(_) => watch.passed(),
    }
    served
}

fn own_fault(failure: &Failure) -> bool {
    failure.blame == Blame::Guest && !matches!(failure.kind, FailureKind::Quota | FailureKind::Overloaded)
}

/// Serves a turn with the version that the conversation is on.
pub(crate) async fn handle(bot: &Arc<Bot>, mut services: BotServices, input: Turn) -> Result<(Said, Bytes), Failure> {
    let Some(candidate) = bot.candidate.as_ref().filter(|candidate| candidate.takes(&input.conversation)) else {
        return attempt(bot, &bot.plugin, services, input).await;
    };
    let request_id = services.request_id.clone();
    let whose = Whose { tenant: bot.tenant.as_str(), scope: bot.id.as_str(), request_id: &request_id };
    let again = services.with_memory();
    let first = attempt(bot, &candidate.serves, services, input.clone());
    caught(&candidate.watch, whose, first, || attempt(bot, &bot.plugin, again, input)).await
}

async fn attempt(bot: &Bot, plugin: &Plugin, services: BotServices, input: Turn) -> Result<(Said, Bytes), Failure> {
    let reported = plugin.handle(Box::new(services), input).await?;
    bot.metrics.fuel.increment(reported.report.fuel);
    let kept = match reported.value {
        Ok(outcome) => check(outcome),
        Err(refusal) => Err(format!("refused the turn: {} ({})", refusal.message, refusal.code)),
    };
    kept.map_err(|message| plugin.broken_contract("handle", message, reported.report))
}
