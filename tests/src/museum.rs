//! The museum of hostile guests: who they are, what each tries, and what stops it.
//!
//! This table is the only list. The tests of the house and the program behind `make hostile` go through it, and a test
//! holds it against the folders `tests/guests` and `tests/guests-wat`: neither may have what the other lacks.
//!
//! An intent plugin is driven by what a visitor says. A connector is driven through the guest `calls`, an intent plugin that
//! calls the function it is told to and says what came of it.

use crate::folder::Folder;
use crate::place;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Guests that try nothing: they are there for others.
pub const HELPERS: &[&str] = &["calls", "costs-nothing", "echo", "kept-stock", "leaves", "told", "trained", "typed"];

/// How an exhibit is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An intent plugin: a visitor says [`Exhibit::says`].
    Intent,
    /// A connector: a visitor has `calls` call this function with [`Exhibit::says`] as arguments.
    Connector {
        /// Capability.
        capability: &'static str,
        /// Function.
        function: &'static str,
        /// Whether it wants an endpoint `api`.
        endpoint: bool,
    },
    /// It can't be loaded. [`Exhibit::stopped_by`] are words of the refusal.
    RefusedAtLoad,
    /// It can be loaded and not be published. [`Exhibit::stopped_by`] are words of the refusal.
    RefusedAtPublish,
}

/// One thing that one guest tries.
#[derive(Clone, Copy, Debug)]
pub struct Exhibit {
    /// The guest, which has the name of its folder and of its plugin.
    pub guest: &'static str,
    /// How it is driven.
    pub kind: Kind,
    /// What makes it try: a message, or a connector's arguments as JSON.
    pub says: &'static str,
    /// What it tries, in one sentence.
    pub tries: &'static str,
    /// Kinds of failure that may stop it, as `confab_plugin_failures_total` has them. One that begins with [`HARMLESS`]
    /// says that it may also come to its end without one, and why nobody is hurt.
    pub stopped_by: &'static [&'static str],
}

/// See [`Exhibit::stopped_by`].
pub const HARMLESS: &str = "harmless: ";

impl Exhibit {
    /// Whether it runs at all.
    pub fn runs(&self) -> bool {
        matches!(self.kind, Kind::Intent | Kind::Connector { .. })
    }

    /// What a visitor says to the bot of the guest's name.
    ///
    /// # Errors
    /// When a connector's arguments are no JSON: the table is wrong.
    pub fn message(&self) -> Result<String> {
        let Kind::Connector { capability, function, .. } = self.kind else { return Ok(self.says.to_owned()) };
        let arguments: Value =
            serde_json::from_str(self.says).with_context(|| format!("{}: {}", self.guest, self.says))?;
        Ok(json!({"capability": capability, "function": function, "arguments": arguments}).to_string())
    }

    /// The kinds of failure without what is harmless.
    pub fn failures(&self) -> impl Iterator<Item = &'static str> {
        self.stopped_by.iter().copied().filter(|kind| !kind.starts_with(HARMLESS))
    }

    /// Whether it may also come to its end.
    pub fn may_be_harmless(&self) -> bool {
        self.stopped_by.iter().any(|kind| kind.starts_with(HARMLESS))
    }

    /// What the visitor reads when the guest fails. `None` where it is in the words of `calls`.
    pub fn fallback(&self) -> Option<String> {
        (self.kind == Kind::Intent).then(|| format!("{} failed", self.guest))
    }

    /// Puts a bot of the guest's name into a tenant's folder, with a connection where it is a connector. `api` is the URL of
    /// its endpoint; the credential is the environment's `TENANT__API_TOKEN`.
    ///
    /// # Errors
    /// When the guest was not built.
    pub fn furnish(&self, folder: &Folder, tenant: &str, api: &str) -> Result<()> {
        let guest = self.guest;
        match self.kind {
            Kind::Connector { capability, endpoint, .. } => {
                let api = endpoint.then_some(api);
                connect(folder, tenant, guest, guest, api)?;
                folder.guest_as(guest, "calls", &[(capability, guest)])
            }
            // What is of which kind, its plugin.toml says; a connector that can't be loaded needs no bot.
            _ if is_connector(guest)? => connect(folder, tenant, guest, guest, None),
            _ => folder.guest(guest),
        }
    }
}

