//! `cache:` of a connection's file, see [`crate::cache`].

use super::yaml::place;
use super::{Finding, Place};
use crate::cache::{CacheDoc, OperationCacheDoc};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::fmt;

/// What stands there: nothing, `off`, or settings by operation, each with its place.
#[derive(Debug, Default)]
pub(super) enum CacheYaml {
    /// As the manifest says.
    #[default]
    Declared,
    /// Nothing is kept.
    Off,
    /// Changed by operation.
    Operations(Vec<(String, Spanned<Value>)>),
}

impl<'de> Deserialize<'de> for CacheYaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = CacheYaml;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off`, or operations like `inventory.availability: {ttl_s: 5}`")
            }
            fn visit_bool<E: Error>(self, on: bool) -> Result<CacheYaml, E> {
                if on { Ok(CacheYaml::Declared) } else { Ok(CacheYaml::Off) }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<CacheYaml, E> {
                match text {
                    "off" => Ok(CacheYaml::Off),
                    "on" => Ok(CacheYaml::Declared),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CacheYaml, A::Error> {
                let mut operations = Vec::new();
                while let Some(entry) = map.next_entry::<String, Spanned<Value>>()? {
                    operations.push(entry);
                }
                Ok(CacheYaml::Operations(operations))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl CacheYaml {
    /// Where each operation stands.
    pub(super) fn places(&self) -> Vec<(String, Place)> {
        let CacheYaml::Operations(operations) = self else { return Vec::new() };
        operations.iter().filter_map(|(name, own)| Some((format!("cache.{name}"), place(own)?))).collect()
    }

    /// As the store keeps it. What can't be read is reported with its line.
    pub(super) fn doc(self, file: &str, findings: &mut Vec<Finding>) -> Option<CacheDoc> {
        let operations = match self {
            CacheYaml::Declared => return None,
            CacheYaml::Off => return Some(CacheDoc { off: true, ..CacheDoc::default() }),
            CacheYaml::Operations(operations) => operations,
        };
        let mut doc = CacheDoc::default();
        for (name, own) in operations {
            let at = place(&own);
            let read = match own.value {
                Value::Bool(false) => Ok(OperationCacheDoc { off: true, ..OperationCacheDoc::default() }),
                Value::String(off) if off == "off" => {
                    Ok(OperationCacheDoc { off: true, ..OperationCacheDoc::default() })
                }
                value => serde_json::from_value(value).map_err(|e| e.to_string()),
            };
            match read {
                Ok(read) => {
                    doc.operations.insert(name, read);
                }
                Err(why) => findings.push(
                    Finding::error(file, format!("cache.{name}: {why}"))
                        .at(at)
                        .help("write `off`, or {ttl_s: 5, stale_while_revalidate_s: 30, stale_if_error_s: 3600}"),
                ),
            }
        }
        Some(doc)
    }
}
