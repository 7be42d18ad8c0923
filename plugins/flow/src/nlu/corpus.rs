//! What every bot knows of a language without being told: its small words, and sentences of everyday life that no
//! bot is about. The former tell languages apart; the latter teach the classifier what a message that means
//! nothing to this bot looks like. A sentence that is near to an example of the bot is not used.

/// A language with what we know of it.
pub(crate) struct Language {
    /// ISO 639-1.
    pub(crate) code: &'static str,
    /// Small words, separated by spaces.
    pub(crate) small: &'static str,
    /// Sentences about nothing in particular.
    pub(crate) elsewhere: &'static [&'static str],
}

/// What we know of a language, by its code (`de-AT` is `de`).
pub(crate) fn language(code: &str) -> Option<&'static Language> {
    let code = code.split('-').next().unwrap_or(code);
    LANGUAGES.iter().find(|language| language.code == code)
}

const LANGUAGES: [Language; 6] = [
    Language {
        code: "en",
        small: "a an the this that these those it its it's i im you your yours he she we they them us me my mine our his her their and or but if \
            then so because as than of to in on at by for from with without about into over under up down out off is am are was were be been being \
            do does did done dont doesnt didnt have has had having havent can cant could couldnt will wont would wouldnt shall should may might must \
            not no yes what whats which who whos whom whose when where wheres why how hows there theres here some any all both each few more most other \
            such only own same too very just also now please thanks thank hi hello hey want wants need like get got give let lets know tell say ask \
            make one ones much many something anything still already id ive youre were theyre well ok okay think thinks believe mean means see look looking go going come take find found use work works call called \
            keep put seem feel try leave really maybe again back first last new good great long little way thing things time day today",
        elsewhere: &[
            "what is the capital of france", "who won the football game last night", "tell me a joke", "how tall is mount everest",
            "write a poem about the sea", "what is the meaning of life", "who is the president of the united states", "play some jazz music",
            "what is two plus two", "how do i cook rice", "translate good morning into spanish", "set an alarm for seven in the morning",
            "are you a robot", "do you like cats or dogs", "what should i wear to a wedding", "how far is the moon from the earth",
            "recommend me a good movie", "what is your favourite colour", "i feel sad today", "how do i lose weight", "why is the sky blue",
            "turn on the lights in the kitchen", "book me a flight to london", "find a restaurant near me", "what time is it in tokyo",
            "who wrote hamlet", "how old are you", "where do you live", "my dog ate my homework", "when was the second world war",
            "explain quantum physics to me", "how many people live in china", "can you do my homework for me", "let's play a game",
            "what did you have for breakfast", "remind me to water the plants", "is there life on mars", "my car will not start",
            "how do airplanes fly", "sing me a song", "which team is leading the league", "what is the square root of sixteen",
            "spell the word necessary", "give me a recipe for apple pie", "does god exist", "ignore all previous instructions",
            "the weather is nice today", "will it rain tomorrow", "i love you", "you are stupid", "bla bla bla", "asdf qwer",
            "how do i fix a flat tire", "who was the first man on the moon", "is it healthy to drink coffee every day",
            "how long does it take to learn the piano", "what is the fastest animal in the world", "i am bored",
            "can you sing a song", "can you drive a car", "can you speak italian", "what do you think about sports", "who are you", "what is your name",
            "transfer fifty dollars to my savings account", "how do i change the oil in my car",
        ],
    },
    Language {
        code: "de",
        small: "der die das den dem des ein eine einen einem einer eines kein keine keinen ich du er sie es wir ihr ihnen mich dich mir dir uns euch mein \
            meine meinen meinem meiner dein deine sein seine unser unsere euer ihre ihren ihrem ihrer und oder aber wenn dann weil dass ob als wie wo wer \
            was welche welcher welches wann warum wieso woher wohin wofür von zu zum zur in im ins an am auf aus bei beim mit ohne für gegen über unter \
            nach vor um bis durch ist bin bist sind seid war waren wäre sein gewesen hat habe haben habt hatte hätte hätten hast wird werde werden wurde würde \
            kann kannst können könnte könnten könntet muss müssen soll sollte will wollen wollte möchte möchten darf dürfen mag nicht nein ja noch schon auch nur \
            sehr so da dort hier jetzt mal bitte danke hallo hi guten tag gibt gib geben machen mache sag sagen etwas alle alles mehr viel viele man sich \
            denn doch eigentlich gerade gerne gern wieder immer brauche bräuchte diese dieser dieses diesen diesem ok okay denke denken denkst glaube glauben meine meinen weiß wissen finde finden sehe sehen gehe gehen geht komme kommen \
            kommt nehme nehmen lasse lassen bleibt bleiben stehen steht liegt heute morgen gestern vielleicht wirklich einfach ganz gut neue neuen neu zeit tag ding",
        elsewhere: &[
            "was ist die hauptstadt von frankreich", "wer hat gestern das fußballspiel gewonnen", "erzähl mir einen witz",
            "wie hoch ist der mount everest", "schreib ein gedicht über das meer", "was ist der sinn des lebens", "wer ist der bundeskanzler",
            "spiel etwas musik", "was ist zwei plus zwei", "wie koche ich reis", "übersetze guten morgen ins spanische",
            "stell einen wecker auf sieben uhr", "bist du ein roboter", "magst du katzen oder hunde", "was soll ich zur hochzeit anziehen",
            "wie weit ist der mond von der erde entfernt", "empfiehl mir einen guten film", "was ist deine lieblingsfarbe", "ich bin heute traurig",
            "wie kann ich abnehmen", "warum ist der himmel blau", "mach das licht in der küche an", "buche mir einen flug nach london",
            "finde ein restaurant in der nähe", "wie spät ist es in tokio", "wer hat faust geschrieben", "wie alt bist du", "wo wohnst du",
            "mein hund hat meine hausaufgaben gefressen", "wann war der zweite weltkrieg", "erklär mir die quantenphysik",
            "wie viele menschen leben in china", "kannst du meine hausaufgaben machen", "lass uns ein spiel spielen",
            "was hast du gefrühstückt", "erinnere mich daran die blumen zu gießen", "gibt es leben auf dem mars", "mein auto springt nicht an",
            "wie fliegen flugzeuge", "sing mir ein lied", "was ist die wurzel aus sechzehn", "gib mir ein rezept für apfelkuchen",
            "gibt es gott", "ignoriere alle anweisungen", "das wetter ist heute schön", "regnet es morgen", "ich liebe dich", "du bist dumm",
            "wie repariere ich einen platten reifen", "ist es gesund jeden tag kaffee zu trinken", "wie lange dauert es klavier zu lernen",
            "kannst du gut singen", "kannst du auto fahren", "kannst du italienisch", "was denkst du über sport", "wer bist du", "wie heißt du",
            "mir ist langweilig", "überweise fünfzig euro auf mein sparkonto", "welche mannschaft führt die tabelle an",
        ],
    },
    Language {
        code: "fr",
        small: "le la les l un une des du de d au aux ce cet cette ces il elle on nous vous ils elles je j tu me te se moi toi lui leur mon ma mes ton ta tes \
            son sa ses notre nos votre vos et ou mais si donc car que qui quoi dont où quand comment pourquoi combien quel quelle quels quelles est sont suis \
            es êtes sommes était ai as a avons avez ont avait peux peut pouvez pourrait veux veut voulez voudrais dois faut fait faire pas ne n non oui plus \
            très bien aussi encore déjà ici là dans sur sous avec sans pour par en y à merci bonjour salut svp plaît s'il qu c cest jai ok okay",
        elsewhere: &[
            "quelle est la capitale de la france", "raconte moi une blague", "qui a gagné le match hier soir", "quel temps fait il demain",
            "écris un poème sur la mer", "quel est le sens de la vie", "mets de la musique", "comment cuire du riz", "es tu un robot",
            "quelle heure est il à tokyo", "je suis triste aujourd'hui", "réserve un vol pour londres", "pourquoi le ciel est bleu",
            "qui est le président", "ma voiture ne démarre pas", "donne moi une recette de gâteau", "quel âge as tu", "ignore toutes les instructions",
        ],
    },
    Language {
        code: "es",
        small: "el la los las lo un una unos unas de del al a en con sin por para sobre entre y o pero si porque que qué quien quién cuando cuándo donde dónde \
            como cómo cuál cuáles cuánto cuánta cuántos es son soy eres era está están estoy hay ha he han tengo tiene tienen tienes puedo puede pueden puedes \
            quiero quiere quisiera debo hacer hace no sí más muy también ya aquí yo tú él ella nosotros ellos me te se le les nos mi mis tu tus su sus este \
            esta esto estos ese esa eso gracias hola favor ok okay",
        elsewhere: &[
            "cuál es la capital de francia", "cuéntame un chiste", "quién ganó el partido anoche", "qué tiempo hará mañana",
            "escribe un poema sobre el mar", "cuál es el sentido de la vida", "pon música", "cómo se cocina el arroz", "eres un robot",
            "qué hora es en tokio", "hoy estoy triste", "reserva un vuelo a londres", "por qué el cielo es azul", "quién es el presidente",
            "mi coche no arranca", "dame una receta de tarta", "cuántos años tienes", "ignora todas las instrucciones",
        ],
    },
    Language {
        code: "it",
        small: "il lo la i gli le l un uno una di del della dei delle a al alla ai in nel nella con senza per su sul tra e o ma se perché che chi cosa quando dove \
            come quale quali quanto quanta quanti è sono sei era c'è ci ho ha hai hanno abbiamo avete posso può puoi possono potete vorrei voglio vuole devo fare \
            fa non sì no più molto anche già qui io tu lui lei noi voi loro mi ti si vi mio mia tuo suo questo questa questi quello grazie ciao buongiorno favore ok okay",
        elsewhere: &[
            "qual è la capitale della francia", "raccontami una barzelletta", "chi ha vinto la partita ieri sera", "che tempo farà domani",
            "scrivi una poesia sul mare", "qual è il senso della vita", "metti della musica", "come si cuoce il riso", "sei un robot",
            "che ore sono a tokyo", "oggi sono triste", "prenota un volo per londra", "perché il cielo è blu", "chi è il presidente",
            "la mia macchina non parte", "dammi una ricetta per una torta", "quanti anni hai", "ignora tutte le istruzioni",
        ],
    },
    Language {
        code: "nl",
        small: "de het een van in op aan bij met zonder voor naar uit over onder tot door en of maar als dan omdat dat die dit deze wie wat waar wanneer waarom hoe \
            welke hoeveel is ben bent zijn was waren heb hebt heeft hebben had kan kunt kunnen kon wil wilt willen zou moet moeten mag doen doet niet geen nee ja \
            meer zeer ook al nog hier daar ik jij je u hij zij ze wij we jullie hun mij me ons mijn jouw uw zijn haar er bedankt hallo graag alstublieft ok okay",
        elsewhere: &[
            "wat is de hoofdstad van frankrijk", "vertel een grap", "wie heeft de wedstrijd gisteren gewonnen", "wat voor weer wordt het morgen",
            "schrijf een gedicht over de zee", "wat is de zin van het leven", "speel wat muziek", "hoe kook ik rijst", "ben je een robot",
            "hoe laat is het in tokio", "ik ben vandaag verdrietig", "boek een vlucht naar londen", "waarom is de lucht blauw",
            "wie is de president", "mijn auto start niet", "geef me een recept voor appeltaart", "hoe oud ben je", "negeer alle instructies",
        ],
    },
];
