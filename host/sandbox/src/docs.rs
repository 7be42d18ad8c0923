//! Documentation of interfaces for reflection: WIT doc comments are product text.
//!
//! A component built by wit-bindgen has lost its doc comments. Those of our own interfaces are compiled in here from
//! `wit/v1`; those of a plugin's own interfaces come in its `confab:docs` section, made by the same function at build.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use wit_parser::{Resolve, UnresolvedPackageGroup};

/// Text by item: `pkg:ns/interface` for an interface, `pkg:ns/interface#function` for a function, without versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Docs(pub BTreeMap<String, String>);

/// The contract, as shipped: file name and text, one list a package.
pub const CAPABILITIES: &[(&str, &str)] = &[
    ("types.wit", include_str!("../../../wit/v1/capabilities/types.wit")),
    ("orders.wit", include_str!("../../../wit/v1/capabilities/orders.wit")),
    ("inventory.wit", include_str!("../../../wit/v1/capabilities/inventory.wit")),
    ("catalog.wit", include_str!("../../../wit/v1/capabilities/catalog.wit")),
    ("contacts.wit", include_str!("../../../wit/v1/capabilities/contacts.wit")),
    ("leads.wit", include_str!("../../../wit/v1/capabilities/leads.wit")),
    ("tickets.wit", include_str!("../../../wit/v1/capabilities/tickets.wit")),
];
/// See [`CAPABILITIES`].
pub const PLUGIN: &[(&str, &str)] = &[
    ("host.wit", include_str!("../../../wit/v1/plugin/host.wit")),
    ("intent.wit", include_str!("../../../wit/v1/plugin/intent.wit")),
    ("connector.wit", include_str!("../../../wit/v1/plugin/connector.wit")),
];

impl Docs {
    /// The text for an interface or one of its functions.
    pub fn get(&self, interface: &str, function: Option<&str>) -> Option<&str> {
        let path = interface.split('@').next().unwrap_or(interface);
        let key = match function {
            Some(function) => format!("{path}#{function}"),
            None => path.to_owned(),
        };
        self.0.get(&key).map(String::as_str)
    }

    /// The contract's own documentation.
    pub fn builtin() -> &'static Docs {
        static DOCS: OnceLock<Docs> = OnceLock::new();
        DOCS.get_or_init(|| {
            let mut resolve = Resolve::default();
            for files in [CAPABILITIES, PLUGIN] {
                if let Err(e) = push(&mut resolve, files) {
                    tracing::error!(error = %e, "the built-in WIT does not parse");
                }
            }
            Docs::of(&resolve)
        })
    }

    /// Documentation of the WIT files in a directory (and its `deps`).
    ///
    /// # Errors
    /// What the WIT parser says, with file and line.
    pub fn of_directory(dir: &Path) -> Result<Docs, String> {
        let mut resolve = Resolve::default();
        resolve.push_dir(dir).map_err(|e| format!("{e:#}"))?;
        Ok(Docs::of(&resolve))
    }

    fn of(resolve: &Resolve) -> Docs {
        let mut docs = BTreeMap::new();
        for (_, package) in &resolve.packages {
            for (name, id) in &package.interfaces {
                let Some(interface) = resolve.interfaces.get(*id) else { continue };
                let path = format!("{}:{}/{name}", package.name.namespace, package.name.name);
                for (function, item) in &interface.functions {
                    if let Some(text) = &item.docs.contents {
                        docs.insert(format!("{path}#{function}"), text.trim().to_owned());
                    }
                }
                if let Some(text) = &interface.docs.contents {
                    docs.insert(path, text.trim().to_owned());
                }
            }
        }
        Docs(docs)
    }
}

fn push(resolve: &mut Resolve, files: &[(&str, &str)]) -> Result<(), String> {
    let mut map = wit_parser::SourceMap::default();
    for (name, text) in files {
        map.push(Path::new(name), text.to_string());
    }
    let group: UnresolvedPackageGroup = map.parse().map_err(|(_, e)| format!("{e:?}"))?;
    resolve.push_group(group).map_err(|e| format!("{e:#}"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_documents_every_function() {
        let docs = Docs::builtin();
        for (interface, function) in
            [("orders", "get"), ("inventory", "availability"), ("tickets", "close"), ("leads", "qualify")]
        {
            let text = docs.get(&format!("confab:capabilities/{interface}@1.0.0"), Some(function));
            assert!(text.is_some_and(|t| t.len() > 10), "{interface}.{function} has no documentation");
        }
    }
}
