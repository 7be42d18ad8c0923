//! Texts: what the bot says, by language, with variants; and the texts it brings for what authors forget.

use crate::definition::report::{Place, Report};
use crate::template::Template;
use minijinja::value::Value;
use std::collections::BTreeSet;

/// A text in each of the bot's languages (by index), each with one or more variants.
#[derive(Debug, Default)]
pub(crate) struct Text {
    by_language: Vec<Vec<Template>>,
}

impl Text {
    /// From variants by language. An empty language speaks the first one.
    pub(crate) fn new(by_language: Vec<Vec<Template>>) -> Text {
        Text { by_language }
    }

    /// The text in a language; `turn` picks the variant, so that a replayed turn says the same.
    pub(crate) fn render(&self, language: usize, turn: u32, scope: &Value) -> Result<String, minijinja::Error> {
        let variants = self
            .by_language
            .get(language)
            .filter(|variants| !variants.is_empty())
            .or_else(|| self.by_language.iter().find(|variants| !variants.is_empty()));
        let Some(variants) = variants else {
            return Ok(String::new());
        };
        let at = usize::try_from(turn).unwrap_or(0) % variants.len();
        variants.get(at).map_or_else(|| Ok(String::new()), |template| template.render(scope))
    }

    /// The fixed texts, for matching what a visitor chose.
    pub(crate) fn fixed(&self) -> impl Iterator<Item = (usize, &str)> {
        self.by_language.iter().enumerate().flat_map(|(language, variants)| {
            variants.iter().filter_map(move |template| match template {
                Template::Fixed(text) => Some((language, text.as_str())),
                Template::Filled(_) => None,
            })
        })
    }
}

