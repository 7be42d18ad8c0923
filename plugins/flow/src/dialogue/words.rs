//! Yes, no and stop, in the words of each language.
//!
//! A message means yes only when nothing but such words (and politeness) is in it: "yes but change the e-mail" before
//! a write must not be taken for a yes.

use crate::bot::Words;
use crate::nlu::text::{fold, words};

struct Bundled {
    code: &'static str,
    yes: &'static [&'static str],
    no: &'static [&'static str],
    cancel: &'static [&'static str],
}

const BUNDLED: [Bundled; 6] = [
    Bundled {
        code: "en",
        yes: &[
            "yes",
            "y",
            "yeah",
            "yep",
            "yup",
            "sure",
            "of course",
            "ok",
            "okay",
            "correct",
            "right",
            "thats right",
            "thats correct",
            "do it",
            "do that",
            "go ahead",
            "please do",
            "confirm",
            "confirmed",
            "absolutely",
            "definitely",
            "sounds good",
            "fine",
            "great",
            "perfect",
            "all good",
            "no problem",
            "exactly",
            "send it",
            "yes it is",
        ],
        no: &[
            "no",
            "n",
            "nope",
            "nah",
            "no way",
            "not now",
            "not yet",
            "wrong",
            "thats wrong",
            "dont",
            "do not",
            "please dont",
            "better not",
            "id rather not",
            "not really",
            "incorrect",
            "not correct",
            "no it isnt",
        ],
        cancel: &[
            "cancel",
            "cancel it",
            "cancel that",
            "cancel this",
            "never mind",
            "nevermind",
            "forget it",
            "forget about it",
            "stop",
            "stop it",
            "stop that",
            "quit",
            "abort",
            "exit",
            "lets stop",
            "i changed my mind",
            "changed my mind",
            "leave it",
            "drop it",
            "start over",
            "scrap that",
        ],
    },
    Bundled {
        code: "de",
        yes: &[
            "ja",
            "j",
            "jo",
            "jap",
            "jawohl",
            "klar",
            "na klar",
            "sicher",
            "natürlich",
            "gern",
            "gerne",
            "ok",
            "okay",
            "richtig",
            "stimmt",
            "das stimmt",
            "passt",
            "passt so",
            "genau",
            "korrekt",
            "einverstanden",
            "in ordnung",
            "mach das",
            "machen sie das",
            "tu das",
            "bestätigen",
            "bestätigt",
            "unbedingt",
            "auf jeden fall",
            "alles klar",
            "kein problem",
            "abschicken",
            "ja das stimmt",
            "so ist es",
        ],
        no: &[
            "nein",
            "nö",
            "nee",
            "ne",
            "falsch",
            "das stimmt nicht",
            "stimmt nicht",
            "lieber nicht",
            "besser nicht",
            "noch nicht",
            "jetzt nicht",
            "nicht",
            "auf keinen fall",
            "doch nicht",
            "nicht richtig",
        ],
        cancel: &[
            "abbrechen",
            "abbruch",
            "abbrechen das",
            "stopp",
            "stop",
            "vergiss es",
            "vergessen sie es",
            "vergiss das",
            "egal",
            "schon gut",
            "lass es",
            "lass das",
            "lassen wir das",
            "lassen sie es",
            "beenden",
            "aufhören",
            "ich habe es mir anders überlegt",
            "ich hab es mir anders überlegt",
            "von vorn",
            "hat sich erledigt",
        ],
    },
    Bundled {
        code: "fr",
        yes: &[
            "oui",
            "ouais",
            "bien sûr",
            "d'accord",
            "ok",
            "c'est ça",
            "exact",
            "exactement",
            "correct",
            "parfait",
            "volontiers",
            "vas y",
            "allez y",
            "je confirme",
        ],
        no: &["non", "pas maintenant", "pas encore", "surtout pas", "c'est faux", "pas du tout", "incorrect"],
        cancel: &[
            "annuler",
            "annule",
            "annulez",
            "laisse tomber",
            "laissez tomber",
            "stop",
            "arrête",
            "arrêtez",
            "oublie",
            "oubliez",
            "tant pis",
        ],
    },
    Bundled {
        code: "es",
        yes: &[
            "sí",
            "si",
            "claro",
            "por supuesto",
            "vale",
            "ok",
            "de acuerdo",
            "correcto",
            "exacto",
            "adelante",
            "perfecto",
            "confirmo",
        ],
        no: &["no", "ahora no", "todavía no", "incorrecto", "mejor no", "para nada"],
        cancel: &[
            "cancelar",
            "cancela",
            "cancele",
            "olvídalo",
            "olvídelo",
            "déjalo",
            "déjelo",
            "para",
            "stop",
            "da igual",
        ],
    },
    Bundled {
        code: "it",
        yes: &[
            "sì",
            "si",
            "certo",
            "certamente",
            "va bene",
            "ok",
            "d'accordo",
            "esatto",
            "giusto",
            "corretto",
            "perfetto",
            "confermo",
            "volentieri",
        ],
        no: &["no", "non ora", "non ancora", "sbagliato", "meglio di no", "per niente"],
        cancel: &[
            "annulla",
            "annullare",
            "annulli",
            "lascia perdere",
            "lasci perdere",
            "lascia stare",
            "stop",
            "basta",
            "fa niente",
        ],
    },
    Bundled {
        code: "nl",
        yes: &[
            "ja",
            "jawel",
            "zeker",
            "natuurlijk",
            "oké",
            "ok",
            "klopt",
            "dat klopt",
            "juist",
            "correct",
            "prima",
            "akkoord",
            "doe maar",
            "graag",
        ],
        no: &["nee", "nu niet", "nog niet", "fout", "klopt niet", "liever niet", "beter van niet"],
        cancel: &[
            "annuleren",
            "annuleer",
            "laat maar",
            "vergeet het",
            "stop",
            "stoppen",
            "ophouden",
            "niet meer nodig",
        ],
    },
];

