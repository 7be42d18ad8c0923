//! YAML as a tree that knows its places.
//!
//! Typed deserialisation stops at its first error. A person who writes a bot wants all of them at once, so
//! YAML becomes this small tree first, and the readers of the sections walk it and collect what they find.
//! Only an error of YAML itself (indentation, quotes) is reported alone: nothing can be read behind it.

use super::report::{Place, Report};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};
use std::fmt;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Yaml,
}

/// What YAML can say.
#[derive(Clone, Debug)]
pub(crate) enum Yaml {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) place: Place,
    pub(crate) name: String,
}

impl Node {
    /// What kind of value this is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "true or false",
            Yaml::Integer(_) | Yaml::Float(_) => "a number",
            Yaml::Text(_) => "a text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a map",
        }
    }

    /// The text of a scalar; numbers and booleans count, as people forget quotes.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.value {
            Yaml::Text(text) => Some(text.clone()),
            Yaml::Integer(number) => Some(number.to_string()),
            Yaml::Float(number) => Some(number.to_string()),
            Yaml::Bool(value) => Some(value.to_string()),
            _ => None,
        }
    }

    /// The value of a key, without marking it as read.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        match &self.value {
            Yaml::Map(entries) => entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// This node and all below it.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(&Node)) {
        visit(self);
        match &self.value {
            Yaml::List(items) => items.iter().for_each(|item| item.walk(visit)),
            Yaml::Map(entries) => entries.iter().for_each(|(_, node)| node.walk(visit)),
            _ => {}
        }
    }
}

/// Reads a document. `None` when YAML itself is broken; the report says where.
pub(crate) fn read(source: &str, report: &mut Report) -> Option<Node> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
        // A bot is written by hand; what is larger is a mistake or an attack ("billion laughs").
        budget: serde_saphyr::budget! { max_nodes: 200_000, max_depth: 64 },
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(source, options) {
        Ok(raw) => {
            let node = place(raw);
            duplicates(&node, report);
            Some(node)
        }
        Err(error) => {
            let place = error.location().map_or(Place::default(), place_of);
            report.error(
                place,
                format!("this is not valid YAML: {error}"),
                "look at indentation, quotes and colons around this line",
            );
            None
        }
    }
}

fn duplicates(node: &Node, report: &mut Report) {
    node.walk(&mut |node| {
        if let Yaml::Map(entries) = &node.value {
            for (at, (key, _)) in entries.iter().enumerate() {
                if let Some((first, _)) = entries.iter().take(at).find(|(other, _)| other.name == key.name) {
                    report.error(
                        key.place,
                        format!("`{}` is here twice; the first one is in line {}", key.name, first.place.line),
                        "remove one of them",
                    );
                }
            }
        }
    });
}

fn place_of(location: serde_saphyr::Location) -> Place {
    Place {
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
    }
}

fn place(raw: Spanned<Raw>) -> Node {
    let value = match raw.value {
        Raw::Null => Yaml::Null,
        Raw::Bool(value) => Yaml::Bool(value),
        Raw::Integer(value) => Yaml::Integer(value),
        Raw::Float(value) => Yaml::Float(value),
        Raw::Text(value) => Yaml::Text(value),
        Raw::List(items) => Yaml::List(items.into_iter().map(place).collect()),
        Raw::Map(entries) => Yaml::Map(
            entries
                .into_iter()
                .map(|(key, node)| (Key { place: place_of(key.referenced), name: key.value }, place(node)))
                .collect(),
        ),
    };
    Node { place: place_of(raw.referenced), value }
}

/// The tree as the deserialiser gives it.
enum Raw {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Raw;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_none<E>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
                Ok(Raw::Integer(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
                Ok(i64::try_from(value).map_or_else(|_| Raw::Text(value.to_string()), Raw::Integer))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
                Ok(Raw::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
                Ok(Raw::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Raw, E> {
                Ok(Raw::Text(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Raw::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = access.next_entry()? {
                    entries.push(entry);
                }
                Ok(Raw::Map(entries))
            }
        }
        deserializer.deserialize_any(Any)
    }
}
