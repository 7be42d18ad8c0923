//! A tenant's folder as documents.
//!
//! Everything wrong is reported at once. What needs a plugin to be checked (a bot's definition, a connection's settings
//! and files) is checked when the documents are prepared, see [`crate::registry`].

use super::documents::{BotDoc, ConnectionDoc, PeopleDoc, TenantDoc, WebhookDoc};
use super::endpoints;
use super::events;
use super::webhooks::{ReadWebhook, WebhookYaml};
use super::yaml::{BotYaml, ConnectionYaml, TenantYaml, place, read};
use super::{Finding, Place, Places};
use crate::ids::{BotId, ConnectionId, TenantId};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// A file of a tenant's folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceFile {
    /// Path within the folder, with `/`.
    pub path: String,
    /// Contents.
    #[serde(with = "base64_bytes")]
    pub content: Vec<u8>,
}

/// A folder, read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The tenant.
    pub tenant: TenantDoc,
    /// Its bots, each with the file it came from.
    pub bots: Vec<(String, BotDoc)>,
    /// Its connections, each with the file it came from.
    pub connections: Vec<(String, ConnectionDoc)>,
    /// Its webhooks, each with the file it came from.
    pub webhooks: Vec<(String, WebhookDoc)>,
    /// Data files by connection and name.
    pub files: HashMap<(ConnectionId, String), Vec<u8>>,
    /// Where things stand, by file.
    pub places: HashMap<String, Places>,
}

impl Bundle {
    /// Gives findings about a file their lines.
    pub fn locate(&self, file: &str, findings: &mut [Finding]) {
        if let Some(places) = self.places.get(file) {
            findings.iter_mut().for_each(|finding| places.locate(finding));
        }
    }
}

/// Conversations are forgotten after a day without a message, unless the bot says otherwise.
const DEFAULT_TTL_S: u64 = 24 * 3600;
/// At most a year; what must be kept longer belongs into the business's own system.
const MAX_TTL_S: u64 = 366 * 24 * 3600;
/// All data files of a connection together, in bytes.
const MAX_FILES: usize = 8 << 20;

/// A visitor who was promised a person waits about this long.
const DEFAULT_PEOPLE_WAIT_S: u64 = 15 * 60;
const UNAVAILABLE: &str = "Sorry, nobody is available right now. I am still here if I can help.";

const ANY_LANGUAGE: &str = "";
const FALLBACK: &str = "Sorry, something went wrong on our side. Please try again in a moment.";

impl Bundle {
    /// Reads a folder.
    ///
    /// # Errors
    /// All that is wrong, in order of the files.
    pub fn read(files: &[SourceFile]) -> Result<Bundle, Vec<Finding>> {
        let mut reader = Reader { files, findings: Vec::new(), places: HashMap::new() };
        let tenant = reader.tenant();
        let connections = reader.each("connections/", Reader::connection);
        let bots = reader.each("bots/", Reader::bot);
        let webhooks = reader.each("webhooks/", Reader::webhook);
        let bundle = match tenant {
            Some(tenant) if reader.findings.is_empty() => reader.assemble(tenant, bots, connections, webhooks),
            _ => None,
        };
        match bundle {
            Some(bundle) if reader.findings.is_empty() => Ok(bundle),
            _ => Err(reader.findings),
        }
    }
}

/// Documents before their tenant is known.
struct ReadBot {
    file: String,
    place: Option<Place>,
    id: BotId,
    doc: Box<dyn FnOnce(TenantId) -> BotDoc>,
}
struct ReadConnection {
    file: String,
    place: Option<Place>,
    id: ConnectionId,
    doc: Box<dyn FnOnce(TenantId) -> ConnectionDoc>,
    data: Vec<(String, Vec<u8>)>,
}

struct Reader<'a> {
    files: &'a [SourceFile],
    findings: Vec<Finding>,
    places: HashMap<String, Places>,
}

