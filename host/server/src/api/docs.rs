//! `GET /docs`: the OpenAPI document as one page for people.
//!
//! The page is written once, at first use, from the document that `GET /openapi.json` serves: what it says of a route is
//! what tools are told. It has no script and loads nothing; the policy in its header allows one style, by its
//! digest, so that even text which slipped through the escaping could neither run nor call out.
//!
//! What the page relies on is what our document does, not all that OpenAPI allows: references are local, parameters that
//! all routes share stand at the path (they are described once, in prose), each problem is an example that
//! is named by its code, and prose has paragraphs, lists, `##` headings, code spans and fenced blocks.

mod escape;
mod json;

use self::escape::{curl, esc, inline};
use self::json::Json;
use super::meta::OPENAPI;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

const STYLE: &str = include_str!("docs/style.css");

/// The page with the policy that goes with it.
struct Page {
    html: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Page { html: render(OPENAPI), policy }
});

/// The handler.
pub(crate) async fn page() -> Response {
    let page: &'static Page = &PAGE;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, page.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page.html.as_str()).into_response()
}

/// The page of a document. A test reads our own; should it be broken all the same, the page says so.
pub(super) fn render(document: &str) -> String {
    let root = serde_json::from_str::<Json>(document).unwrap_or(Json::Null);
    let mut writer = Writer { root: &root, out: String::new() };
    writer.page();
    writer.out
}

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "options"];

struct Writer<'a> {
    root: &'a Json,
    out: String,
}

impl<'a> Writer<'a> {
    /// Writes HTML as it is.
    fn raw(&mut self, html: fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(html);
    }

    /// What a reference stands for; anything else stands for itself.
    fn resolve(&self, node: &'a Json) -> &'a Json {
        match node.text("$ref").strip_prefix("#/") {
            Some(path) => path.split('/').try_fold(self.root, |node, part| node.get(part)).unwrap_or(&Json::Null),
            None => node,
        }
    }

    fn page(&mut self) {
        let root = self.root;
        let info = root.get("info").unwrap_or(&Json::Null);
        let title = esc(info.text("title"));
        self.raw(format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style></head>\n<body><nav aria-label=\"Contents\"><ul><li><a href=\"#top\">{title}</a></ul>"
        ));
        for tag in root.list("tags") {
            self.raw(format_args!("<b>{}</b><ul>", esc(tag.text("name"))));
            for (_, method, operation) in self.operations(tag.text("name")) {
                let (id, summary) = (esc(operation.text("operationId")), esc(operation.text("summary")));
                self.raw(format_args!(
                    "<li><a href=\"#{id}\">{summary}</a> <small class=\"dim method\">{method}</small>"
                ));
            }
            self.raw(format_args!("</ul>"));
        }
        self.raw(format_args!("<ul><li><a href=\"#headers\">Headers</a><li><a href=\"#problems\">Problems</a></ul></nav>\n<main id=\"top\">"));
        self.raw(format_args!(
            "<h1>{title}</h1><p>{} For tools: <a href=\"/openapi.json\">openapi.json</a>",
            esc(info.text("summary"))
        ));
        self.prose(info.text("description"));
        for tag in root.list("tags") {
            self.raw(format_args!("\n<h2>{}</h2>", esc(tag.text("name"))));
            self.prose(tag.text("description"));
            for (path, method, operation) in self.operations(tag.text("name")) {
                self.operation(path, method, operation);
            }
        }
        self.appendix();
        self.raw(format_args!("</main></body></html>\n"));
    }

    /// Routes of a tag: path, method, operation.
    fn operations(&self, tag: &str) -> Vec<(&'a str, &'a str, &'a Json)> {
        let routes = self.root.under("paths").iter().flat_map(|(path, item)| {
            item.members()
                .iter()
                .filter(|(method, _)| METHODS.contains(&method.as_str()))
                .map(move |(method, op)| (path.as_str(), method.as_str(), op))
        });
        routes.filter(|(_, _, operation)| operation.list("tags").iter().any(|each| each.as_text() == tag)).collect()
    }

