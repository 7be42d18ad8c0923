//! The net under a candidate: what it fails to serve, the stable version serves at once, and nobody outside notices.
//!
//! Only failures that are the plugin's own count. Being overloaded, a used-up quota or a fault of the host would meet the
//! stable version as well.
//!
//! An intent plugin may have called capabilities before it failed. Those calls are not made twice: the stable version's n-th call
//! gets the remembered result if it is the same call. If it is another, it is made, under the idempotency key of the n-th
//! call. What the candidate wrote with `kv` stays. A connector's call is made again as a whole: reads change nothing, and a write
//! has the same idempotency key.

use crate::failures::Whose;
use crate::registry::Bot;
use crate::rollout;
use crate::services::BotServices;
use crate::turn::outcome::{Said, check};
use crate::watch::{Post, Quarantined, Watch};
use bytes::Bytes;
use confab_sandbox::{Blame, CapabilityError, Failure, FailureKind, Plugin, Turn};
use std::sync::Arc;

/// A call that failed.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    /// Seconds after which a quarantined plugin is tried again.
    pub(crate) retry_after: Option<u32>,
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Fault { failure, retry_after: None }
    }
}

impl Fault {
    pub(crate) fn quarantined(quarantined: &Quarantined, plugin: &Plugin, function: &str) -> Self {
        Fault { failure: quarantined.failure(plugin, function), retry_after: Some(quarantined.retry_after_s()) }
    }

    /// As the plugin that called sees it.
    pub(crate) fn as_error(&self) -> CapabilityError {
        let failure = &self.failure;
        match failure.kind {
            FailureKind::Quarantined => CapabilityError {
                retry_after: self.retry_after,
                ..CapabilityError::new("unavailable", failure.to_string())
            },
            FailureKind::Overloaded | FailureKind::Quota => {
                CapabilityError { retry_after: Some(1), ..CapabilityError::new("unavailable", failure.message.clone()) }
            }
            FailureKind::Time => CapabilityError::new("timeout", failure.to_string()),
            _ => CapabilityError::new("internal", failure.to_string()),
        }
    }
}

/// Calls the candidate, and the stable version if the candidate fails by its own fault. Both keep their own accounts and records.
pub(crate) async fn caught<T, F: Future<Output = Result<T, Fault>>>(
    trial: &Arc<rollout::Watch>,
    whose: &Whose<'_>,
    candidate: impl Future<Output = Result<T, Fault>>,
    stable: impl FnOnce() -> F,
) -> Result<T, Fault> {
    let fault = match candidate.await {
        Ok(value) => {
            trial.passed();
            return Ok(value);
        }
        Err(fault) if !own_fault(&fault.failure) => return Err(fault),
        Err(fault) => fault,
    };
    let served = stable().await;
    match &served {
        // That it was not run because it had failed before says nothing new.
        Ok(_) if fault.failure.kind == FailureKind::Quarantined => {}
        Ok(_) => trial.strike(fault.failure, whose),
        Err(_) => trial.passed(),
    }
    served
}

fn own_fault(failure: &Failure) -> bool {
    failure.blame == Blame::Guest && !matches!(failure.kind, FailureKind::Quota | FailureKind::Overloaded)
}

/// Serves a turn with the version that the conversation is on.
pub(crate) async fn handle(
    watch: &Watch,
    bot: &Arc<Bot>,
    whose: &Whose<'_>,
    services: BotServices,
    input: Turn,
) -> Result<(Said, Bytes, Plugin), Failure> {
    let candidate = bot.candidate.as_ref().filter(|candidate| candidate.takes(&input.conversation));
    let stable = |services, input| attempt(watch, bot.post(watch), whose, &bot.plugin, services, input);
    let served = match candidate {
        None => stable(services, input).await,
        Some(candidate) => {
            let spare = services.again();
            let post = bot.candidate_post(candidate, watch);
            let first = attempt(watch, post, whose, &candidate.serves, services, input.clone());
            caught(&candidate.watch, whose, first, || stable(spare.again(), input)).await
        }
    };
    served.map_err(|fault| fault.failure)
}

async fn attempt(
    watch: &Watch,
    post: &Post,
    whose: &Whose<'_>,
    plugin: &Plugin,
    services: BotServices,
    input: Turn,
) -> Result<(Said, Bytes, Plugin), Fault> {
    let pass = watch.enter(post, plugin, "handle").map_err(|e| Fault::quarantined(&e, plugin, "handle"))?;
    let effects = services.effects();
    let failure = match plugin.handle(Box::new(services), input).await {
        Ok(reported) => {
            let kept = match reported.value {
                Ok(outcome) => check(outcome),
                Err(refusal) => Err(format!("refused the turn: {} ({})", refusal.message, refusal.code)),
            };
            match kept {
                Ok(mut kept) => {
                    kept.0.effects = effects.take();
                    watch.well(post, pass, &reported.report, whose);
                    return Ok((kept.0, kept.1, plugin.clone()));
                }
                Err(message) => plugin.broken_contract("handle", message, reported.report),
            }
        }
        Err(failure) => failure,
    };
    watch.failed(post, pass, &failure, whose);
    Err(failure.into())
}
