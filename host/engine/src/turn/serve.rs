//! The steps of a turn.
//!
//! 1. Find the bot, and the conversation's id.
//! 2. Take the conversation's turn lock, in order of arrival. A request that was answered before ends here, with that answer.
//! 3. Finish the turn that another host left, if there is one. It may be this very request, sent again.
//! 4. Check whose conversation it is. Run the intent plugin on a fresh instance, with the services it asks for; keep the lock
//!    meanwhile.
//! 5. Commit head, transcript, record, answer, work for later and lock in one step.
//!
//! A host that lost the lock on the way (it stood still for longer than the lock holds) has committed nothing, and begins again: what
//! another host made of the turn is then found at 2 or 3.

use super::accepted::{Accepted, conversation_for};
use super::commit::{Closing, answered};
use super::journal::{Left, Running};
use super::outcome::{Said, in_language};
use super::record::Record;
use super::{Access, Inbound, TurnAnswer, TurnRequest, merge, people};
use crate::config::documents::WhileBusy;
use crate::conversation::{Entry, FORMAT, Head, Header, Owner};
use crate::engine::Engine;
use crate::error::TurnError;
use crate::failures::Whose;
use crate::ids::{BotId, ConversationId, TenantId};
use crate::registry::{Bot, Slot};
use crate::services::BotServices;
use bytes::Bytes;
use confab_sandbox::{FailureKind, Plugin};
use confab_store::{BeginTurn, Begun, ConversationKey, OpenTurn, StoreError};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for earlier messages of the same conversation. Clients give up after about this.
const TURN_WAIT: Duration = Duration::from_secs(20);
/// How long a conversation waits for a host that was killed in the middle of a turn.
const TURN_HOLD: Duration = Duration::from_secs(10);
/// A turn that lasts longer keeps its lock by saying so: three chances before it is lost.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// A turn that made a write is looked at after this long, should its host not finish it.
const LOOK_AFTER: Duration = Duration::from_secs(12);
/// Times that a turn is begun whose lock was lost. The lock is lost by standing still for ten seconds.
const BEGINNINGS: u32 = 4;

/// Where a turn takes place.
pub(super) struct Place {
    pub(super) bot: Arc<Bot>,
    pub(super) id: ConversationId,
    pub(super) key: ConversationKey,
}

/// Why a turn was not committed.
pub(super) enum Undone {
    /// The lock was lost: begin again.
    Lost,
    Error(TurnError),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost => Undone::Lost,
            other => Undone::Error(other.into()),
        }
    }
}

/// A turn that is committed, and what comes next if the lock was kept.
pub(super) struct Done {
    pub(super) answer: TurnAnswer,
    pub(super) next: Option<OpenTurn>,
}

/// How a turn was decided.
pub(super) struct Decided {
    pub(super) said: Said,
    pub(super) state: Bytes,
    pub(super) failure: Option<String>,
    /// Which version of the plugin did; none where it failed, or was not asked.
    pub(super) plugin: Option<Plugin>,
    /// Whether it was given up for a newer message.
    pub(super) interrupted: bool,
}

