//! Endpoints of a connection, between what a file says and what egress calls it.
//!
//! How an endpoint is signed in to, its certificates and its limits have types in egress, which say best what is wrong
//! with them. Here they are read into these, with the place in the file; and what egress finds later is told in the
//! file's own words and for the file's own lines.

use super::documents::{ConnectionDoc, EndpointDoc};
use super::yaml::{EndpointYaml, place};
use super::{Finding, Place, Severity};
use confab_egress::{Auth, ConfigError, SecretRef};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::Spanned;

/// Fields of an endpoint by the names that egress has for them, where the manifest says how it is signed in to and
/// the connection gives only the names of secrets.
const WORDS: &[(&str, &str)] = &[
    ("base_url", "url"),
    ("auth.value", "token"),
    ("auth.token", "token"),
    ("auth.secret", "token"),
    ("auth.session_token", "token"),
    ("auth.username", "username"),
    ("auth.key_id", "username"),
    ("auth.access_key_id", "username"),
    ("auth.password", "password"),
    ("auth.secret_access_key", "password"),
];

/// Where an endpoint's fields stand.
pub(super) fn places(name: &str, endpoint: &Spanned<EndpointYaml>) -> Vec<(String, Option<Place>)> {
    let yaml = &endpoint.value;
    let fields = [
        ("password", &yaml.password),
        ("token", &yaml.token),
        ("auth", &yaml.auth),
        ("ca", &yaml.ca),
        ("client_certificate", &yaml.client_certificate),
        ("redirects", &yaml.redirects),
    ];
    let fields = fields.into_iter().filter_map(|(field, value)| Some((field, place(value.as_ref()?))));
    let own = std::iter::once((format!("endpoints.{name}"), place(endpoint)));
    own.chain(fields.map(|(field, at)| (format!("endpoints.{name}.{field}"), at))).collect()
}

/// Reads values into their types, and notes what does not fit.
pub(super) struct Typed<'a> {
    pub(super) file: &'a str,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Typed<'_> {
    /// A value, if it is there and fits.
    pub(super) fn read<T: DeserializeOwned>(&mut self, at: &str, value: Option<Spanned<Value>>) -> Option<T> {
        let value = value?;
        let at_place = place(&value);
        serde_json::from_value(value.value)
            .map_err(|e| self.findings.push(Finding::error(self.file, format!("{at}: {e}")).at(at_place)))
            .ok()
    }

    /// The name of a secret. What stands there instead is not repeated: it may be the secret.
    fn secret(&mut self, at: &str, value: Option<Spanned<Value>>) -> Option<String> {
        let value = value?;
        let at_place = place(&value);
        self.secret_at(at, value.value, at_place)
    }

    /// The same, of a value that has lost its place.
    pub(super) fn secret_at(&mut self, at: &str, value: Value, at_place: Option<Place>) -> Option<String> {
        match serde_json::from_value::<SecretRef>(value) {
            Ok(name) => Some(name.to_string()),
            Err(_) => {
                let message = format!("{at} must name a secret, not be one: `env:NAME` or `file:NAME`");
                let finding = Finding::error(self.file, message).at(at_place);
                self.findings.push(finding.help("a secret is never written into a file"));
                None
            }
        }
    }

    /// Notes what is wrong at a place.
    pub(super) fn wrong(&mut self, message: &str, at: Option<Place>) {
        self.findings.push(Finding::error(self.file, message).at(at));
    }

    /// An endpoint of this name.
    pub(super) fn endpoint(&mut self, name: &str, yaml: EndpointYaml) -> EndpointDoc {
        let at = |field: &str| format!("endpoints.{name}.{field}");
        // Read for its faults: which kinds there are is egress's business, so the document keeps it as it is. What is
        // missing the connector's manifest may supply; serde tells of that only when all that is there fits.
        let auth = yaml.auth.as_ref().map(|auth| auth.value.clone());
        if let Some(given) = &yaml.auth
            && let Err(e) = serde_json::from_value::<Auth>(given.value.clone())
            && !e.to_string().starts_with("missing field")
        {
            let message = format!("{}: {e}", at("auth"));
            self.findings.push(Finding::error(self.file, message).at(place(given)));
        }
        EndpointDoc {
            url: yaml.url,
            username: yaml.username,
            password: self.secret(&at("password"), yaml.password),
            token: self.secret(&at("token"), yaml.token),
            auth,
            timeout_ms: yaml.timeout_ms,
            ca: self.read(&at("ca"), yaml.ca),
            client_certificate: self.read(&at("client_certificate"), yaml.client_certificate),
            redirects: self.read(&at("redirects"), yaml.redirects).unwrap_or_default(),
            idempotency_header: yaml.idempotency_header,
        }
    }
}

/// What egress found wrong, in the file's words.
pub(crate) fn finding(file: &str, doc: &ConnectionDoc, error: &ConfigError) -> Finding {
    let at = in_words_of_the_file(doc, &error.at);
    Finding::error(file, format!("{at}: {}", error.message)).field(at)
}

