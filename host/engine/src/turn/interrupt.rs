//! A message that comes while an earlier one is being answered may end that: for bots whose file says `while_busy: interrupt`.
//!
//! Only the host that makes the answer can give it up, and only while nothing was written for it elsewhere; otherwise the message waits its
//! turn like any other. A turn that was given up is committed all the same: what the visitor wrote stays in the transcript, with no
//! answer.

use super::journal::Running;
use confab_store::ConversationKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The turns of this host that may be given up.
#[derive(Default)]
pub(crate) struct Interruptible(Mutex<HashMap<ConversationKey, Ongoing>>);

struct Ongoing {
    running: Arc<Running>,
    given_up: CancellationToken,
}

/// A turn that is listed as long as this lives.
pub(super) struct Listed<'a> {
    all: &'a Interruptible,
    key: &'a ConversationKey,
    given_up: CancellationToken,
}

impl Interruptible {
    pub(super) fn list<'a>(&'a self, key: &'a ConversationKey, running: &Arc<Running>) -> Listed<'a> {
        let given_up = CancellationToken::new();
        let ongoing = Ongoing { running: running.clone(), given_up: given_up.clone() };
        self.0.lock().insert(key.clone(), ongoing);
        Listed { all: self, key, given_up }
    }

    /// Gives a conversation's ongoing turn up, if that is still possible.
    pub(super) fn interrupt(&self, key: &ConversationKey) {
        if let Some(ongoing) = self.0.lock().get(key)
            && ongoing.running.interrupt()
        {
            ongoing.given_up.cancel();
        }
    }
}

impl Listed<'_> {
    /// Returns when the turn was given up.
    pub(super) async fn given_up(&self) {
        self.given_up.cancelled().await;
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.all.0.lock().remove(self.key);
    }
}
