//! The sales pipeline. See `wit/v1/capabilities/leads.wit`.

pub use crate::bindings::leads::*;

use crate::error::{Code, Result, error};
use crate::people::{self, one_line};

/// Most articles of a lead.
const SKUS: usize = 20;

/// A lead whose fields are trimmed, if they have the right shape: the person's, see [`people::valid`]; a subject of at
/// most `subject` characters in one line; a message of at most `text`; at most 20 articles.
///
/// # Errors
/// `invalid-input`, with what is wrong.
pub fn valid(input: &LeadInput, subject: usize, text: usize) -> Result<LeadInput> {
    let clean = LeadInput {
        person: people::valid(&input.person)?,
        subject: one_line(&input.subject),
        message: input.message.as_ref().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()),
        source: input.source.as_deref().map(one_line).filter(|s| !s.is_empty()),
        skus: input.skus.iter().map(|s| one_line(s)).filter(|s| !s.is_empty()).collect(),
    };
    let longer = |value: &Option<String>, most: usize| value.as_ref().is_some_and(|v| v.chars().count() > most);
    let wrong = |message: String| Err(error(Code::InvalidInput, message));
    if clean.subject.is_empty() || clean.subject.chars().count() > subject {
        return wrong(format!("a lead needs a subject of at most {subject} characters"));
    }
    if longer(&clean.message, text) || longer(&clean.source, subject) || clean.skus.len() > SKUS {
        return wrong(format!(
            "a lead has a message of at most {text} characters, a source of at most {subject}, and {SKUS} articles"
        ));
    }
    Ok(clean)
}

/// What was found out, if it has the right shape: a score of at most 100, a note of at most `text` characters, trimmed.
///
/// # Errors
/// `invalid-input`, with what is wrong.
pub fn valid_finding(found: &Qualification, text: usize) -> Result<Qualification> {
    let filled = |value: &Option<String>| value.as_ref().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
    let clean = Qualification {
        score: found.score,
        state: filled(&found.state).map(|s| s.to_lowercase()),
        note: filled(&found.note),
    };
    if clean.score.is_some_and(|s| s > 100) || clean.note.as_ref().is_some_and(|n| n.chars().count() > text) {
        return Err(error(
            Code::InvalidInput,
            format!("the score is from 0 to 100, a note has at most {text} characters"),
        ));
    }
    Ok(clean)
}

/// What a salesperson reads of a lead beside its subject: the message, the articles, where it came from; each on a line
/// of its own.
pub fn about(input: &LeadInput) -> String {
    let skus: Vec<String> = input.skus.iter().map(|s| one_line(s)).collect();
    let skus = skus.into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(", ");
    let line = |what: &str, value: String| (!value.is_empty()).then(|| format!("{what}: {value}"));
    let parts = [
        input.message.as_ref().map(|m| m.trim().to_owned()).filter(|m| !m.is_empty()),
        line("Articles", skus),
        line("Source", input.source.as_deref().map(one_line).unwrap_or_default()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Who somebody is, a line for each thing that is known: for systems that have no field for it.
pub fn who(person: &Person) -> String {
    let fields =
        [("Name", &person.name), ("Company", &person.company), ("E-mail", &person.email), ("Phone", &person.phone)];
    let lines = fields.into_iter().filter_map(|(what, value)| Some(format!("{what}: {}", one_line(value.as_deref()?))));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lead_is_trimmed_and_checked() {
        let person = Person { email: Some(" e@example.test ".into()), ..Person::default() };
        let input =
            LeadInput { person, subject: " Ten\nmills ".into(), source: Some(" ".into()), ..LeadInput::default() };
        let clean = valid(&input, 20, 50).unwrap();
        assert_eq!((clean.subject.as_str(), clean.source.as_deref()), ("Ten mills", None));
        assert_eq!(clean.person.email.as_deref(), Some("e@example.test"));
        for wrong in [
            LeadInput { subject: " ".into(), ..input.clone() },
            LeadInput { subject: "x".repeat(21), ..input.clone() },
            LeadInput { message: Some("x".repeat(51)), ..input.clone() },
            LeadInput { skus: vec!["x".into(); 21], ..input.clone() },
            LeadInput { person: Person::default(), ..input },
        ] {
            assert_eq!(valid(&wrong, 20, 50).unwrap_err().code, "invalid-input");
        }
        let found = |score| Qualification { score: Some(score), state: Some(" Lost".into()), note: Some(" ".into()) };
        let clean = valid_finding(&found(100), 5).unwrap();
        assert_eq!((clean.state.as_deref(), clean.note), (Some("lost"), None));
        assert_eq!(valid_finding(&found(101), 5).unwrap_err().code, "invalid-input");
    }

    #[test]
    fn a_lead_says_what_was_said_and_by_whom_and_nothing_else() {
        let input = LeadInput {
            message: Some(" for our offices\nin Graz ".into()),
            source: Some("chat\nbot".into()),
            skus: vec!["SKU-1".into(), " ".into(), "SKU-2".into()],
            ..LeadInput::default()
        };
        assert_eq!(about(&input), "for our offices\nin Graz\nArticles: SKU-1, SKU-2\nSource: chat bot");
        assert_eq!(about(&LeadInput::default()), "");
        let person = Person { name: Some("Erika\nM.".into()), phone: Some("0660 5550177".into()), ..Person::default() };
        assert_eq!(who(&person), "Name: Erika M.\nPhone: 0660 5550177");
    }
}
