//! Turns that people decide: they take a conversation over, reply, and give it back.
//!
//! A plugin asks for it with its outcome's `handoff`. If the bot's file says that there are people (`people:`), the conversation is handed
//! over from then on: what the visitor writes is kept and the bot says nothing, until somebody of the tenant's gives it back, or nobody has
//! taken it in time.

use super::outcome::{Said, in_language};
use crate::conversation::{HandedOver, Header};
use crate::error::TurnError;
use crate::registry::Bot;
use serde::{Deserialize, Serialize};

/// What people do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeopleStep {
    /// Somebody takes the conversation, also one that the bot has not given away.
    Claim {
        /// Who.
        by: String,
    },
    /// Somebody answers. Whoever answers takes the conversation, unless somebody else has it.
    Reply {
        /// Who.
        by: String,
        /// What the visitor reads.
        text: String,
    },
    /// Somebody gives the conversation back to the bot.
    Release {
        /// Who.
        by: String,
    },
    /// Nobody took it in time: the host gives it back.
    Unanswered {
        /// The handover that is meant, by when it began: a later one is not.
        since: u64,
    },
}

impl PeopleStep {
    /// As the transcript calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            PeopleStep::Claim { .. } => "claim",
            PeopleStep::Reply { .. } => "reply",
            PeopleStep::Release { .. } => "release",
            PeopleStep::Unanswered { .. } => "unanswered",
        }
    }

    pub(super) fn by(&self) -> Option<&str> {
        match self {
            PeopleStep::Claim { by } | PeopleStep::Reply { by, .. } | PeopleStep::Release { by } => Some(by),
            PeopleStep::Unanswered { .. } => None,
        }
    }
}

/// Hands a conversation over, if there are people to take it.
pub(super) fn hand_over(header: &mut Header, bot: &Bot, at: u64, reason: &str, summary: Option<&str>) {
    if bot.people.is_some() && header.handed_over.is_none() {
        let (reason, summary) = (reason.to_owned(), summary.map(str::to_owned));
        header.handed_over = Some(HandedOver { since: at, reason, summary, by: None });
    }
}

/// Makes a step.
///
/// # Errors
/// [`TurnError::HandledBy`] when somebody else has the conversation, [`TurnError::NotHandedOver`] when nobody has.
pub(super) fn decide(step: &PeopleStep, header: &mut Header, bot: &Bot, at: u64) -> Result<Said, TurnError> {
    let holder = header.handed_over.as_ref().and_then(|over| over.by.clone());
    let take = |header: &mut Header, by: &str| match &holder {
        Some(other) if other != by => Err(TurnError::HandledBy(other.clone())),
        _ => {
            let over = header.handed_over.get_or_insert_with(|| HandedOver {
                since: at,
                reason: "taken".to_owned(),
                summary: None,
                by: None,
            });
            over.by = Some(by.to_owned());
            Ok(())
        }
    };
    match step {
        PeopleStep::Claim { by } => take(header, by).map(|()| Said::default()),
        PeopleStep::Reply { by, text } => take(header, by).map(|()| Said::text(text.clone())),
        PeopleStep::Release { .. } if header.handed_over.is_none() => Err(TurnError::NotHandedOver),
        PeopleStep::Release { .. } => {
            header.handed_over = None;
            Ok(Said::default())
        }
        PeopleStep::Unanswered { since } => match &header.handed_over {
            Some(over) if over.since == *since && over.by.is_none() => {
                header.handed_over = None;
                let words =
                    bot.people.as_ref().and_then(|people| in_language(&people.unavailable, header.locale.as_deref()));
                Ok(words.map(Said::text).unwrap_or_default())
            }
            _ => Err(TurnError::NotHandedOver),
        },
    }
}