macro_rules! standard {
    ($($(#[$doc:meta])* $name:ident { en: $en:literal, de: $de:literal, fr: $fr:literal, es: $es:literal, it: $it:literal, nl: $nl:literal $(,)? })+) => {
        /// What every bot can say. Each can be overridden under `texts:`.
        #[derive(Debug, Default)]
        pub(crate) struct Standard { $( $(#[$doc])* pub(crate) $name: Text, )+ }

        /// Their names.
        pub(crate) const STANDARD: &[&str] = &[$( stringify!($name) ),+];

        impl Standard {
            /// The texts we bring, in the bot's languages.
            pub(crate) fn new(languages: &[String]) -> Standard {
                Standard { $( $name: bundled(languages, &[("en", $en), ("de", $de), ("fr", $fr), ("es", $es), ("it", $it), ("nl", $nl)]), )+ }
            }

            /// The place of one of them.
            pub(crate) fn slot(&mut self, name: &str) -> Option<&mut Text> {
                match name { $( stringify!($name) => Some(&mut self.$name), )+ _ => None }
            }
        }
    };
}

standard! {
    /// A call failed and no `on_error` took care of it.
    apology { en: "Sorry, I can't look that up at the moment.", de: "Das kann ich leider gerade nicht nachsehen.", fr: "Désolé, je ne peux pas vérifier cela pour le moment.", es: "Lo siento, ahora mismo no puedo consultarlo.", it: "Mi dispiace, al momento non posso verificarlo.", nl: "Sorry, dat kan ik op dit moment niet opzoeken." }
    /// The same, when a later try may help.
    try_later { en: "Sorry, our system isn't answering right now. Please try again in a few minutes.", de: "Unser System antwortet gerade nicht. Bitte versuchen Sie es in ein paar Minuten noch einmal.", fr: "Désolé, notre système ne répond pas. Réessayez dans quelques minutes.", es: "Lo siento, nuestro sistema no responde. Inténtelo de nuevo en unos minutos.", it: "Mi dispiace, il sistema non risponde. Riprovi tra qualche minuto.", nl: "Sorry, ons systeem antwoordt niet. Probeer het over een paar minuten opnieuw." }
    /// A reminder, a watch or an event for the tenant's systems could not be left behind.
    not_done { en: "Sorry, that didn't work. Please try again later.", de: "Das hat leider nicht geklappt. Bitte versuchen Sie es später noch einmal.", fr: "Désolé, cela n'a pas fonctionné. Réessayez plus tard.", es: "Lo siento, no ha funcionado. Inténtelo más tarde.", it: "Mi dispiace, non ha funzionato. Riprovi più tardi.", nl: "Sorry, dat is niet gelukt. Probeer het later opnieuw." }
    /// What was said is not from now; `when` is the moment.
    as_of { en: "(as of {{ when }})", de: "(Stand: {{ when }})", fr: "(état à {{ when }})", es: "(datos de {{ when }})", it: "(dati delle {{ when }})", nl: "(stand van {{ when }})" }
    /// The visitor cancelled.
    cancelled { en: "All right, cancelled. Is there anything else I can do?", de: "Alles klar, abgebrochen. Kann ich sonst noch etwas tun?", fr: "D'accord, c'est annulé. Puis-je faire autre chose ?", es: "De acuerdo, cancelado. ¿Puedo ayudar en algo más?", it: "Va bene, annullato. Posso fare altro?", nl: "Goed, geannuleerd. Kan ik nog iets anders doen?" }
    /// There was nothing to cancel.
    nothing_to_cancel { en: "There is nothing to cancel. How can I help?", de: "Es gibt nichts abzubrechen. Wie kann ich helfen?", fr: "Il n'y a rien à annuler. Comment puis-je aider ?", es: "No hay nada que cancelar. ¿En qué puedo ayudar?", it: "Non c'è nulla da annullare. Come posso aiutare?", nl: "Er is niets om te annuleren. Hoe kan ik helpen?" }
    /// The answer did not fit, and the slot has no `invalid` of its own.
    invalid { en: "Sorry, I didn't get that.", de: "Das habe ich leider nicht verstanden.", fr: "Désolé, je n'ai pas compris.", es: "Lo siento, no lo he entendido.", it: "Mi dispiace, non ho capito.", nl: "Sorry, dat begreep ik niet." }
    /// Tries are used up.
    give_up { en: "Sorry, we don't seem to get any further here. Let's leave it for now.", de: "Hier kommen wir leider nicht weiter. Lassen wir es für jetzt.", fr: "Désolé, nous n'avançons pas. Laissons cela pour l'instant.", es: "Lo siento, así no avanzamos. Dejémoslo por ahora.", it: "Mi dispiace, così non andiamo avanti. Lasciamo stare per ora.", nl: "Sorry, zo komen we niet verder. Laten we het hierbij laten." }
    /// Something else was answered than yes or no.
    yes_or_no { en: "Please answer yes or no.", de: "Bitte antworten Sie mit Ja oder Nein.", fr: "Répondez par oui ou par non, s'il vous plaît.", es: "Responda sí o no, por favor.", it: "Risponda sì o no, per favore.", nl: "Antwoord alstublieft met ja of nee." }
    /// Label of yes.
    yes { en: "Yes", de: "Ja", fr: "Oui", es: "Sí", it: "Sì", nl: "Ja" }
    /// Label of no.
    no { en: "No", de: "Nein", fr: "Non", es: "No", it: "No", nl: "Nee" }
    /// A confirmation was refused, and the step has no `else`.
    declined { en: "All right, I won't do it.", de: "In Ordnung, dann lasse ich es.", fr: "D'accord, je ne le fais pas.", es: "De acuerdo, no lo haré.", it: "Va bene, non lo faccio.", nl: "Goed, dan doe ik het niet." }
    /// Before the question that was interrupted.
    resume { en: "Back to where we were:", de: "Zurück zu eben:", fr: "Revenons à notre sujet :", es: "Volvamos a lo anterior:", it: "Torniamo a prima:", nl: "Terug naar waar we waren:" }
    /// The definition changed under a running flow.
    changed { en: "Sorry, I lost the thread there. Please ask me again.", de: "Entschuldigung, ich habe den Faden verloren. Bitte fragen Sie noch einmal.", fr: "Désolé, j'ai perdu le fil. Reposez votre question.", es: "Lo siento, he perdido el hilo. Pregunte de nuevo, por favor.", it: "Mi dispiace, ho perso il filo. Chieda di nuovo.", nl: "Sorry, ik ben de draad kwijt. Vraag het nog eens." }
    /// First miss, when there is no `fallback`.
    rephrase { en: "Sorry, I didn't understand that. Could you put it another way?", de: "Das habe ich leider nicht verstanden. Können Sie es anders sagen?", fr: "Désolé, je n'ai pas compris. Pouvez-vous le dire autrement ?", es: "Lo siento, no lo he entendido. ¿Puede decirlo de otra forma?", it: "Mi dispiace, non ho capito. Può dirlo in un altro modo?", nl: "Sorry, dat begreep ik niet. Kunt u het anders zeggen?" }
    /// First miss, when something is near.
    did_you_mean { en: "I'm not sure I understood. Did you mean:", de: "Ich bin nicht sicher, ob ich das verstanden habe. Meinten Sie:", fr: "Je ne suis pas sûr d'avoir compris. Vouliez-vous dire :", es: "No estoy seguro de haber entendido. ¿Quería decir:", it: "Non sono sicuro di aver capito. Intendeva:", nl: "Ik weet niet zeker of ik het begrijp. Bedoelde u:" }
    /// Later misses, when there is no `fallback`.
    lost { en: "Sorry, I can't help with that. This is what I can do:", de: "Dabei kann ich leider nicht helfen. Das kann ich:", fr: "Désolé, je ne peux pas aider avec cela. Voici ce que je peux faire :", es: "Lo siento, con eso no puedo ayudar. Esto es lo que puedo hacer:", it: "Mi dispiace, in questo non posso aiutare. Ecco cosa posso fare:", nl: "Sorry, daar kan ik niet mee helpen. Dit kan ik wel:" }
}

fn bundled(languages: &[String], texts: &[(&str, &str)]) -> Text {
    let mut report = Report::default();
    let names = BTreeSet::from(["when".to_owned()]);
    Text::new(
        languages
            .iter()
            .map(|language| {
                let code = language.split('-').next().unwrap_or(language);
                let own = texts.iter().find(|(known, _)| *known == code).or(texts.first());
                own.and_then(|(_, text)| Template::compile(text, Place::default(), &names, &mut report))
                    .into_iter()
                    .collect()
            })
            .collect(),
    )
}
