//! What a component offers, and whether its manifest speaks of the same.
//!
//! A manifest names functions (`[[operations]]`) and their arguments (`{sku}` in tags). A name that the component doesn't
//! have would never be looked at: nothing would be kept, and nobody would hear why. The install gate reads what is offered
//! out of compiled code, `confab plugin build` out of the component's types; what is said of it is the same.

use crate::forward::capability_name;
use crate::manifest::{Kind, Manifest, OperationManifest, shown};
use crate::plugin::Shape;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Most functions that a message lists: those of all capabilities of ours together.
const LISTED: usize = 30;

/// Exported interfaces (without version) with their functions, and those with the names of their arguments in snake_case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers(pub BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Offers {
    pub(crate) fn of(shape: &Shape) -> Offers {
        let arguments = |parameters: &Value| {
            let names = parameters.get("properties").and_then(Value::as_object).into_iter().flatten();
            names.map(|(name, _)| name.clone()).collect()
        };
        let interfaces = shape.functions.iter().map(|(interface, functions)| {
            let functions = functions.iter().map(|(name, callable)| (name.clone(), arguments(&callable.parameters)));
            (interface.clone(), functions.collect())
        });
        Offers(interfaces.collect())
    }

    /// The arguments of an operation (`orders.get`), if it is there. An interface is named by its last part.
    pub(crate) fn arguments(&self, operation: &str) -> Option<&Vec<String>> {
        let (interface, function) = operation.split_once('.')?;
        let mut named = self.0.iter().filter(|(path, _)| path.rsplit('/').next() == Some(interface));
        named.find_map(|(_, functions)| functions.get(function))
    }

    /// Why it can't be a plugin of this kind, if it can't.
    pub(crate) fn lacks(&self, kind: Kind) -> Option<String> {
        match kind {
            Kind::Connector if self.0.is_empty() => Some(
                "is of kind connector and exports no capability; nothing is exported: is the line \
                 `confab_plugin_sdk::connector!(Type: orders, health);` missing?"
                    .into(),
            ),
            Kind::Connector if !self.0.keys().any(|path| capability_name(path).is_some()) => {
                let has: Vec<&str> = self.0.keys().map(String::as_str).take(LISTED).collect();
                Some(format!(
                    "is of kind connector but exports no capability, such as confab:capabilities/orders@1.0.0; it exports: {}",
                    shown(&has.join(", "))
                ))
            }
            Kind::Intent if !self.0.contains_key("confab:plugin/dialogue") => Some(
                "is of kind intent but does not export confab:plugin/dialogue@1.0.0: is the line \
                 `confab_plugin_sdk::intent!(Type);` missing?"
                    .into(),
            ),
            _ => None,
        }
    }

    /// What keeps webhooks from being checked, or the manifest's `[webhook]` from meaning anything.
    pub(crate) fn webhook_problem(&self, manifest: &Manifest, imports: &[String]) -> Option<String> {
        let reads = self.0.contains_key("confab:plugin/webhook");
        if manifest.webhook.is_some() && manifest.kind != Kind::Connector {
            return Some("its manifest has [webhook], and only connectors read webhooks: leave it out".into());
        }
        if manifest.webhook.is_some() && !reads {
            return Some(
                "its manifest has [webhook], but the component exports no confab:plugin/webhook@1.0.0: is `webhook` missing in \
                 the line `confab_plugin_sdk::connector!(Type: orders, webhook);`?"
                    .into(),
            );
        }
        if !reads || manifest.kind != Kind::Connector {
            return None;
        }
        if !imports.iter().any(|import| import.split('@').next() == Some("confab:plugin/signatures")) {
            return Some(
                "exports confab:plugin/webhook but does not import confab:plugin/signatures, so it can't tell a platform's request \
                 from anybody's: check the signature of each request there"
                    .into(),
            );
        }
        let secrets = manifest.webhook.iter().flat_map(|webhook| &webhook.secrets).count();
        (secrets == 0).then(|| {
            "exports confab:plugin/webhook, but its manifest names no secret to check requests with: add [[webhook.secrets]] with \
             `name` and `description` to plugin.toml"
                .into()
        })
    }

    /// What the manifest says of functions and arguments that the component doesn't have.
    pub(crate) fn misfits(&self, manifest: &Manifest) -> Vec<String> {
        let mut wrong = Vec::new();
        for operation in &manifest.operations {
            let name = shown(&operation.name);
            let Some(arguments) = self.arguments(&operation.name) else {
                wrong.push(format!(
                    "operation `{name}`: the component has no function `{name}`; it has: {}",
                    self.listed()
                ));
                continue;
            };
            for tag in tags(operation).chain(&operation.invalidates) {
                match placeholders(tag) {
                    None => {
                        wrong.push(format!("operation `{name}`: the tag `{}` has a `{{` without `}}`", shown(tag)));
                    }
                    Some(named) => wrong.extend(
                        named.iter().filter(|named| !arguments.contains(&named.replace('-', "_"))).map(|named| {
                            format!(
                                "operation `{name}`: `{{{}}}` in the tag `{}` is no argument of it; there are: {}",
                                shown(named),
                                shown(tag),
                                list(arguments)
                            )
                        }),
                    ),
                }
            }
        }
        wrong
    }

    fn listed(&self) -> String {
        let of = |path: &String, function: &String| {
            shown(&format!("{}.{function}", path.rsplit('/').next().unwrap_or(path)))
        };
        let all: Vec<String> =
            self.0.iter().flat_map(|(path, functions)| functions.keys().map(move |f| of(path, f))).collect();
        list(&all)
    }
}

