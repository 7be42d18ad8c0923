//! Templates and expressions (minijinja), compiled at publish.
//!
//! | where | what it is | what it gives |
//! |---|---|---|
//! | texts | [`Template`], prints for people: `7.0` is `7`, and `7,5` in German | text |
//! | `if`, `set`, `with` | [`Expression`]: a whole `{{ value }}` keeps its type, a mixture is text as machines want it | value |
//!
//! Names that nothing defines and filters that don't exist are found at publish. At run time a missing value
//! prints as nothing and can be asked for its fields: a visitor should never see a stack trace for a comma.
//! Sources are leaked on purpose: a definition is prepared once in the life of an instance.

use crate::definition::report::{Place, Report, suggestion};
use crate::format::{self, Zone};
use minijinja::value::Value;
use minijinja::{Environment, Error, Output, State, UndefinedBehavior};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Names that are always there, besides slots and saved results.
pub(crate) const BUILT_IN: [&str; 13] = [
    "visitor",
    "now",
    "lang",
    "message",
    "topic",
    "mentioned",
    "event",
    "error",
    "answers",
    "turn",
    "slots",
    "bot",
    "timezone",
];

/// Functions and the like that minijinja brings.
const GLOBALS: [&str; 6] = ["range", "dict", "namespace", "loop", "debug", "self"];

const FILTERS: [&str; 52] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "date",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "later",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "money",
    "number",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
    "zip",
    "tojson",
];

static FOR_PEOPLE: LazyLock<Environment<'static>> = LazyLock::new(|| environment(true));
static FOR_MACHINES: LazyLock<Environment<'static>> = LazyLock::new(|| environment(false));

fn environment(people: bool) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Chainable);
    env.set_recursion_limit(100);
    env.set_formatter(move |out, state, value| print(out, state, value, people));
    env.add_filter("money", |state: &State, value: &Value| format::money(value, &lang(state)));
    env.add_filter("date", |state: &State, value: &Value, style: Option<&str>| {
        let (lang, zone) = (lang(state), zone(state));
        match (style, value.as_str(), state.lookup("now")) {
            (Some("moment"), Some(at), Some(now)) => {
                format::moment(at, now.as_str().unwrap_or_default(), &lang, zone.as_ref())
            }
            _ => format::date(value, style, &lang, zone.as_ref()),
        }
    });
    env.add_filter("later", |value: &Value, by: &Value| format::later(value, by));
    env.add_filter("number", |state: &State, value: &Value| format::number(value, &lang(state)));
    env
}

fn lang(state: &State) -> String {
    state.lookup("lang").and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn zone(state: &State) -> Option<Zone> {
    state.lookup("timezone").and_then(|value| value.downcast_object_ref::<Zone>().cloned())
}

fn print(out: &mut Output, state: &mut State, value: &Value, people: bool) -> Result<(), Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    if let Some(text) = value.as_str() {
        return Ok(out.write_str(text)?);
    }
    if value.is_number() && !value.is_integer() {
        let language = if people { lang(state) } else { String::new() };
        return Ok(out.write_str(&format::number(value, &language))?);
    }
    Ok(write!(out, "{value}")?)
}

/// A text for people.
#[derive(Debug)]
pub(crate) enum Template {
    /// Nothing to fill in.
    Fixed(String),
    /// With places to fill in.
    Filled(minijinja::Template<'static, 'static>),
}

impl Template {
    /// Compiles; what is wrong is reported.
    pub(crate) fn compile(
        source: &str,
        place: Place,
        names: &BTreeSet<String>,
        report: &mut Report,
    ) -> Option<Template> {
        let source = source.trim();
        if !is_template(source) {
            return Some(Template::Fixed(source.to_owned()));
        }
        let compiled = compile(&FOR_PEOPLE, source, place, report)?;
        check(&compiled.undeclared_variables(true), source, place, names, report);
        Some(Template::Filled(compiled))
    }

    /// Fills in.
    pub(crate) fn render(&self, scope: &Value) -> Result<String, Error> {
        match self {
            Template::Fixed(text) => Ok(text.clone()),
            Template::Filled(template) => Ok(template.render(scope.clone())?.trim().to_owned()),
        }
    }
}

fn is_template(source: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| source.contains(mark))
}

fn compile(
    env: &'static Environment<'static>,
    source: &str,
    place: Place,
    report: &mut Report,
) -> Option<minijinja::Template<'static, 'static>> {
    let source: &'static str = Box::leak(source.to_owned().into_boxed_str());
    env.template_from_str(source).map_err(|error| broken("template", &error, place, report)).ok()
}

fn broken(what: &str, error: &Error, place: Place, report: &mut Report) {
    let why = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let line = error.line().filter(|line| *line > 1).map(|line| format!(" in its line {line}")).unwrap_or_default();
    report.error(place, format!("the {what} is broken{line}: {why}"), "values stand in {{ }}, blocks in {% %}");
}

