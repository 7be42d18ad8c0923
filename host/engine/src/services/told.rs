//! What a connector says of its system without a request having failed: an error inside a 200 (GraphQL, JSON-RPC), a right
//! that is missing, a setting that does not fit. It leaves a record too, unless a failed request of the same call has left
//! one: each failure is told once.

use crate::failures::{FailureRecord, Whose};
use crate::watch::Watch;
use confab_sandbox::{CallReport, Plugin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a call's failure has a record already. Clones are the same call's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<AtomicBool>);

/// Codes that say that something does not work. The others (`not-found`, `invalid-input`, ...) are answers.
const FAILURES: [&str; 6] = ["unavailable", "timeout", "rate-limited", "misconfigured", "forbidden", "internal"];

impl Told {
    /// It has one now.
    pub(super) fn tell(&self) {
        self.0.store(true, Ordering::Relaxed);
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
        if !FAILURES.contains(&code) || self.0.load(Ordering::Relaxed) {
            return;
        }
        self.tell();
        let failure = plugin.broken_contract(operation, message.to_owned(), CallReport::default());
        let record = FailureRecord::of_plugin(&failure, whose).of_capability(code);
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
