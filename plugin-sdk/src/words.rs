//! The words of a visitor's question that say something about an article, for systems that find by words but don't know which ones matter.

/// Words that are looked for: each costs the system a clause.
const MOST: usize = 8;
/// Characters of a question that are looked at.
const LONGEST: usize = 500;
/// Words that say nothing about an article, in the languages that bots speak here, beside those of up to two letters.
const EMPTY: &str = " and any are buy can does for from get good have how like looking need please show some something that the them then \
    there they this want what when where which who will with would you your \
    aber alle als auch auf aus bei brauche das dem den der des die dies ein eine einem einen einer eines etwas für gibt gut habe haben hat \
    habt ich ihr ihre ist kann kaufen man mein mich mir mit möchte nach oder sie sind suche und uns von was welche wie will wir zum zur ";

/// The words, lower case, each once, in the visitor's order; at most eight. Only letters, digits and `-` are in them, so that none is a
/// wildcard or an operator anywhere.
pub fn of(question: &str) -> Vec<String> {
    with(question, &['-'])
}

/// The same with other signs than `-` inside of words, for systems whose article numbers have them (`AB_1/2`). Those that are wildcards or
/// operators there are the connector's to escape.
pub fn with(question: &str, signs: &[char]) -> Vec<String> {
    let cut: String = question.to_lowercase().chars().take(LONGEST).collect();
    let mut words: Vec<String> = Vec::new();
    for word in cut.split(|c: char| !(c.is_alphanumeric() || signs.contains(&c))).map(|w| w.trim_matches(signs)) {
        let says = word.chars().count() > 2 && !EMPTY.contains(&format!(" {word} "));
        if says && words.len() < MOST && !words.iter().any(|w| w == word) {
            words.push(word.to_owned());
        }
    }
    words
}

/// How well texts fit words: for each word the weight of the first text that has it. Name the texts that matter most first.
pub fn fit(words: &[String], texts: &[&str]) -> usize {
    let texts: Vec<String> = texts.iter().map(|t| t.to_lowercase()).collect();
    let weight = |word: &String| texts.iter().position(|t| t.contains(word.as_str())).map_or(0, |at| texts.len() - at);
    words.iter().map(weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_that_say_something_are_kept_each_once() {
        assert_eq!(of("Do you have the Kaffeemühle, or a GRÜN kaffeemühle?"), ["kaffeemühle", "grün"]);
        assert_eq!(of("SKU-1001 -- 'x%y_z' OR (tag:vip)"), ["sku-1001", "tag", "vip"]);
        assert_eq!(with("is SKU_1001/a there?  v1.5.", &['_', '/', '.']), ["sku_1001/a", "v1.5"]);
        assert!(of("have you any of the").is_empty());
        assert_eq!(of(&"abc1 abc2 abc3 abc4 abc5 abc6 abc7 abc8 abc9".repeat(50)).len(), 8);
    }

    #[test]
    fn a_word_in_the_name_weighs_more_than_one_in_the_description() {
        let words = of("green grinder");
        assert!(fit(&words, &["Grinder green", "x"]) > fit(&words, &["Grinder", "green"]));
        assert_eq!(fit(&words, &["Kettle", "steel"]), 0);
    }
}
