//! Mistakes in definitions are found all at once, each at its place.

use crate::definition::compile;

/// Each line with a mistake says which one in a comment.
const BROKEN: &str = r##"name: Broken
langages: [en]                                   # has no `langages`
languages: [en, de, german!]                     # no language code
entities:
  sku: {regex: 'SKU-(\d+'}                       # regular expression is broken
  email: {regex: 'x'}                            # an entity of ours
  color: {list: {red: [rot], blue: [rot]}}       # means both
intents:
  stock:
    examples: ["is {skuu} there", b, c]          # no entity `skuu`
  price:
    exampels: [a, b]                             # has no `exampels`
  other: {examples: {en: [x, y, z], fr: [u]}}    # none of the bot's languages
slots:
  sku: {entity: skuu, ask: Which?}               # no entity `skuu`
  mail: {entity: email, ask: Mail?, tries: 99}   # `tries` should be
  Bad-Name: {entity: text, ask: "?"}             # can't be used in templates
flows:
  stock:
    on: stokc                                    # no intent `stokc`
    steps:
      - need: skus                               # no slot `skus`
      - say: "You want {{ skuu }}?"              # nothing defines `skuu`
      - say: "{{ sku | uper }}"                  # no filter `uper`
      - say: "{% if %}"                          # template is broken
      - cal: inventory.availability              # `cal` is no step
      - call: inventory                          # is no call
      - call: orders.get                         # needs `proof`
        with: {number: "1"}
      - if: "sku ==="                            # expression is broken
        then: [{say: a}]
      - jump: nowhere                            # no flow `nowhere`
      - run: stock                               # runs itself
      - say: twice
        say: again                               # is here twice
      - {say: a, set: {x: 1}}                    # does one thing
      - stop                                     # is no step
  price:
    on: price
    stepps: []                                   # has no `stepps`
texts:
  appology: x                                    # no standard text `appology`
"##;

#[test]
fn all_mistakes_are_reported_with_their_lines() {
    let (bot, found) = compile(BROKEN);
    assert!(bot.is_none());
    let mut missing = Vec::new();
    let mut count = 0;
    for (at, line) in BROKEN.lines().enumerate() {
        let Some((_, wanted)) = line.split_once("  # ") else {
            continue;
        };
        let number = at as u32 + 1;
        count += 1;
        if !found.iter().any(|d| {
            d.severity == "error" && d.line == Some(number) && d.column.is_some() && d.message.contains(wanted)
        }) {
            missing.push(format!("line {number}: {wanted}"));
        }
    }
    for d in &found {
        println!(
            "{}:{} {}: {} ({})",
            d.line.unwrap_or(0),
            d.column.unwrap_or(0),
            d.severity,
            d.message,
            d.help.as_deref().unwrap_or("")
        );
    }
    assert!(count >= 20 && missing.is_empty(), "missing:\n{}", missing.join("\n"));
    let help = |what: &str| found.iter().find(|d| d.message.contains(what)).and_then(|d| d.help.clone()).unwrap();
    assert_eq!(help("no `langages`"), "did you mean `languages`?");
    assert_eq!(help("no intent `stokc`"), "did you mean `stock`?");
    assert_eq!(help("nothing defines `skuu`"), "did you mean `sku`?");
    assert_eq!(help("no filter `uper`"), "did you mean `upper`?");
    assert_eq!(help("`cal` is no step"), "did you mean `call`?");
}

#[test]
fn broken_yaml_has_a_place() {
    for source in ["a: [1, 2\nb: 3", "a:\n  - b\n c: d\n", "a: \"x\n"] {
        let (bot, found) = compile(source);
        assert!(bot.is_none() && found.len() == 1 && found[0].line.is_some(), "{source}: {found:?}");
    }
}

#[test]
fn nothing_is_a_mistake_too() {
    for source in ["", "[]", "just text", "{}"] {
        let (bot, found) = compile(source);
        assert!(bot.is_none() && !found.is_empty(), "{source}: {found:?}");
    }
}

#[test]
fn what_is_only_odd_is_a_warning() {
    let source = "
languages: [en, de]
intents:
  a: {examples: [one]}
  b: {examples: [two times, three, one]}
flows:
  a:
    on: a
    steps:
      - say: {en: only English}
      - call: orders.get
        with: {number: 1, proof: {email: a}, nuber: 1}
        on_error: {notfound: []}
  c: [{say: x}]
";
    let (bot, found) = compile(source);
    assert!(bot.is_some(), "{found:?}");
    for wanted in [
        "only 1 examples",
        "also an example",
        "missing in: de",
        "takes no `nuber`",
        "no error code",
        "nothing starts flow `c`",
        "no flow starts on intent `b`",
    ] {
        assert!(found.iter().any(|d| d.severity == "warning" && d.message.contains(wanted)), "{wanted}: {found:#?}");
    }
}

#[test]
fn the_shop_has_nothing_to_complain_about() {
    let (bot, found) = compile(super::shop_source());
    assert!(bot.is_some() && found.is_empty(), "{found:#?}");
}

#[test]
fn the_example_of_the_readme_is_right() {
    let readme = include_str!("../../README.md");
    let example = readme.split("```yaml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let (bot, found) = compile(example);
    assert!(bot.is_some() && found.is_empty(), "{found:#?}");
}
