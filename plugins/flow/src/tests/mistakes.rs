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
  twice: {on_event: twice.said, steps: []}
  steps:
    steps:
      - remind: {key: a, in: 2 hours, event: known}  # `in` can't be `2 hours`
      - remind: {key: b, in: 91d, event: known}  # `in` can't be `91d`
      - remind: {key: b, in: 0s, event: known}   # `in` can't be `0s`
      - remind: {key: b, at: 9h, in: 2h, event: known}  # `remind` has no `at`
      - remind: {in: 2h, event: known}           # `remind` needs `key`
      - remind: {key: b, in: 2h, event: knwon}   # nothing is done on event `knwon`
      - remind: {key: b, in: 2h, event: a b}     # no name of an event
      - remind: {key: b, in: 2h, event: known, data: 7}  # `data` should be a map
      - remind: pickup                           # `remind` should be a map
      - unremind: c                              # no `remind` has the key `c`
      - forget: a                                # no slot or variable `a`
      - {watch: "order:{{ oder }}"}              # nothing defines `oder`
      - {watch: order, for: ages}                # `for` can't be `ages`
      - {watch: order, in: 2h}                   # has no `in`
      - {unwatch: ""}                            # `unwatch` is empty
      - emit: {data: {a: 1}}                     # `emit` needs `event`
      - emit: {event: quote-requested}           # no name of an event
      - emit: {event: a, data: [1]}              # `data` should be a map
      - emit: {event: a, with: {}}               # `emit` has no `with`
      - flow: price                              # only an event starts a flow
events:
  known: {flow: pirce}                           # no flow `pirce`
  order shipped: [{say: x}]                      # no name of an event
  "*.shipped": [{say: x}]                        # no name of an event
  order.*: [{say: "{{ event.number }}"}]         # `event` has no `number`
  order.paid: [{sya: x}]                         # `sya` is no step
  twice.said: [{say: x}]                         # starts flow `twice` already
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
    assert_eq!(help("on event `knwon`"), "did you mean `known`?");
    assert_eq!(help("no flow `pirce`"), "did you mean `price`?");
    assert_eq!(help("or variable `a`"), "a reminder is taken back with `unremind: a`");
    assert!(help("has no `number`").contains("did you mean `event.data.number`?"));
    assert!(help("`in` can't be `91d`").contains("at most 90d"));
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
events:
  order.paid:
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
        "event `order.paid` has no steps",
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
fn the_examples_of_the_readme_are_right() {
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```yaml").skip(1).filter_map(|rest| rest.split("```").next());
    let whole: Vec<&str> = blocks.filter(|block| block.trim_start().starts_with("name:")).collect();
    assert_eq!(whole.len(), 2);
    for example in whole {
        let (bot, found) = compile(example);
        assert!(bot.is_some() && found.is_empty(), "{found:#?}");
    }
}
