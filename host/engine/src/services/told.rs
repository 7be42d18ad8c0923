//! What a connector says of its system without a request having failed: an error inside a 200 (GraphQL, JSON-RPC), a right
//! that is missing, a setting that does not fit. It leaves a record too, unless a failed request of the same call has left
//! one: each failure is told once.
//!
//! A request that the system refused (400, 409, 422, ...) waits for what the connector makes of it. Many are part of how a
//! system is spoken to: it has that one already, a field does not exist in this edition. Only when the call fails as well does the
//! request become its record.

use crate::failures::{FailureRecord, Whose};
use crate::watch::Watch;
use confab_egress::Sent;
use confab_sandbox::{Blame, CallReport, Plugin};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a call's failure has a record already. Clones are the same call's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    told: Arc<AtomicBool>,
    refused: Arc<Mutex<Option<Sent>>>,
}

/// Codes that say that something does not work. The others (`not-found`, `invalid-input`, ...) are answers, as long as the
/// system has refused no request.
const FAILURES: [&str; 6] = ["unavailable", "timeout", "rate-limited", "misconfigured", "forbidden", "internal"];

/// Codes that are answers even then: what was asked for is not there, or not the asker's.
const ANSWERS: [&str; 2] = ["not-found", "proof-required"];

impl Told {
    /// It has one now.
    pub(super) fn tell(&self) {
        self.told.store(true, Ordering::Relaxed);
    }

    /// The system refused this request, of those that did the last one.
    pub(super) fn refused(&self, sent: &Sent) {
        *self.refused.lock() = Some(sent.clone());
    }

    /// A connector's call gave this error.
    pub(crate) fn error(
        &self,
        watch: &Watch,
        plugin: &Plugin,
        whose: &Whose<'_>,
        operation: &str,
        code: &str,
        message: &str,
    ) {
        let refused = self.refused.lock().take().filter(|_| !ANSWERS.contains(&code));
        if self.told.load(Ordering::Relaxed) || (refused.is_none() && !FAILURES.contains(&code)) {
            return;
        }
        self.tell();
        let failure = plugin.broken_contract(operation, message.to_owned(), CallReport::default());
        let record = FailureRecord::of_plugin(&failure, whose);
        let record = match refused {
            Some(sent) => record.of_call("http-status", Blame::Guest, &sent),
            None => record.of_capability(code),
        };
        let (blame, reason) = (record.blame, record.message.clone());
        if watch.failures.record(record) {
            tracing::warn!(
                tenant = whose.tenant,
                connection = whose.connection,
                operation,
                code,
                reason,
                ?blame,
                request_id = whose.request_id,
                conversation = whose.conversation,
                turn = whose.turn,
                "a connector's call failed"
            );
        }
    }
}