impl<'a> Reader<'a> {
    fn file(&self, path: &str) -> Option<&'a SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    fn parse<T: serde::de::DeserializeOwned>(&mut self, file: &SourceFile) -> Option<T> {
        let outcome = match std::str::from_utf8(&file.content) {
            Ok(text) => read(&file.path, text),
            Err(e) => Err(Finding::error(&file.path, format!("is not UTF-8 text (byte {})", e.valid_up_to()))),
        };
        outcome.map_err(|finding| self.findings.push(finding)).ok()
    }

    fn name<T: FromStr<Err = crate::NameError>>(&mut self, file: &str, value: &str, place: Option<Place>) -> Option<T> {
        value
            .parse()
            .map_err(|e: crate::NameError| self.findings.push(Finding::error(file, e.to_string()).at(place)))
            .ok()
    }

    fn tenant(&mut self) -> Option<TenantDoc> {
        let Some(file) = self.file("tenant.yaml") else {
            let help = "write one with `id: my-shop` and `name: My shop`";
            self.findings
                .push(Finding::error("tenant.yaml", "is missing: the folder says nowhere whose it is").help(help));
            return None;
        };
        let yaml: TenantYaml = self.parse(file)?;
        let id: TenantId = self.name(&file.path, &yaml.id.value, place(&yaml.id))?;
        let name = yaml.name.unwrap_or_else(|| id.to_string());
        Some(TenantDoc { id, name })
    }

    /// Reads each `*.yaml` directly in a folder. Definitions have two dots (`shop.flow.yaml`) and are named by their bots.
    fn each<T>(&mut self, folder: &str, one: fn(&mut Self, &'a SourceFile) -> Option<T>) -> Vec<T> {
        let files: Vec<&'a SourceFile> = self
            .files
            .iter()
            .filter(|file| {
                file.path.strip_prefix(folder).is_some_and(|name| {
                    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
                    stem.is_some_and(|stem| !stem.contains(['/', '.']))
                })
            })
            .collect();
        files.into_iter().filter_map(|file| one(self, file)).collect()
    }

    /// A file named by another, relative to it.
    fn named(&mut self, from: &str, name: &str, place: Option<Place>) -> Option<&'a SourceFile> {
        let path = relative(from, name);
        let found = path.as_deref().and_then(|path| self.file(path));
        if found.is_none() {
            let message = format!("names the file `{name}`, which is not there");
            self.findings.push(
                Finding::error(from, message)
                    .at(place)
                    .help("paths are relative to this file and stay within the folder"),
            );
        }
        found
    }

    fn bot(&mut self, file: &'a SourceFile) -> Option<ReadBot> {
        let yaml: BotYaml = self.parse(file)?;
        let mut places = Places::default();
        let fields = [
            ("id", place(&yaml.id)),
            ("plugin", place(&yaml.plugin)),
            ("definition", yaml.definition.as_ref().and_then(place)),
        ];
        let bound = yaml.connections.iter().map(|(name, value)| (format!("connections.{name}"), place(value)));
        places.fields.extend(
            fields
                .into_iter()
                .map(|(name, at)| (name.to_owned(), at))
                .chain(bound)
                .filter_map(|(name, at)| Some((name, at?))),
        );
        places.fields.extend(events::places(&yaml.events));
        self.places.insert(file.path.clone(), places);
        let events = events::subscriptions(&file.path, yaml.events, &mut self.findings);
        let id: Option<BotId> = self.name(&file.path, &yaml.id.value, place(&yaml.id));
        let mut connections = BTreeMap::new();
        for (capability, connection) in &yaml.connections {
            if let Some(connection) = self.name(&file.path, &connection.value, place(connection)) {
                connections.insert(capability.clone(), connection);
            }
        }
        let (definition, definition_file) = match &yaml.definition {
            None => (String::new(), file.path.clone()),
            Some(name) => {
                let source = self.named(&file.path, &name.value, place(name))?;
                match std::str::from_utf8(&source.content) {
                    Ok(text) => (text.to_owned(), source.path.clone()),
                    Err(_) => {
                        self.findings.push(Finding::error(&source.path, "is not UTF-8 text"));
                        return None;
                    }
                }
            }
        };
        let ttl = self.duration(file, "conversation_ttl", yaml.conversation_ttl.as_ref(), DEFAULT_TTL_S)?;
        let people = match yaml.people {
            None => None,
            Some(people) => {
                let wait_s = self.duration(file, "people.wait", people.wait.as_ref(), DEFAULT_PEOPLE_WAIT_S)?;
                let mut unavailable = people.unavailable;
                if !unavailable.contains_key(ANY_LANGUAGE) {
                    let any = unavailable.get("en").cloned().unwrap_or_else(|| UNAVAILABLE.to_owned());
                    unavailable.insert(ANY_LANGUAGE.to_owned(), any);
                }
                Some(PeopleDoc { wait_s, unavailable })
            }
        };
        let mut fallback = yaml.fallback;
        if !fallback.contains_key(ANY_LANGUAGE) {
            let any = fallback.get("en").cloned().unwrap_or_else(|| FALLBACK.to_owned());
            fallback.insert(ANY_LANGUAGE.to_owned(), any);
        }
        let id = id?;
        let (plugin, name, doc_id) = (yaml.plugin.value, yaml.name.unwrap_or_else(|| id.to_string()), id.clone());
        let doc = move |tenant| BotDoc {
            tenant,
            id: doc_id,
            name,
            plugin,
            definition,
            definition_file,
            connections,
            fallback,
            conversation_ttl_s: ttl,
            while_busy: yaml.while_busy.unwrap_or_default(),
            people,
            events,
        };
        Some(ReadBot { file: file.path.clone(), place: place(&yaml.id), id, doc: Box::new(doc) })
    }

    /// A length of time as people write it, in seconds.
    fn duration(
        &mut self,
        file: &SourceFile,
        field: &str,
        text: Option<&Spanned<String>>,
        default: u64,
    ) -> Option<u64> {
        let Some(text) = text else { return Some(default) };
        let seconds = duration_s(&text.value).filter(|s| (1..=MAX_TTL_S).contains(s));
        if seconds.is_none() {
            let message = format!("{field} `{}` must be like 30m, 24h or 7d, at most 366d", text.value);
            self.findings.push(Finding::error(&file.path, message).at(place(text)));
        }
        seconds
    }

    fn connection(&mut self, file: &'a SourceFile) -> Option<ReadConnection> {
        let yaml: ConnectionYaml = self.parse(file)?;
        let mut places = Places::default();
        let fields = [
            ("id", place(&yaml.id)),
            ("connector", place(&yaml.connector)),
            ("settings", yaml.settings.as_ref().and_then(place)),
            ("ca", yaml.ca.as_ref().and_then(place)),
            ("limits", yaml.limits.as_ref().and_then(place)),
            ("rate", yaml.rate.as_ref().and_then(place)),
            ("retry", yaml.retry.as_ref().and_then(place)),
            ("webhook", yaml.webhook.as_ref().and_then(place)),
        ];
        let named = yaml.endpoints.iter().flat_map(|(name, value)| endpoints::places(name, value));
        places.fields.extend(
            fields
                .into_iter()
                .map(|(name, at)| (name.to_owned(), at))
                .chain(named)
                .filter_map(|(name, at)| Some((name, at?))),
        );
        places.data.extend(
            yaml.files.iter().filter_map(|(name, path)| Some((name.clone(), relative(&file.path, &path.value)?))),
        );
        places.fields.extend(yaml.cache.places());
        let cache = yaml.cache.doc(&file.path, &mut self.findings);
        self.places.insert(file.path.clone(), places);
        let id: Option<ConnectionId> = self.name(&file.path, &yaml.id.value, place(&yaml.id));
        let mut data = Vec::new();
        let mut digests = BTreeMap::new();
        for (name, path) in &yaml.files {
            if name.is_empty() || name.len() > 100 || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
                self.findings
                    .push(Finding::error(&file.path, format!("`{name}` can't name a data file")).at(place(path)));
            } else if let Some(source) = self.named(&file.path, &path.value, place(path)) {
                digests.insert(name.clone(), hex(&Sha256::digest(&source.content)));
                data.push((name.clone(), source.content.clone()));
            }
        }
        let total: usize = data.iter().map(|(_, content)| content.len()).sum();
        if total > MAX_FILES {
            let message = format!("the data files have {total} bytes together, at most {MAX_FILES} are allowed");
            self.findings.push(Finding::error(&file.path, message));
        }
        let mut typed = endpoints::Typed { file: &file.path, findings: &mut self.findings };
        let ca = typed.read("ca", yaml.ca);
        let limits = typed.read("limits", yaml.limits).unwrap_or_default();
        let webhook = yaml.webhook.map(|webhook| events::webhook(&mut typed, webhook));
        let endpoints: BTreeMap<_, _> = yaml
            .endpoints
            .into_iter()
            .map(|(name, endpoint)| {
                let doc = typed.endpoint(&name, endpoint.value);
                (name, doc)
            })
            .collect();
        let id = id?;
        let doc_id = id.clone();
        let settings = yaml.settings.map_or_else(|| serde_json::json!({}), |settings| settings.value);
        let connector = yaml.connector.value;
        let (rate, retry) = (yaml.rate.map(|rate| rate.value), yaml.retry.map(|retry| retry.value));
        let doc = move |tenant| ConnectionDoc {
            tenant,
            id: doc_id,
            connector,
            settings,
            endpoints,
            files: digests,
            ca,
            limits,
            rate,
            retry,
            cache,
            webhook,
        };
        Some(ReadConnection { file: file.path.clone(), place: place(&yaml.id), id, doc: Box::new(doc), data })
    }

    fn webhook(&mut self, file: &'a SourceFile) -> Option<ReadWebhook> {
        let yaml: WebhookYaml = self.parse(file)?;
        self.places.insert(file.path.clone(), yaml.places());
        yaml.read(&file.path, &mut self.findings)
    }

    fn assemble(
        &mut self,
        tenant: TenantDoc,
        bots: Vec<ReadBot>,
        connections: Vec<ReadConnection>,
        webhooks: Vec<ReadWebhook>,
    ) -> Option<Bundle> {
        let mut bundle = Bundle {
            tenant,
            bots: Vec::new(),
            connections: Vec::new(),
            webhooks: Vec::new(),
            files: HashMap::new(),
            places: std::mem::take(&mut self.places),
        };
        let mut seen: HashMap<String, String> = HashMap::new();
        for connection in connections {
            if let Some(first) = seen.insert(format!("connection {}", connection.id), connection.file.clone()) {
                self.findings.push(
                    Finding::error(&connection.file, format!("connection `{}` is in {first} already", connection.id))
                        .at(connection.place),
                );
            }
            for (name, content) in connection.data {
                bundle.files.insert((connection.id.clone(), name), content);
            }
            bundle.connections.push((connection.file, (connection.doc)(bundle.tenant.id.clone())));
        }
        for bot in bots {
            if let Some(first) = seen.insert(format!("bot {}", bot.id), bot.file.clone()) {
                self.findings
                    .push(Finding::error(&bot.file, format!("bot `{}` is in {first} already", bot.id)).at(bot.place));
            }
            bundle.bots.push((bot.file, (bot.doc)(bundle.tenant.id.clone())));
        }
        for webhook in webhooks {
            if let Some(first) = seen.insert(format!("webhook {}", webhook.id), webhook.file.clone()) {
                let message = format!("webhook `{}` is in {first} already", webhook.id);
                self.findings.push(Finding::error(&webhook.file, message).at(webhook.place));
            }
            bundle.webhooks.push(webhook.of(bundle.tenant.id.clone()));
        }
        Some(bundle)
    }
}