/// Writes a connection that runs a guest. With `api`, that is the URL of its endpoint.
///
/// # Errors
/// When the guest was not built.
pub fn connect(folder: &Folder, tenant: &str, id: &str, guest: &str, api: Option<&str>) -> Result<()> {
    place::plugin(guest)?;
    let mut yaml = format!("id: {id}\nconnector: {guest}\n");
    if let Some(url) = api {
        let tenant = tenant.to_uppercase().replace('-', "_");
        yaml.push_str(&format!("endpoints:\n  api:\n    url: {url}\n    token: env:{tenant}__API_TOKEN\n"));
    }
    folder.write(&format!("connections/{id}.yaml"), &yaml)
}

fn is_connector(guest: &str) -> Result<bool> {
    Ok(std::fs::read_to_string(place::guest(guest)?.join("plugin.toml"))?.contains("kind = \"connector\""))
}

const fn intent(
    guest: &'static str,
    says: &'static str,
    tries: &'static str,
    stopped_by: &'static [&'static str],
) -> Exhibit {
    Exhibit { guest, kind: Kind::Intent, says, tries, stopped_by }
}

/// A connector of `catalog.get`, which has an endpoint.
const fn sender(
    guest: &'static str,
    says: &'static str,
    tries: &'static str,
    stopped_by: &'static [&'static str],
) -> Exhibit {
    let kind = Kind::Connector { capability: "catalog", function: "get", endpoint: true };
    Exhibit { guest, kind, says, tries, stopped_by }
}

/// A connector with a function without arguments.
const fn connector(
    guest: &'static str,
    capability: &'static str,
    function: &'static str,
    tries: &'static str,
    stopped_by: &'static [&'static str],
) -> Exhibit {
    Exhibit { guest, kind: Kind::Connector { capability, function, endpoint: false }, says: "{}", tries, stopped_by }
}

const fn refused(guest: &'static str, kind: Kind, tries: &'static str, words: &'static [&'static str]) -> Exhibit {
    Exhibit { guest, kind, says: "", tries, stopped_by: words }
}

const BEHAVIOUR: &str = "museum:guests/behaviour";
const BROKEN: &str = "museum:guests/broken";

/// All exhibits, by theme.
pub fn exhibits() -> &'static [Exhibit] {
    EXHIBITS
}