impl Engine {
    pub(super) async fn serve(&self, request: TurnRequest) -> Result<TurnAnswer, TurnError> {
        let started = Instant::now();
        let bot = self.ready_bot(&request.tenant, &request.bot)?;
        let (id, known) = match (request.conversation, &request.key) {
            (Some(id), _) => (id, true),
            (None, Some(key)) => (conversation_for(&request, key), false),
            (None, None) => (ConversationId::new(), false),
        };
        let key = ConversationKey::new(request.tenant.as_str(), request.bot.as_str(), id.to_string());
        let place = Place { bot, id, key };
        let mut accepted = Arc::new(Accepted::new(&request, id));
        let mut lead = None;
        if known && place.bot.while_busy == WhileBusy::Merge {
            match self.inner.gathering.join(&place.key, &request)? {
                merge::Place::Leads(leading) => lead = Some(leading),
                merge::Place::Follows(answered) => {
                    return answered.await.unwrap_or(Err(TurnError::Busy));
                }
            }
        }
        let mut joined = Vec::new();
        if place.bot.while_busy == WhileBusy::Interrupt && matches!(request.inbound, Inbound::Message(_)) {
            self.inner.interruptible.interrupt(&place.key);
        }
        for beginning in 1..=BEGINNINGS {
            let begin = BeginTurn {
                wait: TURN_WAIT.saturating_sub(started.elapsed()),
                hold: TURN_HOLD,
                most_waiting: place.bot.while_busy.most_waiting(),
                answer_key: accepted.key.as_ref().map(|key| key.name.clone()),
            };
            let open = match self.inner.store.begin_turn(&place.key, begin).await {
                Ok(Begun::Open(open)) => open,
                Ok(Begun::Answered(kept)) => return answered(&kept, &accepted),
                // Where nothing may wait, whoever would have to is too early, and not too many.
                Err(StoreError::Crowded) if place.bot.while_busy == WhileBusy::Reject => return Err(TurnError::Busy),
                Err(e) => return Err(e.into()),
            };
            if let Some(lead) = lead.take() {
                joined = lead.close();
                if !joined.is_empty() {
                    accepted = Arc::new(accepted.with(&joined));
                }
            }
            let done = self.serve_open(&place, open, &accepted, &request, known, beginning > 1).await;
            match done {
                Ok(answer) => {
                    let metrics = place.bot.metrics();
                    if answer.failed { &metrics.fallback } else { &metrics.answered }.increment(1);
                    metrics.seconds.record(started.elapsed().as_secs_f64());
                    let answer = Ok(answer);
                    joined.into_iter().for_each(|joined| joined.tell(&answer));
                    return answer;
                }
                Err(Undone::Error(e)) => {
                    let answer = Err(e);
                    joined.into_iter().for_each(|joined| joined.tell(&answer));
                    return answer;
                }
                Err(Undone::Lost) => {
                    tracing::warn!(conversation = %place.id, turn = accepted.turn, beginning, "the turn's lock was lost; it is begun again");
                }
            }
        }
        Err(TurnError::Busy)
    }

    /// Steps 3 to 5.
    async fn serve_open(
        &self,
        place: &Place,
        mut open: OpenTurn,
        accepted: &Arc<Accepted>,
        request: &TurnRequest,
        known: bool,
        again: bool,
    ) -> Result<TurnAnswer, Undone> {
        let owner = (request.access == Access::Visitor).then(|| Owner::of(request.visitor.id.as_deref()));
        if let Some(unfinished) = open.unfinished.take() {
            match Left::decode(&unfinished) {
                Some(left) if left.accepted.turn == accepted.turn => {
                    if *left.accepted.fingerprint() != *accepted.fingerprint() {
                        self.inner.store.abandon_turn(open.lease).await;
                        return Err(Undone::Error(TurnError::KeyReused));
                    }
                    return Ok(self.go_on(place, open, left, false).await?.answer);
                }
                Some(left) => match self.go_on(place, open, left, true).await?.next {
                    Some(next) => open = next,
                    None => return Err(Undone::Lost),
                },
                // Of a newer version: a host of that version finishes it. This one's turn takes its place.
                None => tracing::error!(conversation = %place.id, "an unfinished turn can't be read; it is given up"),
            }
        }
        if again && let Some(answer) = self.answered_meanwhile(place, open.turns, &accepted.turn).await? {
            self.inner.store.abandon_turn(open.lease).await;
            return Ok(answer);
        }
        let head = match (open.head.as_ref().and_then(Head::decode), known) {
            (Some(head), _) if owner.is_none_or(|owner| owner == head.header.owner) => head,
            (None, false) => fresh_head(accepted),
            _ => {
                self.inner.store.abandon_turn(open.lease).await;
                return Err(Undone::Error(TurnError::UnknownConversation));
            }
        };
        let running =
            Running::new(self.inner.store.clone(), open.lease, accepted.clone(), LOOK_AFTER, self.inner.journal);
        Ok(self.run(place, Arc::new(running), open.turns + 1, head, None, false).await?.answer)
    }