/// Words that change nothing.
const POLITE: [&str; 22] = [
    "please",
    "thanks",
    "thank",
    "you",
    "bitte",
    "danke",
    "sehr",
    "vielen",
    "dank",
    "merci",
    "svp",
    "gracias",
    "favor",
    "por",
    "grazie",
    "prego",
    "alstublieft",
    "bedankt",
    "oh",
    "then",
    "dann",
    "mal",
];

impl Words {
    /// The words of these languages.
    pub(crate) fn new(languages: &[String]) -> Words {
        let mut all = Words::default();
        for language in languages {
            let code = language.split('-').next().unwrap_or(language);
            for bundled in BUNDLED.iter().filter(|bundled| bundled.code == code) {
                all.yes.extend(bundled.yes.iter().map(|phrase| folded(phrase)));
                all.no.extend(bundled.no.iter().map(|phrase| folded(phrase)));
                all.cancel.extend(bundled.cancel.iter().map(|phrase| folded(phrase)));
            }
        }
        all
    }

    /// Whether a message says just yes or just no.
    pub(crate) fn yes_or_no(&self, message: &str) -> Option<bool> {
        let said = said(message)?;
        let (yes, no) = (consists_of(&said, &self.yes), consists_of(&said, &self.no));
        match (yes, no) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    }

    /// Whether a message says just stop.
    pub(crate) fn is_cancel(&self, message: &str) -> bool {
        said(message).is_some_and(|said| consists_of(&said, &self.cancel) || self.declines(&said))
    }

    /// "no, forget it", "nein, abbrechen".
    fn declines(&self, said: &[String]) -> bool {
        let (Some(first), Some(rest)) = (said.first(), said.get(1..)) else {
            return false;
        };
        self.no.contains(first) && consists_of(rest, &self.cancel)
    }
}

/// A phrase as it is compared.
pub(crate) fn folded(phrase: &str) -> String {
    let words: Vec<String> = words(phrase).into_iter().map(|word| fold(&word.lower)).collect();
    words.join(" ")
}

/// The words of a short message; a long one says more than yes.
fn said(message: &str) -> Option<Vec<String>> {
    if message.len() > 80 {
        return None;
    }
    let said: Vec<String> = words(message).into_iter().map(|word| fold(&word.lower)).collect();
    (1..=8).contains(&said.len()).then_some(said)
}

/// Whether words are phrases of the list, one after the other, and politeness.
fn consists_of(said: &[String], phrases: &[String]) -> bool {
    let mut at = 0;
    let mut any = false;
    while let Some(word) = said.get(at) {
        let longest = (1..=6)
            .rev()
            .find(|length| said.get(at..at + length).is_some_and(|stretch| phrases.contains(&stretch.join(" "))));
        match longest {
            Some(length) => {
                any = true;
                at += length;
            }
            None if POLITE.contains(&word.as_str()) => at += 1,
            None => return false,
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_is_only_yes() {
        let words = Words::new(&["en".to_owned(), "de".to_owned()]);
        for text in [
            "yes",
            "Yes, please!",
            "ja gerne",
            "Sure, go ahead",
            "okay, do it",
            "Ja, das stimmt",
            "no problem",
            "that's right",
        ] {
            assert_eq!(words.yes_or_no(text), Some(true), "{text}");
        }
        for text in ["no", "Nein danke", "nope", "please don't", "stimmt nicht", "lieber nicht"] {
            assert_eq!(words.yes_or_no(text), Some(false), "{text}");
        }
        for text in ["yes but change the e-mail", "maybe", "yes no", "", "no idea", "what does it cost"] {
            assert_eq!(words.yes_or_no(text), None, "{text}");
        }
    }

    #[test]
    fn stop_is_only_stop() {
        let words = Words::new(&["en".to_owned(), "de".to_owned()]);
        for text in ["cancel", "Never mind.", "please cancel that", "abbrechen bitte", "vergiss es", "no, forget it"] {
            assert!(words.is_cancel(text), "{text}");
        }
        for text in ["cancel my order", "ich möchte meine Bestellung abbrechen", "no"] {
            assert!(!words.is_cancel(text), "{text}");
        }
    }
}
