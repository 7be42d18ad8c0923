//! What the shop bot makes of messages that are not among its examples.

use super::{Chat, shop};
use crate::nlu::ACCEPT;

/// The table that the bot was tuned with (examples, a `negative`, the built-in corpus).
/// Message, and the intent it should be taken for; none for what the bot is not about.
const TABLE: &[(&str, Option<&str>)] = &[
    // English paraphrases.
    ("Do you have SKU-1001 in stock?", Some("stock")),
    ("are there any SKU-2044 left?", Some("stock")),
    ("is the walnut desk still available?", Some("stock")),
    ("can you check availability of sku 1001 for me", Some("stock")),
    ("How many pieces of SKU-1003 do you have?", Some("stock")),
    ("and what does it cost?", Some("price")),
    ("What's the price for SKU-1001?", Some("price")),
    ("how much would the oak chair cost me", Some("price")),
    ("could you tell me how much it is", Some("price")),
    ("Where's my order?", Some("order_status")),
    ("I'd like to know the status of order WEB-42", Some("order_status")),
    ("my package still hasn't arrived", Some("order_status")),
    ("has WEB-42 been shipped yet?", Some("order_status")),
    ("I'm looking for a standing desk", Some("search")),
    ("do you sell office chairs?", Some("search")),
    ("could you recommend something for my home office", Some("recommend")),
    ("what goes well with SKU-1001?", Some("recommend")),
    ("please have someone from sales call me", Some("sales_contact")),
    ("we'd like a quote for our company", Some("sales_contact")),
    ("I want to report a problem with my desk", Some("ticket")),
    ("the chair arrived damaged", Some("ticket")),
    ("I need to talk to a real human being", Some("human")),
    ("can I speak with an agent please", Some("human")),
    ("good morning!", Some("greeting")),
    ("thanks a lot for your help", Some("thanks")),
    ("ok bye", Some("goodbye")),
    ("what can you do for me?", Some("help")),
    // English typos.
    ("do you hvae SKU-1001 in stcok", Some("stock")),
    ("waht is the prcie of SKU-1001", Some("price")),
    ("were is my ordr", Some("order_status")),
    ("can i talk to a hunam", Some("human")),
    // German paraphrases.
    ("Habt ihr SKU-1001 auf Lager?", Some("stock")),
    ("Ist der Schreibtisch aus Nussbaum noch verfügbar?", Some("stock")),
    ("Gibt es SKU-1001 noch?", Some("stock")),
    ("Und was kostet das?", Some("price")),
    ("Wie teuer ist denn der Stuhl?", Some("price")),
    ("Was würde SKU-1001 kosten?", Some("price")),
    ("Wo bleibt meine Bestellung?", Some("order_status")),
    ("Wann kommt meine Lieferung an?", Some("order_status")),
    ("Ich suche einen Bürostuhl", Some("search")),
    ("Was würden Sie mir empfehlen?", Some("recommend")),
    ("Was passt gut zu SKU-1001?", Some("recommend")),
    ("Kann mich bitte jemand vom Vertrieb anrufen?", Some("sales_contact")),
    ("Ich hätte gerne ein Angebot für 50 Stück", Some("sales_contact")),
    ("Mein Tisch ist kaputt angekommen", Some("ticket")),
    ("Ich möchte mit einem echten Menschen reden", Some("human")),
    ("Guten Tag!", Some("greeting")),
    ("Vielen lieben Dank", Some("thanks")),
    ("Auf Wiedersehen!", Some("goodbye")),
    // German typos and spellings.
    ("haben sie sku 1001 auf lagr", Some("stock")),
    ("was kosted das", Some("price")),
    ("ist SKU-1001 verfuegbar", Some("stock")),
    ("wo ist meine bestelung", Some("order_status")),
    // Not ours.
    ("What is the capital of France?", None),
    ("Who won the world cup in 2014?", None),
    ("Tell me a story about dragons", None),
    ("what's the weather like in Berlin", None),
    ("how do I bake sourdough bread", None),
    ("can you write python code", None),
    ("what do you think about politics", None),
    ("asdfghjkl", None),
    ("Was ist die Hauptstadt von Italien?", None),
    ("Wer ist Bundeskanzler?", None),
    ("Wie wird das Wetter morgen?", None),
    ("Erzähl mir etwas über Goethe", None),
    ("Wie backe ich einen Kuchen?", None),
    ("Kannst du Schach spielen?", None),
    ("", None),
    ("???", None),
];