fn check(
    used: &std::collections::HashSet<String>,
    source: &str,
    place: Place,
    names: &BTreeSet<String>,
    report: &mut Report,
) {
    let used: BTreeSet<&String> = used.iter().collect();
    for path in used {
        let (name, field) = path.split_once('.').unwrap_or((path, ""));
        if name == "event" && !field.is_empty() && !matches!(field.split('.').next(), Some("name" | "data")) {
            report.error(
                place,
                format!("`event` has no `{field}`"),
                format!("it has `name` and `data`: did you mean `event.data.{field}`?"),
            );
        }
        if !names.contains(name) && !BUILT_IN.contains(&name) && !GLOBALS.contains(&name) {
            let known = names.iter().map(String::as_str).chain(BUILT_IN);
            report.error(
                place,
                format!("nothing defines `{name}`"),
                suggestion(name, known).unwrap_or_else(|| {
                    "names come from slots, `save`, `set`, and visitor, event, error, now, lang".to_owned()
                }),
            );
        }
    }
    for filter in filters(source) {
        if !FILTERS.contains(&filter.as_str()) {
            report.error(
                place,
                format!("there is no filter `{filter}`"),
                suggestion(&filter, FILTERS.into_iter())
                    .unwrap_or_else(|| "our own filters are money, date and number".to_owned()),
            );
        }
    }
}

/// Names after `|` inside of `{{ }}` and `{% %}`: minijinja itself looks for filters only when it runs.
fn filters(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut inside, mut quote, mut previous, mut expects) = (false, None, ' ', false);
    let mut name = String::new();
    for c in source.chars() {
        if let Some(open) = quote {
            if c == open {
                quote = None;
            }
        } else if inside {
            match c {
                '"' | '\'' => quote = Some(c),
                '|' => expects = true,
                c if expects && (c.is_alphanumeric() || c == '_') => name.push(c),
                c if expects && c.is_whitespace() && name.is_empty() => {}
                _ => {
                    if !name.is_empty() {
                        found.push(std::mem::take(&mut name));
                    }
                    expects = false;
                }
            }
            if matches!((previous, c), ('}' | '%', '}')) {
                inside = false;
            }
        } else if matches!((previous, c), ('{', '{' | '%')) {
            inside = true;
        }
        previous = c;
    }
    found
}

/// A value for machines: of a condition, an argument or a variable.
#[derive(Debug)]
pub(crate) enum Expression {
    /// A literal.
    Fixed(Value),
    /// `{{ one expression }}`: keeps its type.
    Whole(minijinja::Expression<'static, 'static>),
    /// Text with places to fill in.
    Mixed(minijinja::Template<'static, 'static>),
    /// A list of such values.
    List(Vec<Expression>),
    /// A map of such values. Those that come to nothing are left out.
    Map(Vec<(String, Expression)>),
}

impl Expression {
    /// A text as it stands in `with` and `set`.
    pub(crate) fn text(
        source: &str,
        place: Place,
        names: &BTreeSet<String>,
        report: &mut Report,
    ) -> Option<Expression> {
        let trimmed = source.trim();
        if !is_template(trimmed) {
            return Some(Expression::Fixed(Value::from(source)));
        }
        let inner = trimmed.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match inner.filter(|inner| !inner.contains("}}") && !inner.contains("{{") && !inner.contains("{%")) {
            Some(inner) => Self::condition(inner, place, names, report),
            None => {
                let compiled = compile(&FOR_MACHINES, trimmed, place, report)?;
                check(&compiled.undeclared_variables(true), trimmed, place, names, report);
                Some(Expression::Mixed(compiled))
            }
        }
    }

    /// A bare expression, as after `if`.
    pub(crate) fn condition(
        source: &str,
        place: Place,
        names: &BTreeSet<String>,
        report: &mut Report,
    ) -> Option<Expression> {
        let source: &'static str = Box::leak(source.trim().to_owned().into_boxed_str());
        let compiled = FOR_MACHINES
            .compile_expression(source)
            .map_err(|error| broken("expression", &error, place, report))
            .ok()?;
        check(&compiled.undeclared_variables(true), &format!("{{{{{source}}}}}"), place, names, report);
        Some(Expression::Whole(compiled))
    }

    /// The value now.
    pub(crate) fn eval(&self, scope: &Value) -> Result<Value, Error> {
        Ok(match self {
            Expression::Fixed(value) => value.clone(),
            Expression::Whole(expression) => expression.eval(scope.clone())?,
            Expression::Mixed(template) => Value::from(template.render(scope.clone())?.trim()),
            Expression::List(items) => {
                Value::from(items.iter().map(|item| item.eval(scope)).collect::<Result<Vec<_>, _>>()?)
            }
            Expression::Map(entries) => {
                let mut map = std::collections::BTreeMap::new();
                for (name, item) in entries {
                    let value = item.eval(scope)?;
                    if !value.is_undefined() && !value.is_none() {
                        map.insert(name.clone(), value);
                    }
                }
                Value::from(map)
            }
        })
    }
}
