//! Templates of signatures.
//!
//! A tenant writes them and they see whole bodies, so their fuel is what keeps them from using up the host: minijinja
//! takes one for each instruction *and* for each 64 bytes that a template makes, before it makes them. Doubling a text
//! forty times costs as much as the text that would come of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use minijinja::value::Object;
use minijinja::{Environment, UndefinedBehavior, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::limits::SIGN_FUEL;

/// What RFC 3986 lets stand.
pub(crate) const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An environment without templates.
pub(crate) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(SIGN_FUEL));
    environment.add_filter("b64encode", |text: String| STANDARD.encode(text));
    // minijinja's own leaves slashes as they are, and schemes that sign parameters do not.
    environment.add_filter("urlencode", |text: String| utf8_percent_encode(&text, STRICT).to_string());
    environment
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

    fn rendered(source: &str, body: &str) -> Result<String, String> {
        let mut environment = environment();
        environment.add_template_owned("t", source.to_owned()).map_err(|e| e.to_string())?;
        let params = vec![vec!["b", "2"], vec!["a", "x/y"]];
        let mut headers = HeaderMap::new();
        headers.append("x-shop", "eu".parse().map_err(|_| "no header")?);
        headers.append("x-shop", "us".parse().map_err(|_| "no header")?);
        let headers = Value::from_object(Headers::of(&headers));
        let values = context! { body, params, headers, path => "/p", query => "" };
        environment.get_template("t").and_then(|t| t.render(values)).map_err(|e| e.to_string())
    }

    #[test]
    fn what_schemes_need_can_be_said() {
        for (source, made) in [
            ("{{ path }}{{ '?' ~ query if query else '' }}", "/p"),
            ("{% for p in params|sort %}{{ p[0] }}={{ p[1]|urlencode }};{% endfor %}", "a=x%2Fy;b=2;"),
            ("{{ headers['X-Shop'] }}|{{ headers['x-none'] }}\n", "eu,us|"),
            ("{{ 'user'|b64encode|lower }}", "dxnlcg=="),
        ] {
            assert_eq!(rendered(source, "{}").as_deref(), Ok(made), "{source}");
        }
    }

    #[test]
    fn the_largest_body_can_be_signed_twice_over() {
        let body = "x".repeat(4 << 20);
        let made = rendered("{{ body }}.{{ body|b64encode }}", &body);
        assert!(made.is_ok_and(|made| made.len() > 9 << 20));
    }

    #[test]
    fn a_template_can_not_use_up_the_host() {
        let body = "x".repeat(1 << 20);
        let doubling = format!("{{% set a0 = body %}}{}", "{% set a0 = a0 ~ a0 %}".repeat(40));
        for source in [
            doubling.as_str(),
            "{% for p in params recursive %}{{ body }}{{ loop(params) }}{{ loop(params) }}{% endfor %}",
            "{% for a in range(9999) %}{{ body }}{% endfor %}",
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            "{{ body * 1000 }}",
            "{{ body|replace('x', body) }}",
            "{{ body|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode|b64encode }}",
            "{{ unknown }}",
        ] {
            assert!(rendered(source, &body).is_err(), "{source}");
        }
    }
}