#[rustfmt::skip]
const EXHIBITS: &[Exhibit] = &[
    // Computing and waiting.
    intent("spins", "hello", "computes without end", &["fuel"]),
    intent("computes-too-long", "hello", "computes without end on more fuel than its time allows to burn", &["time"]),
    intent("recurses", "hello", "calls itself without end", &["stack"]),
    intent("sleeps", "hello", "waits for an hour in a host call", &["time"]),
    intent("spins-in-realloc", "hello", "computes without end while the host writes to its memory", &["fuel"]),
    connector("spins-at-start", BEHAVIOUR, "run", "computes without end while it is instantiated", &["fuel", "instantiation"]),
    refused("spins-in-prepare", Kind::RefusedAtPublish, "computes without end while it gets ready", &["fuel"]),
    // Memory and tables.
    intent("allocates", "hello", "wants one mebibyte after the other", &["memory"]),
    intent("memory-one-big-grow", "hello", "wants a gibibyte at once", &["memory"]),
    intent("memory-many-small-grows", "hello", "wants one page after the other", &["memory"]),
    connector("memory-many-memories", BEHAVIOUR, "run", "wants 24 MiB in each of four memories", &["memory"]),
    connector("starts-too-big", BEHAVIOUR, "run", "has 90 MiB from the start", &["memory"]),
    refused("memory-too-many-memories", Kind::RefusedAtLoad, "has five memories", &["5 ", "memories", "4 "]),
    connector("table-bomb", BEHAVIOUR, "run", "makes its table longer without end", &["table"]),
    refused("many-tables", Kind::RefusedAtLoad, "has nine tables", &["9 tables", "8 "]),
    // Types.
    connector("deep-recursive-types", "museum:guests/deep", "run", "has types nested as deep as the format allows", &["harmless: a schema has 32 levels and a value is read as deep as its type"]),
    refused("exploding-types", Kind::RefusedAtLoad, "has a type that unfolds into half a million parts", &["too large to describe"]),
    connector("exploding-value", "museum:guests/exploding", "run", "returns 40 bytes that unfold into 2^40 items", &["bytes"]),
    // Strings, lists and pointers across the border.
    intent("giant-string-to-host", "log", "writes a line of 5 MiB", &["bytes"]),
    intent("giant-string-to-host", "call", "calls a capability with 5 MiB of arguments", &["bytes"]),
    intent("giant-string-to-host", "kv", "keeps a value of 5 MiB", &["bytes"]),
    intent("giant-string-from-host", "random", "asks for 4 GiB of random bytes", &["harmless: the host gives 1,024"]),
    intent("bogus-list-length", "outside", "returns a list outside of its memory", &["contract"]),
    intent("bogus-list-length", "endless", "returns a list of 4 G items", &["contract", "bytes"]),
    intent("bogus-list-length", "giant", "returns a text of 100 MB that is not there", &["contract", "bytes"]),
    intent("bogus-list-length", "wraps", "returns a text that goes round the end of memory", &["contract"]),
    intent("unaligned-pointer", "outcome", "returns an outcome at an odd address", &["contract"]),
    intent("unaligned-pointer", "list", "returns a list at an odd address", &["contract"]),
    intent("invalid-utf8", "hello", "returns a text that is no UTF-8", &["contract"]),
    intent("bad-realloc", "hello", "has the host write outside of its memory", &["contract"]),
    intent("unaligned-realloc", "hello", "has the host write to an odd address", &["contract"]),
    intent("calls-host-in-realloc", "hello", "calls the host while the host writes to its memory", &["contract", "trap"]),
    intent("big-state", "hello", "wants to keep a state of 1 MiB", &["contract"]),
    // Traps.
    intent("panics", "panic", "panics", &["trap"]),
    intent("aborts", "hello", "aborts without a word", &["trap"]),
    intent("traps-in-post-return", "trap", "traps when its answer has been read", &["trap"]),
    intent("traps-in-post-return", "spin", "computes without end when its answer has been read", &["fuel"]),
    intent("traps-in-post-return", "call", "calls the host when its answer has been read", &["contract", "trap"]),
    // Values that are none.
    intent("breaks-its-contract", "result", "returns a result that is neither", &["contract"]),
    intent("breaks-its-contract", "option", "returns an option that is neither", &["contract"]),
    intent("breaks-its-contract", "nan", "is sure of an intent to NaN", &["contract", "harmless: it is shown as null"]),
    connector("breaks-its-types", BROKEN, "an-enum", "returns a case that its enum does not have", &["contract"]),
    connector("breaks-its-types", BROKEN, "a-variant", "returns a case that its variant does not have", &["contract"]),
    // In between, so that no ten failures come in a row, after which a plugin is not run.
    connector("breaks-its-types", BROKEN, "a-bool", "returns 7 as a truth", &["harmless: any number but 0 is true"]),
    connector("breaks-its-types", BROKEN, "an-option", "returns an option that is neither", &["contract"]),
    connector("breaks-its-types", BROKEN, "a-result", "returns a result that is neither", &["contract"]),
    connector("breaks-its-types", BROKEN, "a-char", "returns half of a character", &["contract"]),
    connector("breaks-its-types", BROKEN, "some-flags", "sets flags that there are not", &["contract", "harmless: unknown flags are none"]),
    connector("breaks-its-types", BROKEN, "a-number", "returns NaN", &["contract", "harmless: JSON has no NaN, it becomes null"]),
    Exhibit {
        guest: "breaks-its-schema",
        kind: Kind::Connector { capability: "inventory", function: "availability", endpoint: false },
        says: r#"{"sku": "nan"}"#,
        tries: "has NaN articles in stock, as of the 31st of February",
        stopped_by: &["contract", "harmless: JSON has no NaN, it becomes null"],
    },
    // Calls of the host.
    intent("calls-in-a-loop", "hello", "calls a capability without end", &["host-calls"]),
    intent("floods-log", "hello", "writes 1,000 lines of 3 KiB with forged lines in them", &["harmless: 256 lines of 2 KiB are kept, on one line each"]),
    intent("clock-spin", "now", "asks for the time without end", &["host-calls"]),
    intent("clock-spin", "available", "asks what it may call without end", &["host-calls"]),
    intent("clock-spin", "log", "writes lines of 1 MiB without end", &["host-calls", "bytes"]),
    intent("random-flood", "hello", "asks for random bytes without end", &["host-calls"]),
    Exhibit {
        guest: "asks-settings",
        kind: Kind::Connector { capability: "catalog", function: "get", endpoint: false },
        says: r#"{"sku": "x"}"#,
        tries: "asks for its settings without end",
        stopped_by: &["host-calls"],
    },
    intent("kv-flood", "often", "writes to its data without end", &["host-calls", "quota"]),
    intent("kv-flood", "large", "keeps a value of more than 64 KiB", &["harmless: it is told that the value is too large"]),
    intent("kv-flood", "much", "keeps the largest values there may be without end", &["host-calls", "quota", "harmless: it is told that its tenant writes too much"]),
    intent("leaves-too-much", "schedule", "leaves reminders without end", &["host-calls"]),
    intent("leaves-too-much", "emit", "tells others 5 MiB at once", &["bytes"]),
    // WASI.
    intent("handle-leak", "hello", "takes handles and gives none back", &["handles"]),
    intent("wasi-random-flood", "huge", "asks WASI for a gibibyte of random bytes", &["bytes", "contract"]),
    intent("wasi-random-flood", "more", "asks WASI for random bytes without end", &["time", "host-calls", "fuel"]),
    intent("reads-env", "hello", "looks for environment, arguments, files and input", &["harmless: there are none"]),
    refused("imports-wasi-http", Kind::RefusedAtLoad, "wants to send requests past the host", &["wasi:http", "confab:plugin/http"]),
    refused("imports-sockets", Kind::RefusedAtLoad, "wants sockets", &["wasi:sockets", "confab:plugin/http"]),
    refused("imports-unknown", Kind::RefusedAtLoad, "wants a function that nobody has", &["open-the-door"]),
    refused("imports-what-its-kind-may-not", Kind::RefusedAtLoad, "is a connector and wants to call others", &["confab:plugin/call", "intent"]),
    // The network, data and secrets.
    sender("spawns-many-http", r#"{"sku": "x"}"#, "sends requests without end", &["host-calls"]),
    sender("sends-big-bodies", r#"{"sku": "one"}"#, "sends a body of 5 MiB", &["bytes"]),
    sender("sends-big-bodies", r#"{"sku": "many"}"#, "sends 15 bodies of 3 MiB", &["outgoing", "harmless: 16 requests of 4 MiB may be sent"]),
    sender("sends-anything", r#"{"sku": "{\"method\": \"GET\", \"path\": \"/drip\", \"timeout_ms\": 500}"}"#, "waits for an answer that drips", &["harmless: it is told that there was no answer in time"]),
    sender("sends-anything", r#"{"sku": "{\"method\": \"GET\", \"path\": \"/a HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n\"}"}"#, "smuggles a request in a path", &["harmless: it is told that the path is none"]),
    sender("reads-secrets", r#"{"sku": "x"}"#, "tells everything that it comes to see", &["harmless: no credential is among it"]),
    sender("searches-memory", r#"{"sku": "3b7a"}"#, "searches its own memory for a credential", &["harmless: none is there"]),
    intent("scans-others-data", "mine", "looks for data of others", &["harmless: it sees its own"]),
];
