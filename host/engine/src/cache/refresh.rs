//! Fetching again behind what was served: bounded for the host and for each tenant, and over when the host stops.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Fetches behind at once of a host: an eighth of the places for connectors, so that turns never wait for them.
const AT_ONCE: usize = 32;
/// The same of a tenant.
const AT_ONCE_OF_TENANT: usize = 8;

/// Those that are on their way.
#[derive(Clone, Default)]
pub(super) struct Refreshes {
    running: Arc<Mutex<Running>>,
    pub(super) tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Default)]
struct Running {
    all: usize,
    by_tenant: HashMap<Arc<str>, usize>,
}

/// Leave for one. It ends with the value.
pub(super) struct Leave {
    running: Arc<Mutex<Running>>,
    tenant: Arc<str>,
}

impl Refreshes {
    /// Leave for another one, if there are not too many.
    pub(super) fn leave(&self, tenant: &Arc<str>) -> Option<Leave> {
        let mut running = self.running.lock();
        let own = running.by_tenant.get(tenant).copied().unwrap_or(0);
        if running.all >= AT_ONCE || own >= AT_ONCE_OF_TENANT || self.stop.is_cancelled() {
            return None;
        }
        running.all += 1;
        running.by_tenant.insert(tenant.clone(), own + 1);
        Some(Leave { running: self.running.clone(), tenant: tenant.clone() })
    }

    pub(super) fn spawn(&self, leave: Leave, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let _leave = leave;
            stop.run_until_cancelled(work).await;
        });
    }

    /// Ends all.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        running.all = running.all.saturating_sub(1);
        if let Some(own) = running.by_tenant.get_mut(&self.tenant) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                running.by_tenant.remove(&self.tenant);
            }
        }
    }
}