    /// Finishes a turn that another host left (or this one, when it was killed).
    async fn go_on(&self, place: &Place, open: OpenTurn, left: Left, keep: bool) -> Result<Done, Undone> {
        let Some(head) = open.head.as_ref().map_or_else(|| Some(fresh_head(&left.accepted)), Head::decode) else {
            self.inner.store.abandon_turn(open.lease).await;
            return Err(Undone::Error(TurnError::Internal("the conversation can't be read".into())));
        };
        tracing::info!(conversation = %place.id, turn = left.accepted.turn, steps = left.steps(), "an unfinished turn is taken up");
        metrics::counter!("confab_turns_taken_up_total").increment(1);
        let hopeless =
            left.is_hopeless().then(|| "the turn was given up: it could not be finished in several tries".into());
        let accepted = Arc::new(left.accepted.clone());
        let running = Running::new(self.inner.store.clone(), open.lease, accepted, LOOK_AFTER, self.inner.journal);
        running.take_up(left).await?;
        self.run(place, Arc::new(running), open.turns + 1, head, hopeless, keep).await
    }

    /// Looks after a conversation's unfinished turn. `false`: it is being served, or can't be finished yet.
    ///
    /// # Errors
    /// As [`Engine::turn`].
    pub(crate) async fn finish_turn(
        &self,
        tenant: &TenantId,
        bot: &BotId,
        id: ConversationId,
    ) -> Result<bool, TurnError> {
        let bot = self.ready_bot(tenant, bot)?;
        let key = ConversationKey::new(tenant.as_str(), bot.id.as_str(), id.to_string());
        let place = Place { bot, id, key };
        let begin = BeginTurn { wait: Duration::ZERO, hold: TURN_HOLD, most_waiting: usize::MAX, answer_key: None };
        let mut open = match self.inner.store.begin_turn(&place.key, begin).await {
            Ok(Begun::Open(open)) => open,
            Ok(Begun::Answered(_)) | Err(StoreError::Busy | StoreError::Crowded) => return Ok(false),
            Err(e) => return Err(e.into()),
        };
        let Some(left) = open.unfinished.take().as_ref().and_then(Left::decode) else {
            self.inner.store.abandon_turn(open.lease).await;
            return Ok(true);
        };
        match self.go_on(&place, open, left, false).await {
            Ok(_) => Ok(true),
            Err(Undone::Lost) => Ok(false),
            Err(Undone::Error(e)) => Err(e),
        }
    }

    /// Steps 4 and 5.
    async fn run(
        &self,
        place: &Place,
        running: Arc<Running>,
        number: u64,
        head: Head,
        hopeless: Option<String>,
        keep: bool,
    ) -> Result<Done, Undone> {
        let accepted = running.accepted.clone();
        let locale = accepted.locale.clone().or_else(|| head.header.locale.clone());
        let mut header = head.header.clone();
        header.locale.clone_from(&locale);
        let silent = header.handed_over.is_some();
        let mut by_plugin = false;
        let decided = match &accepted.inbound {
            Inbound::Told { texts, .. } => {
                let words = in_language(texts, locale.as_deref());
                Decided::by_host(words.map(Said::text).unwrap_or_default(), &head)
            }
            Inbound::People(step) => match people::decide(step, &mut header, &place.bot, accepted.at) {
                Ok(said) => Decided::by_host(said, &head),
                Err(e) => {
                    self.give_back(&running).await;
                    return Err(Undone::Error(e));
                }
            },
            Inbound::Message(_) | Inbound::Event { .. } if silent => Decided::by_host(Said::default(), &head),
            Inbound::Message(_) | Inbound::Event { .. } => {
                by_plugin = true;
                match hopeless {
                    Some(why) => {
                        tracing::error!(conversation = %place.id, turn = accepted.turn, "{why}");
                        Decided::failed(place, locale.as_deref(), &head, why)
                    }
                    None => self.ask_plugin(place, &running, number, &head, locale.as_deref()).await?,
                }
            }
        };
        if let Some((reason, summary)) = &decided.said.handoff {
            people::hand_over(&mut header, &place.bot, accepted.at, reason, summary.as_deref());
        }
        let record = (by_plugin && !decided.interrupted && self.inner.journal).then(|| {
            let plugin = decided.plugin.as_ref().unwrap_or(&place.bot.plugin);
            let (manifest, digest) = (plugin.manifest(), plugin.digest().to_owned());
            let plugin = (manifest.name.clone(), manifest.version.clone(), digest);
            let (definition, steps) = (place.bot.definition.clone(), running.steps());
            let (said, failure) = (decided.said.clone(), decided.failure.clone());
            let accepted = Accepted { locale: locale.clone(), ..(*accepted).clone() };
            Record::new(number, accepted, steps, plugin, definition, said, &decided.state, failure).encode(&head.state)
        });
        let closing = Closing { number, header, before: head.header.handed_over, decided, record, keep };
        self.commit(place, &running, closing).await
    }