/// `name` seen from the file `from`, if it stays within the folder.
fn relative(from: &str, name: &str) -> Option<String> {
    let mut path = PathBuf::from(from);
    path.pop();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    path.to_str().map(|path| path.replace('\\', "/"))
}

/// `90s`, `30m`, `24h`, `7d` in seconds.
pub fn duration_s(text: &str) -> Option<u64> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    text.get(..text.len() - 1)?.parse::<u64>().ok()?.checked_mul(unit)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str) -> SourceFile {
        SourceFile { path: path.into(), content: content.into() }
    }

    #[test]
    fn a_folder_becomes_documents() {
        let bundle = Bundle::read(&[
            file("tenant.yaml", "id: shop\nname: Shop\n"),
            file("bots/shop.yaml", "id: shop\nplugin: flow\ndefinition: shop.flow.yaml\nconnections: {orders: data}\nconversation_ttl: 30m\n"),
            file("bots/shop.flow.yaml", "languages: [en]\n"),
            file("connections/data.yaml", "id: data\nconnector: sheet\nfiles: {orders.csv: ../data/o.csv}\n"),
            file("data/o.csv", "number\n1\n"),
        ])
        .unwrap();
        let (_, bot) = &bundle.bots[0];
        assert_eq!(bot.definition, "languages: [en]\n");
        assert_eq!(bot.conversation_ttl_s, 1800);
        assert_eq!(bundle.files.len(), 1);
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_place() {
        let findings = Bundle::read(&[
            file("bots/a.yaml", "id: A b\nplugin: flow\ndefinition: ../../etc/passwd\n"),
            file("bots/b.yaml", "id: b\nplugin: flow\nconversation_ttl: 24 hours\n"),
            file("bots/c.yaml", "id: c\nplugin: flow\ncolour: red\n"),
            file(
                "connections/d.yaml",
                "id: d\nconnector: tryton\nendpoints:\n  rpc:\n    url: https://x\n    password: hunter2\n",
            ),
        ])
        .unwrap_err();
        let all: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let has = |start: &str, part: &str| {
            assert!(all.iter().any(|f| f.starts_with(start) && f.contains(part)), "{start} {part} not in {all:#?}")
        };
        has("tenant.yaml", "missing");
        has("bots/a.yaml:1:", "can't be a bot's id");
        has("bots/a.yaml:3:", "not there");
        has("bots/b.yaml:3:", "conversation_ttl");
        has("bots/c.yaml:3:", "colour");
        has("connections/d.yaml:6:", "must name a secret");
        assert!(!all.join("").contains("hunter2"));
    }
}