    fn operation(&mut self, path: &'a str, method: &'a str, operation: &'a Json) {
        let (id, summary) = (esc(operation.text("operationId")), esc(operation.text("summary")));
        self.raw(format_args!(
            "\n<section><h3 id=\"{id}\">{summary}</h3><p><code><span class=\"method\">{method}</span> {}</code>",
            esc(path)
        ));
        self.prose(operation.text("description"));
        let mut scopes: Vec<String> = Vec::new();
        for scope in operation
            .list("security")
            .iter()
            .flat_map(Json::members)
            .flat_map(|(_, scopes)| scopes.items())
            .map(|scope| esc(scope.as_text()))
        {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        if operation.list("security").is_empty() {
            self.raw(format_args!("<p class=\"dim\">No key is needed."));
        } else {
            self.raw(format_args!(
                "<p class=\"dim\">Needs a key with the scope <code>{}</code>.",
                scopes.join("</code> or <code>")
            ));
        }
        if !operation.list("parameters").is_empty() {
            self.raw(format_args!("<h4>Parameters</h4><dl>"));
            for parameter in operation.list("parameters") {
                let parameter = self.resolve(parameter);
                let schema = parameter.get("schema").unwrap_or(&Json::Null);
                let place = parameter.text("in");
                self.member(parameter.text("name"), place, schema, parameter.text("description"));
            }
            self.raw(format_args!("</dl>"));
        }
        if let Some(body) = operation.get("requestBody") {
            self.raw(format_args!("<h4>Body</h4>"));
            self.prose(body.text("description"));
            for (_, content) in body.under("content") {
                self.members_of(content);
                for (_, example) in content.under("examples") {
                    self.raw(format_args!("<h4>Request: {}</h4>", esc(example.text("summary"))));
                    self.code(&curl(path, method, operation, example.get("value")));
                }
            }
        } else {
            self.raw(format_args!("<h4>Request</h4>"));
            self.code(&curl(path, method, operation, None));
        }
        self.responses(operation);
        self.raw(format_args!("</section>"));
    }

    fn responses(&mut self, operation: &'a Json) {
        let all = operation.under("responses").iter().map(|(status, response)| (status, self.resolve(response)));
        let (good, bad): (Vec<_>, Vec<_>) = all.partition(|(status, _)| status.starts_with('2'));
        for (status, response) in good {
            self.raw(format_args!("<h4>Answer {}</h4>", esc(status)));
            self.prose(response.text("description"));
            for (kind, content) in response.under("content") {
                self.raw(format_args!("<p class=\"dim\"><code>{}</code>", esc(kind)));
                if let Some(example) = content.get("example") {
                    self.code(&example.pretty());
                }
                self.members_of(content);
            }
            self.header_links(response);
        }
        if bad.is_empty() {
            return;
        }
        self.raw(format_args!("<h4>Problems</h4><table><tr><th>Status<th>Code<th>When"));
        for (status, response) in bad {
            self.raw(format_args!("<tr><td>{}<td>", esc(status)));
            for (code, _) in response.under("content").iter().flat_map(|(_, content)| content.under("examples")) {
                let code = esc(code);
                self.raw(format_args!("<a href=\"#problem-{code}\"><code>{code}</code></a> "));
            }
            self.raw(format_args!("<td>{}", inline(response.text("description"))));
        }
        self.raw(format_args!("</table>"));
    }

    fn header_links(&mut self, response: &'a Json) {
        self.raw(format_args!("<p class=\"dim\">Headers:"));
        for (name, _) in response.under("headers") {
            let name = esc(name);
            self.raw(format_args!(" <a href=\"#header-{name}\"><code>{name}</code></a>"));
        }
    }

    /// Headers and problems, to which the routes link.
    fn appendix(&mut self) {
        let components = self.root.get("components").unwrap_or(&Json::Null);
        self.raw(format_args!("\n<h2 id=\"headers\">Headers</h2><dl>"));
        for (name, header) in components.under("headers") {
            let name = esc(name);
            self.raw(format_args!(
                "<dt id=\"header-{name}\"><code>{name}</code><dd>{}",
                inline(header.text("description"))
            ));
            if let Some(example) = header.get("example") {
                self.raw(format_args!(" Example: <code>{}</code>", esc(&example.plain())));
            }
        }
        self.raw(format_args!("</dl>\n<h2 id=\"problems\">Problems</h2><p>The members of every problem:"));
        let problem = components.get("schemas").and_then(|schemas| schemas.get("Problem")).unwrap_or(&Json::Null);
        self.members(problem);
        for (code, example) in components.under("examples") {
            let (code, title) = (esc(code), esc(example.text("summary")));
            let status =
                example.get("value").and_then(|value| value.get("status")).map(Json::plain).unwrap_or_default();
            self.raw(format_args!("<h3 id=\"problem-{code}\"><code>{code}</code></h3><p>{} {title}", esc(&status)));
            self.prose(example.text("description"));
            self.code(&example.get("value").map(Json::pretty).unwrap_or_default());
        }
    }

    fn members_of(&mut self, content: &'a Json) {
        if let Some(schema) = content.get("schema") {
            self.members(schema);
        }
    }

    fn members(&mut self, schema: &'a Json) {
        let mut rows = Vec::new();
        self.collect(schema, "", 0, &mut rows);
        if rows.is_empty() {
            return;
        }
        self.raw(format_args!("<dl>"));
        for (name, required, schema) in rows {
            let description = if schema.text("description").is_empty() {
                self.resolve(schema).text("description")
            } else {
                schema.text("description")
            };
            self.member(&name, if required { "" } else { "optional" }, schema, description);
        }
        self.raw(format_args!("</dl>"));
    }

    /// Members and theirs, as `visitor.name` and `replies[].text`; no deeper than anybody reads.
    fn collect(&self, schema: &'a Json, prefix: &str, depth: usize, rows: &mut Vec<(String, bool, &'a Json)>) {
        let schema = self.resolve(schema);
        if depth > 4 {
            return;
        }
        for part in schema.list("allOf").iter().chain(schema.list("oneOf")) {
            self.collect(part, prefix, depth, rows);
        }
        if let Some(items) = schema.get("items") {
            let prefix = format!("{}[].", prefix.strip_suffix('.').unwrap_or(prefix));
            self.collect(items, &prefix, depth, rows);
        }
        for (name, member) in schema.under("properties") {
            let required = schema.list("required").iter().any(|each| each.as_text() == name);
            rows.push((format!("{prefix}{name}"), required, member));
            self.collect(member, &format!("{prefix}{name}."), depth + 1, rows);
        }
    }

