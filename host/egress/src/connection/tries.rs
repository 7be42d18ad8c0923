//! The tries of one call, within one deadline: wait for a turn, ask the breaker, make the request, and again if that may help.
//!
//! Each try has its own turn in the budget, its own leave of the breaker and its own verdict, because each is a request
//! that the system has to bear. A try that could not be made (no turn in time, the breaker opened meanwhile) leaves what
//! the one before it gave: that is what happened.

use std::time::Duration;

use http::{HeaderName, Method};
use metrics::counter;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Checked, Connection, Endpoint, Reply};
use crate::budget;
use crate::call::CallMeta;
use crate::error::{ErrorCode, SendError};
use crate::exchange::{Traffic, Wire};
use crate::health::judge;
use crate::retry::{Ended, backoff, reason, try_time};

/// Says by itself that a request with it may be made twice: the header of the IETF draft, which Stripe, Adyen and others have.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How much longer than asked is waited before a repetition: the breaker's clock and ours are not read at the same moment.
const GRACE: Duration = Duration::from_millis(10);

/// What all tries of a call were together.
#[derive(Debug, Default)]
pub(super) struct Total {
    pub(super) traffic: Traffic,
    pub(super) attempts: u32,
    /// Time in the budget's queue.
    pub(super) waited: Duration,
}

impl Connection {
    /// Steps 2 to 6 and the deadline.
    pub(super) async fn tries(
        &self,
        endpoint: &Endpoint,
        checked: &Checked,
        time: Option<Duration>,
        meta: &CallMeta,
        total: &mut Total,
    ) -> Result<Reply, SendError> {
        let time = time.unwrap_or(endpoint.timeout).min(self.shared.limits.max_timeout);
        let deadline = Instant::now() + time;
        let latest = budget::latest(deadline, time);
        let safe = meta.reads || may_be_made_twice(endpoint, checked);
        // Asked before the queue, so that nobody waits for a refusal, and after it, since that may have taken a while.
        endpoint.health.ask()?;
        self.retries.called();
        let mut before: Option<Result<Reply, SendError>> = None;
        loop {
            let entered = match endpoint.budget.enter(&self.places, deadline, time).await {
                Ok(entered) => entered,
                Err(error) => return before.unwrap_or(Err(error)),
            };
            total.waited += entered.waited;
            let pass = match endpoint.health.enter() {
                Ok(pass) => pass,
                Err(error) => return before.unwrap_or(Err(error)),
            };
            total.attempts += 1;
            let left = deadline.saturating_duration_since(Instant::now());
            let others = total.attempts < self.retry.attempts;
            let mine = try_time(&self.retry, left, others && safe);
            let wire = Wire::of_try(entered.turn.number(), latest);
            let performed = timeout_at(Instant::now() + mine, self.perform(endpoint, checked, &wire)).await;
            let result = performed.unwrap_or_else(|_| {
                let message =
                    format!("no complete answer from {} within {} ms", endpoint.base.host(), mine.as_millis());
                Err(SendError::new(ErrorCode::Timeout, message))
            });
            drop(entered);
            let traffic = wire.traffic();
            let code = result.as_ref().err().map(|error| error.code);
            // The moments before the first request are not held against the system.
            let given = if left * 10 >= time * 9 { mine + time.saturating_sub(left) } else { mine };
            endpoint.health.settle(pass, judge(code, &traffic, given, endpoint.timeout));
            // Behind a redirect, "it was not begun" is said of the hop alone.
            let begun = traffic.followed && !safe;
            let told = traffic.retry_after.filter(|_| matches!(traffic.status, Some(429 | 503)));
            total.traffic.add(traffic);
            let ended = match &result {
                Ok(reply) => Ended::Answered(reply.status),
                Err(error) => Ended::Failed(error.code),
            };
            let Some(why) = reason(ended, safe).filter(|_| others && !begun) else { return result };
            let pause = backoff(total.attempts).max(told.unwrap_or_default());
            let at = (Instant::now() + pause).max(endpoint.budget.next()) + GRACE;
            if at > latest || !self.retries.take() {
                return result;
            }
            let [tenant, connection, name] = [&self.tenant, &self.id, &endpoint.name].map(String::clone);
            tracing::debug!(tenant, connection, endpoint = name, reason = why.as_str(), "tried again");
            counter!(
                "confab_egress_retries_total",
                "tenant" => tenant, "connection" => connection, "endpoint" => name, "reason" => why.as_str()
            )
            .increment(1);
            sleep_until(at).await;
            if endpoint.health.ask().is_err() {
                return result;
            }
            before = Some(result);
        }
    }
}

/// Whether making it twice is the same as once. HTTP says so of PUT and DELETE too, but systems don't keep to it: helpdesks
/// add a comment by PUT, and a second DELETE answers 404.
fn may_be_made_twice(endpoint: &Endpoint, checked: &Checked) -> bool {
    let idempotent = [Method::GET, Method::HEAD].contains(&checked.method);
    let keys = [Some(&IDEMPOTENCY_KEY), endpoint.idempotency_header.as_ref()];
    idempotent || keys.into_iter().flatten().any(|name| checked.headers.contains_key(name))
}
