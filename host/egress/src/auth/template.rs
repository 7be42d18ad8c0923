//! Templates of signatures: minijinja with everything taken away that could make much of little.
//!
//! A tenant writes these, and they see whole bodies. Fuel counts instructions and not bytes, and doubling a text forty
//! times takes forty instructions. So there is no way to keep a result and use it twice (`set`, `with`, macros,
//! recursion), no filter whose result is not of the size of what it is given, an end to the length of a template, to
//! the number of times it names the body, and to what it writes.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use minijinja::value::Object;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value};
use percent_encoding::utf8_percent_encode;

use crate::limits::{SIGN_FILTER_BYTES, SIGN_TEMPLATE_BODIES, SIGN_TEMPLATE_BYTES, TEMPLATE_FUEL};

/// What RFC 3986 lets stand.
pub(crate) const STRICT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An environment without templates.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment.add_filter("lower", |text: String| sized(&text, str::to_lowercase));
    environment.add_filter("upper", |text: String| sized(&text, str::to_uppercase));
    environment.add_filter("b64encode", |text: String| sized(&text, |text| STANDARD.encode(text)));
    environment.add_filter("urlencode", |text: String| sized(&text, |t| utf8_percent_encode(t, STRICT).to_string()));
    environment.add_filter("sort", |values: Vec<Value>| {
        let mut values = values;
        values.sort();
        values
    });
    environment
}

/// Filters that are applied one after the other must not grow a text without end.
fn sized(text: &str, filter: impl FnOnce(&str) -> String) -> Result<String, Error> {
    if text.len() > SIGN_FILTER_BYTES {
        return Err(Error::new(ErrorKind::InvalidOperation, "the text is too long for a filter"));
    }
    Ok(filter(text))
}

/// What is wrong with a template, as the end of a sentence.
pub(crate) fn check(source: &str) -> Result<(), String> {
    if source.len() > SIGN_TEMPLATE_BYTES {
        return Err(format!("has {} bytes, more than {SIGN_TEMPLATE_BYTES}", source.len()));
    }
    if source.matches("body").count() > SIGN_TEMPLATE_BODIES {
        return Err(format!("names the body more than {SIGN_TEMPLATE_BODIES} times"));
    }
    // Each place where a statement can begin, even where none does (in a text): better to refuse too much.
    for rest in source.split("{%").skip(1) {
        let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_start();
        let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        if !matches!(word.as_str(), "if" | "elif" | "else" | "endif" | "for" | "endfor") {
            return Err(format!("has the statement \"{}\"; there are only if and for", word.escape_default()));
        }
    }
    if source.contains("recursive") {
        return Err("has a recursive loop".to_owned());
    }
    Ok(())
}

/// What a template makes of these values, of at most `cap` bytes.
pub(crate) fn render(
    environment: &Environment<'static>,
    name: &str,
    values: &Value,
    cap: usize,
) -> Result<Vec<u8>, Error> {
    let mut out = Capped { bytes: Vec::new(), cap };
    environment.get_template(name)?.render_captured_to(values.clone(), &mut out)?;
    Ok(out.bytes)
}

struct Capped {
    bytes: Vec<u8>,
    cap: usize,
}

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(bytes.len()) > self.cap {
            return Err(io::Error::other("the template writes too much"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request's headers in a template. One that is not there is empty: that is how systems sign it.
#[derive(Debug)]
pub(crate) struct Headers(BTreeMap<String, String>);

impl Headers {
    /// Those of a request; several of one name with commas between them.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut map: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            map.entry(name.as_str().to_owned())
                .and_modify(|text| {
                    text.push(',');
                    text.push_str(&value);
                })
                .or_insert_with(|| value.clone().into_owned());
        }
        Self(map)
    }
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?.to_ascii_lowercase();
        Some(Value::from(self.0.get(&name).map(String::as_str).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn rendered(source: &str) -> Result<Vec<u8>, String> {
        check(source)?;
        let mut environment = environment();
        environment.add_template_owned("t", source.to_owned()).map_err(|e| e.to_string())?;
        let params = vec![vec!["b", "2"], vec!["a", "x y"]];
        let values = context! { body => "x".repeat(1 << 20), params, path => "/p", query => "" };
        render(&environment, "t", &values, 5 << 20).map_err(|e| e.to_string())
    }

    #[test]
    fn what_schemes_need_can_be_said() {
        for (source, made) in [
            ("{{ path }}{{ '?' ~ query if query else '' }}", "/p"),
            ("{% for p in params|sort %}{{ p[0] }}={{ p[1]|urlencode }};{% endfor %}", "a=x%20y;b=2;"),
            ("{% if query %}x{% else %}{{ 'y'|upper }}{% endif %}\n", "Y"),
            ("{{ 'user'|b64encode|lower }}", "dxnlcg=="),
        ] {
            assert_eq!(rendered(source).as_deref(), Ok(made.as_bytes()), "{source}");
        }
        assert_eq!(rendered("{{ body }}{{ body|b64encode }}").map(|made| made.len() > 2 << 20), Ok(true));
    }

    #[test]
    fn much_can_not_be_made_of_little() {
        for source in [
            "{% set a = body ~ body %}{% set b = a ~ a %}{{ b ~ b }}",
            "{%- with a = body %}{{ a }}{% endwith %}",
            "{% macro m() %}{{ body }}{% endmacro %}{{ m() }}",
            "{%+ filter upper %}{{ body }}{% endfilter %}",
            "{% for p in params recursive %}{{ loop(params) }}{{ loop(params) }}{% endfor %}",
            "{{ body ~ body ~ body ~ body ~ body }}",
            "{% for a in params %}{% for b in params %}{% for c in params %}{{ body }}{% endfor %}{% endfor %}{% endfor %}",
            "{{ body * 100000 }}",
            "{{ range(100000) }}",
            "{{ body|replace('x', body) }}",
            "{{ body|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode }}",
            "{{ unknown }}",
        ] {
            assert!(rendered(source).is_err(), "{source}");
        }
        assert!(check(&"x".repeat(SIGN_TEMPLATE_BYTES + 1)).is_err());
    }
}
