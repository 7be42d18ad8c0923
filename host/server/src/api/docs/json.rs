//! JSON that keeps the order of members, which in a document for people is the order of reading.
//!
//! serde_json's own value sorts them (its order-keeping variant is a feature that would change every answer of the
//! server). Looking something up that isn't there gives nothing, never an error: a page with a gap beats no page.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// A JSON value.
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// A member.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.members().iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Members of an object; none of anything else.
    pub(super) fn members(&self) -> &[(String, Json)] {
        if let Json::Map(members) = self { members } else { &[] }
    }

    /// Items of an array; none of anything else.
    pub(super) fn items(&self) -> &[Json] {
        if let Json::List(items) = self { items } else { &[] }
    }

    /// Members of a member.
    pub(super) fn under(&self, name: &str) -> &[(String, Json)] {
        self.get(name).map_or(&[], Json::members)
    }

    /// Items of a member.
    pub(super) fn list(&self, name: &str) -> &[Json] {
        self.get(name).map_or(&[], Json::items)
    }

    /// Text; empty for anything else.
    pub(super) fn as_text(&self) -> &str {
        if let Json::Text(text) = self { text } else { "" }
    }

    /// Text of a member; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).map_or("", Json::as_text)
    }

    /// As it stands in a URL or in a sentence.
    pub(super) fn plain(&self) -> String {
        if let Json::Text(text) = self { text.clone() } else { serde_json::to_string(self).unwrap_or_default() }
    }

    /// As it stands in an example: text as it is, anything else as indented JSON.
    pub(super) fn pretty(&self) -> String {
        if let Json::Text(text) = self { text.clone() } else { serde_json::to_string_pretty(self).unwrap_or_default() }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Number(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(serde_json::Number::from_f64(value).map_or(Json::Null, Json::Number))
            }
            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Json::List(items))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Map(members))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(value) => serializer.serialize_bool(*value),
            Json::Number(value) => value.serialize(serializer),
            Json::Text(value) => serializer.serialize_str(value),
            Json::List(items) => serializer.collect_seq(items),
            Json::Map(members) => serializer.collect_map(members.iter().map(|(key, value)| (key, value))),
        }
    }
}