/// What may be meant, but looks like a mistake: tags that nothing of this manifest has.
pub fn doubts(manifest: &Manifest) -> Vec<String> {
    let form = |tag: &str| -> String {
        // `stock:{sku}` and `stock:{article}` are the same tags.
        tag.split('{')
            .enumerate()
            .map(|(n, part)| if n == 0 { part } else { part.split_once('}').map_or(part, |p| p.1) })
            .collect::<Vec<_>>()
            .join("{}")
    };
    let known: BTreeSet<String> = manifest.operations.iter().flat_map(tags).map(|tag| form(tag)).collect();
    let mut doubts = Vec::new();
    for operation in &manifest.operations {
        for tag in operation.invalidates.iter().filter(|tag| !known.contains(&form(tag))) {
            doubts.push(format!(
                "operation `{}` invalidates `{}`, a tag that no `cache` here has: is it spelt as there?",
                shown(&operation.name),
                shown(tag)
            ));
        }
    }
    doubts
}

fn tags(operation: &OperationManifest) -> impl Iterator<Item = &String> {
    operation.cache.iter().flat_map(|cache| &cache.tags)
}

/// Names in braces; none where a brace is left open.
fn placeholders(tag: &str) -> Option<Vec<&str>> {
    tag.split('{').skip(1).map(|part| part.split_once('}').map(|(name, _)| name)).collect()
}

fn list(names: &[String]) -> String {
    let more = if names.len() > LISTED { ", ..." } else { "" };
    match names {
        [] => "none".into(),
        names => format!("{}{more}", names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn offers() -> Offers {
        let functions = |all: &[(&str, &[&str])]| {
            all.iter()
                .map(|(name, args)| ((*name).to_owned(), args.iter().map(|a| (*a).to_owned()).collect()))
                .collect()
        };
        Offers(BTreeMap::from([
            ("acme:erp/returns".to_owned(), functions(&[("list", &["customer_id"])])),
            ("confab:capabilities/inventory".to_owned(), functions(&[("availability", &["sku", "location"])])),
            ("confab:plugin/health".to_owned(), functions(&[("check", &[])])),
        ]))
    }

    fn manifest(operations: Value) -> Manifest {
        let manifest =
            json!({"name": "x", "version": "1.0.0", "publisher": "p", "kind": "connector", "operations": operations});
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn a_manifest_speaks_of_functions_and_arguments_that_are_there() {
        let fits = json!([
            {"name": "inventory.availability", "cache": {"ttl_s": 5, "tags": ["stock", "stock:{sku}:{location}"]}},
            {"name": "returns.list", "reads": true, "cache": {"ttl_s": 5, "tags": ["returns:{customer-id}"]}},
        ]);
        assert_eq!(offers().misfits(&manifest(fits)), Vec::<String>::new());
        for (operation, words) in [
            (
                json!({"name": "tickets.shut"}),
                "has no function `tickets.shut`; it has: returns.list, inventory.availability, health.check",
            ),
            (
                json!({"name": "inventory.availability", "invalidates": ["stock:{id}"]}),
                "`{id}` in the tag `stock:{id}` is no argument of it; there are: sku, location",
            ),
            (json!({"name": "inventory.availability", "cache": {"ttl_s": 5, "tags": ["stock:{sku"]}}), "without `}`"),
        ] {
            let said = offers().misfits(&manifest(json!([operation])));
            assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
        }
    }

    #[test]
    fn a_tag_that_nothing_has_is_doubted() {
        let spelt = |tag: &str| {
            doubts(&manifest(json!([
                {"name": "inventory.availability", "cache": {"ttl_s": 5, "tags": ["stock:{sku}"]}},
                {"name": "acme.book", "invalidates": [tag]},
            ])))
        };
        assert!(spelt("stock:{article}").is_empty());
        assert!(spelt("stocks:{article}")[0].contains("`acme.book` invalidates `stocks:{article}`"));
    }

    #[test]
    fn what_exports_nothing_hears_of_the_missing_line() {
        assert!(Offers::default().lacks(Kind::Connector).unwrap().contains("nothing is exported: is the line"));
        assert!(Offers::default().lacks(Kind::Intent).unwrap().contains("intent!"));
        assert_eq!((offers().lacks(Kind::Connector), Offers::default().lacks(Kind::Channel)), (None, None));
        let only = Offers(offers().0.into_iter().filter(|(path, _)| path.ends_with("health")).collect());
        assert!(only.lacks(Kind::Connector).unwrap().ends_with("it exports: confab:plugin/health"));
    }
}