/// What egress says somebody should see to: `PLACE: sentence`.
pub(crate) fn note(file: &str, doc: &ConnectionDoc, note: &str) -> Finding {
    let (at, sentence) = note.split_once(": ").unwrap_or(("endpoints", note));
    let at = in_words_of_the_file(doc, at);
    let finding = Finding::error(file, format!("{at}: {sentence}")).field(at);
    Finding { severity: Severity::Warning, ..finding }
}

fn in_words_of_the_file(doc: &ConnectionDoc, at: &str) -> String {
    for (name, endpoint) in &doc.endpoints {
        let prefix = format!("endpoints.{name}.");
        let Some(field) = at.strip_prefix(&prefix) else { continue };
        if field == "ca" && endpoint.ca.is_none() {
            return "ca".to_owned();
        }
        let known = WORDS.iter().find(|(theirs, _)| *theirs == field);
        return match known {
            Some((theirs, ours)) if endpoint.auth.is_none() || !theirs.starts_with("auth.") => {
                format!("{prefix}{ours}")
            }
            _ => at.to_owned(),
        };
    }
    at.to_owned()
}

#[cfg(test)]
mod tests {
    use crate::config::bundle::{Bundle, SourceFile};

    fn read(connection: &str) -> Result<Bundle, Vec<String>> {
        let file = |path: &str, content: &str| SourceFile { path: path.into(), content: content.into() };
        let files = [file("tenant.yaml", "id: shop\n"), file("connections/erp.yaml", connection)];
        Bundle::read(&files).map_err(|findings| findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn everything_about_an_endpoint_is_read() {
        let bundle = read(
            r#"
id: erp
connector: rest
ca: file:company.pem
limits: {concurrency: 4, response_bytes: 65536}
endpoints:
  api:
    url: https://erp.example.com
    auth:
      kind: hmac
      secret: env:SHOP__KEY
      sign: "{{ timestamp }}{{ body }}"
      headers: {X-Signature: "{{ signature }}"}
    client_certificate: {certificate: file:erp.crt, key: file:erp.key}
    redirects: none
  files:
    url: https://files.example.com
    auth: {kind: aws, region: eu-central-1, service: s3, access_key_id: AKIA, secret_access_key: env:SHOP__AWS}
    ca: |
      -----BEGIN CERTIFICATE-----
      MIIB
      -----END CERTIFICATE-----
"#,
        )
        .unwrap();
        let (_, doc) = &bundle.connections[0];
        assert_eq!(doc.limits.concurrency, Some(4));
        let stored = serde_json::to_value(doc).unwrap();
        assert_eq!(stored["ca"], "file:company.pem");
        assert_eq!(stored["endpoints"]["api"]["redirects"], "none");
        assert_eq!(stored["endpoints"]["api"]["client_certificate"]["key"], "file:erp.key");
        assert_eq!(stored["endpoints"]["files"]["auth"]["kind"], "aws");
        assert_eq!(*doc, serde_json::from_value(stored).unwrap());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_no_secret_is_repeated() {
        let secret = "hunter2-4711";
        for (field, line, message) in [
            ("    password: hunter2-4711", 6, "must name a secret"),
            ("    token: 47114711", 6, "must name a secret"),
            ("    auth: {kind: bearer, token: hunter2-4711}", 6, "a secret is never written into a file"),
            ("    auth: {kind: basic, username: bot, password: 47114711}", 6, "a secret is never written into a file"),
            (
                "    auth:\n      kind: hmac\n      secret: hunter2-4711\n      sign: x\n      headers: {}",
                7,
                "a secret is never",
            ),
            (
                "    auth: {kind: aws, region: a, service: b, access_key_id: c, secret_access_key: hunter2-4711}",
                6,
                "a secret is",
            ),
            (
                "    auth: {kind: aws, region: a, service: b, access_key_id: c, secret_access_key: env:A, session_token: hunter2-4711}",
                6,
                "a secret is",
            ),
            ("    auth: {kind: telepathy}", 6, "unknown variant `telepathy`"),
            ("    client_certificate: {certificate: file:a, key: hunter2-4711}", 6, "a secret is never"),
            ("    client_certificate: {certificate: hunter2-4711, key: file:a}", 6, "write certificates in PEM"),
            ("    client_certificate: {certificate: file:a}", 6, "missing field `key`"),
            ("    ca: /etc/ssl/ca.pem", 6, "write certificates in PEM"),
            ("    ca: |\n      -----BEGIN PRIVATE KEY-----\n      hunter2-4711", 7, "a private key is never"),
            ("    redirects: everywhere", 6, "unknown variant `everywhere`"),
            ("limits: {concurency: 4}", 6, "unknown field `concurency`"),
            ("limits: {concurrency: many}", 6, "limits: invalid type"),
        ] {
            let text = format!("id: erp\nconnector: rest\nendpoints:\n  api:\n    url: https://x\n{field}\n");
            let findings = read(&text).unwrap_err();
            let [finding] = findings.as_slice() else { panic!("{field}: {findings:?}") };
            assert!(finding.contains(message), "{field}: {finding}");
            assert!(finding.starts_with(&format!("connections/erp.yaml:{line}:")), "{field}: {finding}");
            assert!(!finding.contains(secret) && !finding.contains("47114711"), "{finding}");
        }
    }
}
