//! The helpdesk. See `wit/v1/capabilities/tickets.wit`.

pub use crate::bindings::tickets::*;

use crate::error::{Code, Result, error};
use crate::people::{self, one_line};

/// How urgent a ticket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// `low`
    Low,
    /// `normal`
    Normal,
    /// `high`
    High,
    /// `urgent`
    Urgent,
}

/// The priority of a new ticket; none where none is given.
///
/// # Errors
/// `invalid-input` for any other word than those of the contract.
pub fn priority(input: &TicketInput) -> Result<Option<Priority>> {
    Ok(Some(match input.priority.as_deref().map(str::trim).unwrap_or_default().to_lowercase().as_str() {
        "" => return Ok(None),
        "low" => Priority::Low,
        "normal" => Priority::Normal,
        "high" => Priority::High,
        "urgent" => Priority::Urgent,
        _ => return Err(error(Code::InvalidInput, "the priority is low, normal, high or urgent")),
    }))
}

/// A new ticket whose fields are trimmed, if they have the right shape: the requester's, see [`people::valid`]; a subject
/// of at most `subject` characters in one line; a body of at most `text`; a priority of the contract's.
///
/// # Errors
/// `invalid-input`, with what is wrong.
pub fn valid(input: &TicketInput, subject: usize, text: usize) -> Result<TicketInput> {
    priority(input)?;
    let line = |value: &Option<String>| value.as_deref().map(one_line).filter(|v| !v.is_empty());
    let clean = TicketInput {
        subject: one_line(&input.subject),
        body: input.body.trim().to_owned(),
        requester: people::valid(&input.requester)?,
        priority: line(&input.priority).map(|p| p.to_lowercase()),
        category: line(&input.category),
        order_number: line(&input.order_number),
    };
    let short = |value: &Option<String>| value.as_ref().is_none_or(|v| v.chars().count() <= subject);
    let is_subject = !clean.subject.is_empty() && clean.subject.chars().count() <= subject;
    if !is_subject || clean.body.chars().count() > text || !short(&clean.category) || !short(&clean.order_number) {
        return Err(error(
            Code::InvalidInput,
            format!("a ticket needs a subject of at most {subject} characters and a text of at most {text}"),
        ));
    }
    Ok(clean)
}

/// What the requester says on a ticket, trimmed: 1 to `most` characters.
///
/// # Errors
/// `invalid-input` for less and for more.
pub fn said(text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > most {
        return Err(error(Code::InvalidInput, format!("a comment has 1 to {most} characters")));
    }
    Ok(text.to_owned())
}

/// Why a ticket is closed, if a reason is given: see [`said`].
///
/// # Errors
/// `invalid-input` for more than `most` characters.
pub fn reason(reason: Option<&str>, most: usize) -> Result<Option<String>> {
    reason.filter(|r| !r.trim().is_empty()).map(|reason| said(reason, most)).transpose()
}

/// `not-found` for a ticket that doesn't exist, and in the same words for one that isn't the asker's.
pub fn no_ticket(number: &str) -> Error {
    let shown: String = one_line(number).chars().take(32).collect();
    error(Code::NotFound, format!("there is no ticket {shown}"))
}

/// Words that helpdesks have for their states, in the languages that bots speak here.
const STATES: [(&str, &[&str]); 5] = [
    ("new", &["new", "neu"]),
    (
        "open",
        &[
            "open",
            "working",
            "in progress",
            "assigned",
            "escalated",
            "waiting on us",
            "offen",
            "in bearbeitung",
            "eskaliert",
            "wartet auf uns",
        ],
    ),
    (
        "pending",
        &[
            "pending",
            "hold",
            "on hold",
            "waiting",
            "stalled",
            "waiting on contact",
            "waiting on customer",
            "waiting for customer",
            "wartend",
            "zurückgestellt",
            "wartet auf kontakt",
            "wartet auf kunden",
        ],
    ),
    ("solved", &["solved", "resolved", "done", "gelöst", "erledigt"]),
    ("closed", &["closed", "rejected", "geschlossen"]),
];

/// The contract's word for a helpdesk's own, whatever its case; none for one that is not usual.
pub fn usual_state(own: &str) -> Option<&'static str> {
    let own = own.trim().to_lowercase();
    STATES.iter().find(|(_, words)| words.contains(&own.as_str())).map(|(ours, _)| *ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_trimmed_and_checked() {
        let requester = Person { email: Some("e@example.test".into()), ..Person::default() };
        let input = TicketInput {
            subject: " It\nleaks ".into(),
            body: " water ".into(),
            requester,
            priority: Some(" High ".into()),
            category: Some(" ".into()),
            order_number: None,
        };
        let clean = valid(&input, 20, 50).unwrap();
        assert_eq!(
            (clean.subject.as_str(), clean.body.as_str(), clean.category.as_deref()),
            ("It leaks", "water", None)
        );
        assert_eq!(priority(&clean).unwrap(), Some(Priority::High));
        for wrong in [
            TicketInput { subject: String::new(), ..input.clone() },
            TicketInput { body: "x".repeat(51), ..input.clone() },
            TicketInput { priority: Some("asap".into()), ..input.clone() },
            TicketInput { category: Some("x".repeat(21)), ..input.clone() },
            TicketInput { requester: Person::default(), ..input },
        ] {
            assert_eq!(valid(&wrong, 20, 50).unwrap_err().code, "invalid-input");
        }
        assert_eq!(said(" a ", 3).unwrap(), "a");
        assert_eq!(
            (said(" ", 3).unwrap_err().code, said("abcd", 3).unwrap_err().code),
            ("invalid-input".into(), "invalid-input".into())
        );
        assert_eq!((reason(Some(" "), 3).unwrap(), reason(Some(" ok"), 3).unwrap()), (None, Some("ok".into())));
    }

    #[test]
    fn a_number_that_is_none_is_shown_in_a_line() {
        assert_eq!(no_ticket("5\n6").message, "there is no ticket 5 6");
        assert!(no_ticket(&"9".repeat(99)).message.len() < 60);
    }

    #[test]
    fn states_are_told_by_their_usual_words() {
        assert_eq!(
            [usual_state("In Progress"), usual_state("Gelöst"), usual_state("Phase 7")],
            [Some("open"), Some("solved"), None]
        );
    }
}