    /// Step 4: the plugin decides.
    async fn ask_plugin(
        &self,
        place: &Place,
        running: &Arc<Running>,
        number: u64,
        head: &Head,
        locale: Option<&str>,
    ) -> Result<Decided, Undone> {
        let (bot, accepted) = (&place.bot, &running.accepted);
        let services = BotServices::new(&self.inner, bot.clone(), place.key.id.clone(), running.clone());
        let input = turn_input(accepted, &place.key.id, number, locale, &head.state);
        let whose = Whose {
            tenant: bot.tenant.as_str(),
            bot: Some(bot.id.as_str()),
            connection: None,
            conversation: Some(&place.key.id),
            turn: Some(&accepted.turn),
            request_id: &accepted.request_id,
        };
        let handled = while_renewing(running, crate::net::handle(&self.inner.watch, bot, &whose, services, input));
        let outcome = if bot.while_busy == WhileBusy::Interrupt {
            let listed = self.inner.interruptible.list(&place.key, running);
            tokio::select! {
                outcome = handled => outcome?,
                () = listed.given_up() => return Ok(Decided { interrupted: true, ..Decided::by_host(Said::default(), head) }),
            }
        } else {
            handled.await?
        };
        if running.is_lost() {
            return Err(Undone::Lost);
        }
        match outcome {
            Ok((said, state, plugin)) => {
                Ok(Decided { said, state, failure: None, plugin: Some(plugin), interrupted: false })
            }
            Err(failure) if failure.kind == FailureKind::Overloaded => {
                self.give_back(running).await;
                Err(Undone::Error(TurnError::Overloaded))
            }
            Err(failure) if failure.kind == FailureKind::Quota => {
                self.give_back(running).await;
                let retry_after_s = self.sandbox().fuel_in_s(bot.tenant.as_str());
                Err(Undone::Error(TurnError::Quota { retry_after_s }))
            }
            Err(failure) => {
                let message = failure.to_string();
                tracing::warn!(tenant = %bot.tenant, bot = %bot.id, conversation = %place.id, turn = accepted.turn, request_id = accepted.request_id, "fallback answered: {message}");
                Ok(Decided::failed(place, locale, head, message))
            }
        }
    }

    async fn give_back(&self, running: &Running) {
        if let Some(lease) = running.take_lease().await {
            self.inner.store.abandon_turn(lease).await;
        }
    }

    /// What another host answered while this one had lost the lock: in the last entries of the transcript, one for each turn.
    async fn answered_meanwhile(&self, place: &Place, turns: u64, turn: &str) -> Result<Option<TurnAnswer>, Undone> {
        const LAST: u64 = 20;
        let last = self.inner.store.transcript(&place.key, turns.saturating_sub(LAST), usize::MAX).await?;
        let mut entries = last.into_iter().filter_map(|(_, entry)| serde_json::from_slice::<Entry>(&entry).ok());
        Ok(entries.find(|entry| entry.turn == turn).map(|entry| TurnAnswer {
            conversation: place.id,
            turn: entry.turn,
            replies: entry.replies,
            intent: entry.intent.map(|name| (name, 1.0)),
            handoff: None,
            failed: entry.failure.is_some(),
            with_people: false,
            interrupted: false,
            replayed: true,
        }))
    }

