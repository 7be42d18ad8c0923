//! The worker: does what waits in the store's lanes.
//!
//! | lane | entry | done by |
//! |---|---|---|
//! | `turn/CONVERSATION` | a turn that its host may not have finished | [`Engine::finish_turn`] |
//! | `out` | what happened in a turn, to be told | [`crate::webhooks`] |
//! | `webhook/TENANT/ID` | a message for one webhook | [`crate::webhooks`] |
//! | `event/TENANT/SOURCE/BUCKET` | what other systems tell | [`crate::events::process`] |
//! | `later/CONVERSATION/KEY` | an event that the conversation asked for | [`crate::later`] |
//!
//! Every host has one. A lane is with one host at a time; what a killed host held is another's after
//! [`confab_store::LANE_HOLD`]. Everything that is done here may be done again, and comes to the same: turns have idempotency keys.

use crate::engine::{Engine, Inner};
use bytes::Bytes;
use confab_store::{Again, HeldLane, LANE_HOLD, Settled, StoreError};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Lanes that a host works at at once. Most of them wait for somebody's server.
const AT_ONCE: usize = 32;
/// Entries of a lane that are read with it.
const ENTRIES: usize = 64;
/// A lane is kept by saying so: three chances before it is lost.
const EXTEND_EVERY: Duration = Duration::from_secs(LANE_HOLD.as_secs() / 3);
/// Longest time between two looks, should the store not tell of work.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The worker of a host, while it runs.
#[derive(Debug)]
pub(crate) struct Worker {
    stop: CancellationToken,
    lanes: TaskTracker,
}

impl Worker {
    pub(crate) fn new() -> Worker {
        Worker { stop: CancellationToken::new(), lanes: TaskTracker::new() }
    }

    /// Begins to work.
    pub(crate) fn start(&self, engine: &Arc<Inner>) {
        let (engine, store) = (Arc::downgrade(engine), engine.store.clone());
        let (stop, lanes) = (self.stop.clone(), self.lanes.clone());
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(AT_ONCE));
            let mut failing = false;
            loop {
                let free = places.available_permits();
                let wait = async {
                    if free == 0 {
                        drop(places.acquire().await);
                        return;
                    }
                    match store.take_lanes(free, ENTRIES).await {
                        Ok(held) => {
                            failing = false;
                            if held.is_empty() {
                                store.work_arrived(LOOK_EVERY).await;
                            }
                            for lane in held {
                                lanes.spawn(work(engine.clone(), lane, places.clone()));
                            }
                        }
                        Err(error) => {
                            if !failing {
                                tracing::error!(%error, "work that waits can't be read");
                            }
                            failing = true;
                            tokio::time::sleep(LOOK_EVERY).await;
                        }
                    }
                };
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = wait => {}
                }
            }
        });
    }

    /// Takes no more lanes, and waits for those that are being worked at.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.lanes.close();
        self.lanes.wait().await;
    }
}

async fn work(engine: Weak<Inner>, held: HeldLane, places: Arc<Semaphore>) {
    let Ok(_place) = places.acquire().await else { return };
    let Some(inner) = engine.upgrade() else { return };
    let engine = Engine { inner };
    let settled = {
        let doing = engine.do_lane(&held);
        tokio::pin!(doing);
        loop {
            if let Ok(settled) = tokio::time::timeout(EXTEND_EVERY, &mut doing).await {
                break settled;
            }
            match engine.inner.store.extend_lane(&held).await {
                Ok(true) => {}
                Ok(false) => return tracing::warn!(lane = held.lane, "work was taken over by another host"),
                Err(error) => tracing::warn!(lane = held.lane, %error, "work can't be kept"),
            }
        }
    };
    let lane = held.lane.clone();
    match engine.inner.store.settle_lane(held, settled).await {
        // A turn that was finished meanwhile has dropped its lane.
        Ok(()) | Err(StoreError::LeaseLost) => {}
        Err(error) => tracing::warn!(lane, %error, "work that was done may be done again"),
    }
}

impl Engine {
    async fn do_lane(&self, held: &HeldLane) -> Settled {
        match held.lane.split('/').next() {
            Some("turn") => self.look_after(held).await,
            Some("later") => self.tell_later(held).await,
            Some(crate::webhooks::OUT) => self.fan_out(held).await,
            Some(crate::webhooks::DELIVERIES) => self.deliver(held).await,
            Some("event") => self.process_events(held).await,
            _ => {
                tracing::warn!(lane = held.lane, "work of a kind that this version does not know");
                after(Duration::from_secs(60), held)
            }
        }
    }

    /// A turn that its host may not have finished.
    async fn look_after(&self, held: &HeldLane) -> Settled {
        #[derive(Deserialize)]
        struct Look {
            tenant: crate::TenantId,
            bot: crate::BotId,
            conversation: crate::ConversationId,
        }
        let Some(look) = held.entries.first().and_then(|(_, body)| serde_json::from_slice::<Look>(body).ok()) else {
            return done(held);
        };
        match self.finish_turn(&look.tenant, &look.bot, look.conversation).await {
            Ok(true) => done(held),
            // It runs, for longer than usual.
            Ok(false) => after(Duration::from_secs(5), held),
            Err(crate::TurnError::UnknownBot(_)) => done(held),
            Err(error) => {
                tracing::warn!(lane = held.lane, %error, "an unfinished turn can't be finished yet");
                Tries::of(held).again(held)
            }
        }
    }
}

/// All that was read of the lane is done.
pub(crate) fn done(held: &HeldLane) -> Settled {
    let through = held.entries.last().map_or(0, |(number, _)| *number);
    Settled { through, again: Again::Now, note: None, pushes: Vec::new() }
}

/// Nothing is done; the lane is due after so long.
pub(crate) fn after(time: Duration, held: &HeldLane) -> Settled {
    Settled { through: 0, again: Again::In(time), note: held.note.clone(), pushes: Vec::new() }
}

/// How often the oldest entry of a lane was tried, in the lane's note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tries {
    tries: u32,
}

impl Tries {
    pub(crate) fn of(held: &HeldLane) -> Tries {
        held.note.as_ref().and_then(|note| serde_json::from_slice(note).ok()).unwrap_or_default()
    }

    /// Tries so far, with the one that just failed.
    pub(crate) fn made(self) -> u32 {
        self.tries + 1
    }

    /// Another try, later each time: 1, 2, 4 ... 64 seconds, then every two minutes.
    pub(crate) fn again(self, held: &HeldLane) -> Settled {
        let pause = 1_u64.checked_shl(self.tries).filter(|pause| *pause < 120).unwrap_or(120);
        let note = serde_json::to_vec(&Tries { tries: self.made() }).ok().map(Bytes::from);
        Settled { note, ..after(Duration::from_secs(pause), held) }
    }
}