    fn member(&mut self, name: &str, note: &str, schema: &'a Json, description: &str) {
        let mut facts = vec![esc(&self.kind(schema))];
        facts.extend((!note.is_empty()).then(|| esc(note)));
        facts.extend(limits(self.resolve(schema)));
        self.raw(format_args!(
            "<dt><code>{}</code> <span class=\"dim\">{}</span><dd>{}",
            esc(name),
            facts.join(", "),
            inline(description)
        ));
    }

    /// Type in words: `array of string`, `string or null`.
    fn kind(&self, schema: &'a Json) -> String {
        let schema = self.resolve(schema);
        let alternatives = schema.list("oneOf");
        if !alternatives.is_empty() {
            return alternatives.iter().map(|each| self.kind(each)).collect::<Vec<_>>().join(" or ");
        }
        let kind = match schema.get("type") {
            Some(Json::List(all)) => all.iter().map(Json::as_text).collect::<Vec<_>>().join(" or "),
            Some(Json::Text(kind)) => kind.clone(),
            _ => "any JSON".to_owned(),
        };
        match (schema.get("items").or(schema.get("additionalProperties")), schema.text("format")) {
            (Some(inner @ Json::Map(_)), _) => format!("{kind} of {}", self.kind(inner)),
            (_, "") => kind,
            (_, format) => format!("{kind} ({format})"),
        }
    }

    fn code(&mut self, text: &str) {
        self.raw(format_args!("<pre tabindex=\"0\"><code>{}</code></pre>", esc(text)));
    }

    /// Prose as our document has it.
    fn prose(&mut self, text: &str) {
        for (index, part) in text.split("```").enumerate() {
            if index % 2 == 1 {
                self.code(part.trim_matches('\n'));
                continue;
            }
            for block in part.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
                if let Some(heading) = block.strip_prefix("## ") {
                    self.raw(format_args!("<h2>{}</h2>", inline(heading)));
                } else if let Some(list) = block.strip_prefix("- ") {
                    let items: String = list.split("\n- ").map(|item| format!("<li>{}", inline(item))).collect();
                    self.raw(format_args!("<ul>{items}</ul>"));
                } else {
                    self.raw(format_args!("<p>{}</p>", inline(block)));
                }
            }
        }
    }
}

/// What a value must keep to, beyond its type.
fn limits(schema: &Json) -> Vec<String> {
    let mut all = Vec::new();
    for (name, words) in [
        ("minLength", "length at least {}"),
        ("maxLength", "length at most {}"),
        ("minimum", "at least {}"),
        ("maximum", "at most {}"),
        ("maxItems", "at most {} items"),
        ("pattern", "matches <code>{}</code>"),
        ("default", "default <code>{}</code>"),
        ("const", "always <code>{}</code>"),
        ("contentEncoding", "{}"),
    ] {
        all.extend(schema.get(name).map(|value| words.replace("{}", &esc(&value.plain()))));
    }
    let cases: Vec<String> =
        schema.list("enum").iter().map(|case| format!("<code>{}</code>", esc(case.as_text()))).collect();
    all.extend((!cases.is_empty()).then(|| format!("one of {}", cases.join(" "))));
    all
}