    pub(crate) fn ready_bot(&self, tenant: &TenantId, bot: &BotId) -> Result<Arc<Bot>, TurnError> {
        match self.registry().bot(tenant, bot) {
            Some(Slot::Ready(bot)) => Ok(bot.clone()),
            Some(Slot::Broken(reason)) => Err(TurnError::BotNotReady { bot: bot.to_string(), reason: reason.clone() }),
            None => Err(TurnError::UnknownBot(bot.to_string())),
        }
    }
}

impl Decided {
    /// Without the plugin: its state stays.
    fn by_host(said: Said, head: &Head) -> Decided {
        Decided { said, state: head.state.clone(), failure: None, plugin: None, interrupted: false }
    }

    fn failed(place: &Place, locale: Option<&str>, head: &Head, why: String) -> Decided {
        let said = Said::fallback(&place.bot, locale);
        Decided { said, state: head.state.clone(), failure: Some(why), plugin: None, interrupted: false }
    }
}

/// Does the work and keeps the turn's lock meanwhile.
async fn while_renewing<T>(running: &Running, work: impl Future<Output = T>) -> Result<T, Undone> {
    tokio::pin!(work);
    loop {
        let Ok(done) = tokio::time::timeout(RENEW_EVERY, &mut work).await else {
            match running.renew(TURN_HOLD).await {
                Err(StoreError::LeaseLost) => return Err(Undone::Lost),
                // The next one may come through; the commit will tell.
                Err(e) => tracing::warn!(turn = running.accepted.turn, error = %e, "a turn's lock was not renewed"),
                Ok(()) => {}
            }
            continue;
        };
        return Ok(done);
    }
}

/// A turn as the plugin sees it.
pub(crate) fn turn_input(
    accepted: &Accepted,
    conversation: &str,
    number: u64,
    locale: Option<&str>,
    state: &[u8],
) -> confab_sandbox::Turn {
    let (kind, text, _) = described(&accepted.inbound);
    let data = match &accepted.inbound {
        Inbound::Event { data, .. } => Some(data.to_string()),
        _ => None,
    };
    let visitor = &accepted.visitor;
    confab_sandbox::Turn {
        id: accepted.turn.clone(),
        conversation: conversation.to_owned(),
        number: u32::try_from(number).unwrap_or(u32::MAX),
        kind: kind.to_owned(),
        text: text.to_owned(),
        data,
        locale: locale.map(str::to_owned),
        visitor: confab_sandbox::Visitor {
            id: visitor.id.clone(),
            verified: false,
            name: visitor.name.clone(),
            email: visitor.email.clone(),
            phone: visitor.phone.clone(),
        },
        state: state.to_vec(),
    }
}

/// Kind, text and who of the tenant's people, as the transcript shows them.
pub(super) fn described(inbound: &Inbound) -> (&'static str, &str, Option<&str>) {
    match inbound {
        Inbound::Message(text) => ("message", text, None),
        Inbound::Event { name, .. } | Inbound::Told { name, .. } => ("event", name, None),
        Inbound::People(step) => ("agent", step.name(), step.by()),
    }
}

fn fresh_head(accepted: &Accepted) -> Head {
    let owner = Owner::of(accepted.visitor.id.as_deref());
    let header = Header { v: FORMAT, owner, began: accepted.at, locale: None, handed_over: None };
    Head { header, state: Bytes::new() }
}

impl From<StoreError> for TurnError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::LeaseLost => TurnError::Busy,
            StoreError::Crowded => TurnError::Crowded,
            StoreError::InFlight => TurnError::InFlight,
            other => TurnError::Store(other),
        }
    }
}