/// Written after bot and classifier were finished, and never tuned to: neither examples nor corpus may be changed for
/// the sake of these. This is the figure to believe; the table above was 66 of 69 before three were mended.
const HELD_OUT: &[(&str, Option<&str>)] = &[
    ("Could I order SKU-1001 today, is there any left?", Some("stock")),
    ("got any walnut desks?", Some("stock")),
    ("is sku-1002 out of stock", Some("stock")),
    ("what would I pay for two SKU-1001", Some("price")),
    ("whats the cost", Some("price")),
    ("any news on my delivery?", Some("order_status")),
    ("where is the parcel I ordered last week", Some("order_status")),
    ("show me your lamps", Some("search")),
    ("which one would you recommend", Some("recommend")),
    ("I'd like to speak to your sales team", Some("sales_contact")),
    ("send me a quote please", Some("sales_contact")),
    ("the drawer is broken, I want my money back", Some("ticket")),
    ("this is not working, get me a person", Some("human")),
    ("thx", Some("thanks")),
    ("thank u so much", Some("thanks")),
    ("see you tomorrow", Some("goodbye")),
    ("Ist der Artikel SKU-1003 aktuell lieferbar?", Some("stock")),
    ("Wie viele Tische habt ihr noch?", Some("stock")),
    ("Was muss ich dafür bezahlen?", Some("price")),
    ("Können Sie mir den Preis nennen?", Some("price")),
    ("Ist mein Paket schon unterwegs?", Some("order_status")),
    ("Ich warte seit zwei Wochen auf meine Bestellung", Some("order_status")),
    ("Habt ihr auch Lampen im Sortiment?", Some("search")),
    ("Was nehmen andere Kunden dazu?", Some("recommend")),
    ("Bitte um Rückruf", Some("sales_contact")),
    ("Ich will eine Beschwerde einreichen", Some("ticket")),
    ("Ich will mit einem Mitarbeiter sprechen", Some("human")),
    ("Merci und tschüss", Some("goodbye")),
    ("how many moons does jupiter have", None),
    ("what's 15 times 23", None),
    ("my boss is annoying", None),
    ("Wie viele Einwohner hat Berlin?", None),
    ("Was kocht man zu Weihnachten?", None),
    ("Ich bin müde", None),
];

/// What was taken for something else than it should have been.
fn wrong(table: &[(&str, Option<&str>)]) -> Vec<String> {
    let bot = shop();
    let mut wrong = Vec::new();
    for (text, wanted) in table {
        let reading = bot.nlu.read(text, &bot.entities);
        let best = reading.guesses.first().map(|guess| (bot.intents[guess.class].name.as_str(), guess.confidence));
        let taken = best.filter(|(_, confidence)| *confidence >= ACCEPT).map(|(name, _)| name);
        if taken != *wanted {
            let how = if taken.is_some() { "TAKEN WRONGLY" } else { "refused" };
            wrong.push(format!("{how}: {text}: wanted {wanted:?}, best guess {best:?}"));
        }
    }
    println!("{} of {} right\n{}", table.len() - wrong.len(), table.len(), wrong.join("\n"));
    wrong
}

#[test]
fn paraphrases_and_typos_are_understood_and_strangers_refused() {
    let wrong = wrong(TABLE);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn held_out_messages_are_understood_as_well_as_ever() {
    let wrong = wrong(HELD_OUT);
    // The floor is what the first run gave: it may only rise by better general means.
    assert!(wrong.len() <= 8, "{} of {} wrong\n{}", wrong.len(), HELD_OUT.len(), wrong.join("\n"));
    // A wrong answer is worse than a question.
    assert!(wrong.iter().filter(|line| line.starts_with("TAKEN")).count() <= 1, "{}", wrong.join("\n"));
}

#[test]
fn a_model_is_the_same_each_time() {
    let (a, b) = (super::bot(super::shop_source()), super::bot(super::shop_source()));
    for (text, _) in TABLE {
        assert_eq!(a.nlu.read(text, &a.entities).guesses, b.nlu.read(text, &b.entities).guesses, "{text}");
    }
}

#[test]
fn what_is_left_of_a_message_is_its_topic() {
    let bot = shop();
    for (text, topic) in [
        ("Do you have the walnut desk in stock?", "walnut desk"),
        ("Ist der Schreibtisch Eiche auf Lager?", "Schreibtisch Eiche"),
        ("what does it cost?", ""),
        ("waht does it csot?", ""),
        ("Do you have SKU-1001 in stock?", ""),
    ] {
        assert_eq!(bot.nlu.read(text, &bot.entities).topic, topic, "{text}");
    }
}

#[test]
fn the_language_is_told_by_the_message_and_stays() {
    let mut chat = Chat::new(shop());
    assert!(chat.say("Hallo, guten Tag").contains("Was kann ich"));
    // Says nothing about the language.
    chat.say("SKU-1001");
    assert!(chat.say("ok danke").contains('!'), "{:?}", chat.outcome());
    assert!(String::from_utf8_lossy(&chat.state).contains(r#""lang":"de""#));
    assert!(chat.say("what can you do for me?").contains("I can check stock"));
    let mut chat = Chat::new(shop());
    chat.locale = Some("de-AT");
    assert!(chat.say("hello").contains("Was kann ich"));
    chat.locale = Some("fr");
    assert!(chat.say("what can you do for me?").contains("I can check stock"));
}

#[test]
fn speed_for_the_record() {
    let start = std::time::Instant::now();
    let (bot, _) = crate::definition::compile(super::shop_source());
    println!("prepare: {:.1?}", start.elapsed());
    let mut chat = Chat::new(std::rc::Rc::new(bot.unwrap())).with(super::shop::system);
    for (name, text) in
        [("stock", "Do you have SKU-1001 in stock?"), ("greeting", "hello"), ("miss", "what is the capital of france")]
    {
        let rounds = 200;
        chat.state.clear();
        chat.say(text);
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            chat.say(text);
        }
        println!("{name}: {:.1?} a turn", start.elapsed() / rounds);
        let start = std::time::Instant::now();
        for _ in 0..rounds {
            std::hint::black_box(chat.bot.nlu.read(text, &chat.bot.entities));
        }
        println!("  reading it: {:.1?}", start.elapsed() / rounds);
    }
}
