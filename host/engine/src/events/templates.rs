//! Templates over an event: which conversation, what is said, what it is about.
//!
//! A tenant writes them and strangers' data goes through them. So they see the event and nothing else, something that is not there
//! is an error and no empty text (`default("...")` says what else), nothing is escaped (what comes out is text, not HTML), and fuel
//! ends what does not end by itself.

use super::Event;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value, context};

/// Fuel of one rendering: an instruction costs one, as do 64 bytes of text. A template for people needs some dozens.
const FUEL: u64 = 20_000;
/// Most bytes that come of a template: the longest message of a visitor has as many.
const TEXT_BYTES: usize = 16 << 10;
/// Longest template.
const SOURCE_BYTES: usize = 8 << 10;
/// What a template may name.
const NAMES: [&str; 7] = ["data", "event", "id", "source", "origin", "subjects", "occurred_at"];

/// Templates by name.
#[derive(Debug)]
pub(crate) struct Templates(Environment<'static>);

impl Default for Templates {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        Templates(environment)
    }
}

impl Templates {
    /// Adds one, or says what is wrong with it.
    pub(crate) fn add(&mut self, name: &str, source: &str) -> Result<(), String> {
        if source.len() > SOURCE_BYTES {
            return Err(format!("is longer than {SOURCE_BYTES} bytes"));
        }
        let added = self.0.add_template_owned(name.to_owned(), source.to_owned());
        // Nothing but the tenant's own text is known here, so the engine's words can be shown.
        added.map_err(|error| format!("is no template: {error}"))?;
        let template = self.0.get_template(name).map_err(|error| format!("is no template: {error}"))?;
        let mut unknown: Vec<String> =
            template.undeclared_variables(false).into_iter().filter(|name| !NAMES.contains(&name.as_str())).collect();
        unknown.sort();
        match unknown.first() {
            Some(unknown) if self.0.globals().all(|(global, _)| global != unknown) => {
                Err(format!("there is no `{unknown}`; there are: {}", NAMES.join(", ")))
            }
            _ => self.trial(name),
        }
    }

    /// The engine looks for filters and tests when it comes to them. A trial without data comes to most of them.
    fn trial(&self, name: &str) -> Result<(), String> {
        let mut lenient = self.0.clone();
        lenient.set_undefined_behavior(UndefinedBehavior::Chainable);
        let tried = lenient.get_template(name).and_then(|template| template.render(context! {}));
        match tried {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
                ) =>
            {
                Err(format!("is no template: {error}"))
            }
            _ => Ok(()),
        }
    }

    /// The same; none if there is no template of this name.
    pub(crate) fn render_if_there(&self, name: &str, event: &Value) -> Option<Result<String, String>> {
        self.0.get_template(name).is_ok().then(|| self.render(name, event))
    }

    /// What comes of one, or why nothing does: without anything of the event's data.
    pub(crate) fn render(&self, name: &str, event: &Value) -> Result<String, String> {
        let template = self.0.get_template(name).map_err(|error| error.kind().to_string())?;
        let text = template.render(event.clone()).map_err(|error| {
            let at = format!("{} in line {} of the template", error.kind(), error.line().unwrap_or(1));
            if error.kind() != ErrorKind::UndefinedError {
                return at;
            }
            let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
            names.sort();
            let absent = names.into_iter().find(|name| !is_there(event, name));
            absent.map_or(at, |name| format!("the event has no `{name}`"))
        })?;
        if text.len() > TEXT_BYTES {
            return Err(format!("makes a text of {} bytes, at most {TEXT_BYTES} are allowed", text.len()));
        }
        Ok(text.trim().to_owned())
    }
}

/// Whether a name such as `data.order.id` leads to something.
fn is_there(event: &Value, name: &str) -> bool {
    let found = name.split('.').try_fold(event.clone(), |value, part| value.get_attr(part).ok());
    found.is_some_and(|value| !value.is_undefined())
}

/// An event as templates see it.
pub(crate) fn values(event: &Event) -> Value {
    context! {
        data => Serde(&event.data),
        event => event.name.as_str(),
        id => event.id.as_str(),
        source => event.source.as_str(),
        origin => event.origin.as_deref(),
        subjects => Serde(&event.subjects),
        occurred_at => event.occurred_at.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str) -> Result<String, String> {
        let mut templates = Templates::default();
        templates.add("x", source)?;
        let data = json!({"order": "WEB-42", "total": 12.5, "note": "<b>&", "lines": [{"sku": "A"}, {"sku": "B"}], "no": null});
        let event = Event { name: "order.shipped".into(), data, ..Event::example() };
        templates.render("x", &values(&event))
    }

    #[test]
    fn an_event_is_told_in_words() {
        assert_eq!(render("Order {{ data.order }} ({{ event }})").unwrap(), "Order WEB-42 (order.shipped)");
        assert_eq!(render("{{ data.total }} {{ data.note }}").unwrap(), "12.5 <b>&", "nothing is escaped");
        assert_eq!(render("{% for line in data.lines %}{{ line.sku }} {% endfor %}").unwrap(), "A B");
        assert_eq!(render("{{ data.missing | default('none') }}").unwrap(), "none");
        assert_eq!(render("{{ subjects[0] }}").unwrap(), "order:1");
    }

    #[test]
    fn what_is_not_there_is_named_and_no_data_is_repeated() {
        assert_eq!(render("{{ data.order }} {{ data.customer }}").unwrap_err(), "the event has no `data.customer`");
        assert_eq!(render("{{ data.order.number }}").unwrap_err(), "the event has no `data.order.number`");
        let said = render("{{ data.order | int }}").unwrap_err();
        assert!(!said.contains("WEB-42"), "{said}");
    }

    #[test]
    fn nothing_is_without_end() {
        assert!(render("{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}").is_err());
        assert!(render(&"x".repeat(SOURCE_BYTES + 1)).unwrap_err().contains("longer than"));
        let doubled = "{% set a = 'xxxxxxxxxxxxxxxx' %}{% for i in range(2000) %}{{ a }}{% endfor %}";
        assert!(render(doubled).is_err());
    }

    #[test]
    fn names_that_do_not_exist_are_found_before_an_event_comes() {
        assert_eq!(
            render("{{ dta.order }}").unwrap_err(),
            format!("there is no `dta`; there are: {}", NAMES.join(", "))
        );
        assert!(render("{{ data.order").unwrap_err().starts_with("is no template"));
        assert!(render("{% include 'other' %}").is_err());
    }
}
