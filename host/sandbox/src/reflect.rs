//! Types of a component as JSON Schema, and values from and to JSON.
//!
//! WIT names are kebab-case, JSON has snake_case keys, so that templates and clients can write `order.placed_at`.
//! Enum cases, variants and flags keep their WIT spelling. `option` is the value or null, `list<u8>` is base64,
//! `result` inside a value is `{"ok": ..}` or `{"err": ..}`, a variant is `{"case": payload}` or just `"case"`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value, json};
use wasmtime::component::Val;
use wasmtime::component::types::Type;
use wasmtime::{Result, bail, format_err};

/// Deepest nesting of a value. WIT types are finite but may be deep; the host's stack must not be the limit.
const DEPTH: usize = 32;

/// Most parts of one schema. The largest of ours has 60. A kilobyte of pairs of pairs unfolds into half a million, which
/// are 800 MB of JSON (`tests/guests-wat/exploding-types`); what is over says no more than that anything may be there.
const PARTS: usize = 10_000;

/// JSON that doesn't fit a type, with the place as JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct Mismatch {
    /// RFC 6901; empty for the whole.
    pub pointer: String,
    /// What was wanted and what came.
    pub message: String,
}

/// About how many bytes a value takes as JSON.
pub(crate) fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| bytes_of(item) + 1).sum::<usize>() + 2,
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + bytes_of(value) + 4).sum::<usize>() + 2,
    }
}

/// Types that the functions of a component may mention, counted as they are written out: a record of records, each twice
/// as large as the one before, is a small file and a schema without end. Our own six capabilities have 700.
const DESCRIBABLE: u32 = 20_000;

/// Whether all exported functions of a component can be described in reasonable space.
pub(crate) fn is_describable(component: &wasmtime::component::Component) -> bool {
    use wasmtime::component::types::ComponentItem;
    let engine = component.engine();
    let mut left = DESCRIBABLE;
    for (_, item) in component.component_type().exports(engine) {
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        for (_, item) in instance.exports(engine) {
            let ComponentItem::ComponentFunc(ty) = item.ty else { continue };
            let types = ty.params().map(|(_, ty)| ty).chain(ty.results());
            if !ty.params().all(|(name, _)| take_name(name, &mut left)) {
                return false;
            }
            if !take_one(&mut left) || !count_all(types, &mut left, DEPTH) {
                return false;
            }
        }
    }
    true
}

fn count_all(mut types: impl Iterator<Item = Type>, left: &mut u32, depth: usize) -> bool {
    types.all(|ty| count(&ty, left, depth))
}

/// Takes a type and all within it from what is left. Beyond the depth nothing is described, hence nothing counted.
fn count(ty: &Type, left: &mut u32, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    let Some(rest) = left.checked_sub(1) else { return false };
    *left = rest;
    match ty {
        Type::List(list) => count(&list.ty(), left, depth),
        Type::Record(record) => {
            record.fields().all(|field| take_name(field.name, left) && count(&field.ty, left, depth))
        }
        Type::Tuple(tuple) => count_all(tuple.types(), left, depth),
        // A case without payload is a line too.
        Type::Variant(variant) => variant.cases().all(|case| match case.ty {
            Some(ty) => take_name(case.name, left) && count(&ty, left, depth),
            None => take_name(case.name, left) && take_one(left),
        }),
        Type::Enum(cases) => cases.names().all(|name| take_name(name, left) && take_one(left)),
        Type::Flags(flags) => flags.names().all(|name| take_name(name, left) && take_one(left)),
        Type::Option(option) => count(&option.ty(), left, depth),
        Type::Result(result) => count_all(result.ok().into_iter().chain(result.err()), left, depth),
        _ => true,
    }
}

/// Names are written out each time: those of ordinary length are free, a long one counts by its bytes.
fn take_name(name: &str, left: &mut u32) -> bool {
    let rest = left.checked_sub(u32::try_from(name.len() / 64).unwrap_or(u32::MAX));
    *left = rest.unwrap_or(0);
    rest.is_some()
}

fn take_one(left: &mut u32) -> bool {
    let rest = left.checked_sub(1);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

/// JSON Schema (2020-12) of a type. `docs` gives the text for `TYPE.FIELD`.
pub(crate) fn schema_of(ty: &Type) -> Value {
    schema_at(ty, DEPTH, &mut PARTS.clone())
}

fn schema_at(ty: &Type, depth: usize, left: &mut usize) -> Value {
    let (Some(depth), Some(rest)) = (depth.checked_sub(1), left.checked_sub(1)) else { return json!({}) };
    *left = rest;
    match ty {
        Type::Bool => json!({"type": "boolean"}),
        Type::S8 => json!({"type": "integer", "minimum": i8::MIN, "maximum": i8::MAX}),
        Type::U8 => json!({"type": "integer", "minimum": 0, "maximum": u8::MAX}),
        Type::S16 => json!({"type": "integer", "minimum": i16::MIN, "maximum": i16::MAX}),
        Type::U16 => json!({"type": "integer", "minimum": 0, "maximum": u16::MAX}),
        Type::S32 => json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX}),
        Type::U32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
        Type::S64 => json!({"type": "integer"}),
        Type::U64 => json!({"type": "integer", "minimum": 0}),
        Type::Float32 | Type::Float64 => json!({"type": "number"}),
        Type::Char => json!({"type": "string", "minLength": 1, "maxLength": 1}),
        Type::String => json!({"type": "string"}),
        Type::List(list) if matches!(list.ty(), Type::U8) => json!({"type": "string", "contentEncoding": "base64"}),
        Type::List(list) => json!({"type": "array", "items": schema_at(&list.ty(), depth, left)}),
        Type::Record(record) => object_schema(record.fields().map(|f| (f.name.to_owned(), f.ty)), depth, left),
        Type::Tuple(tuple) => {
            let items: Vec<Value> = tuple.types().map(|t| schema_at(&t, depth, left)).collect();
            json!({"type": "array", "prefixItems": items, "items": false, "minItems": items.len()})
        }
        Type::Variant(variant) => {
            let cases: Vec<Value> = variant
                .cases()
                .map(|case| match case.ty {
                    Some(ty) => object_schema([(case.name.to_owned(), ty)].into_iter(), depth, left),
                    None => json!({"const": case.name}),
                })
                .collect();
            json!({"oneOf": cases})
        }
        Type::Enum(cases) => json!({"enum": cases.names().collect::<Vec<_>>()}),
        Type::Option(option) => json!({"anyOf": [schema_at(&option.ty(), depth, left), {"type": "null"}]}),
        Type::Flags(flags) => {
            json!({"type": "array", "uniqueItems": true, "items": {"enum": flags.names().collect::<Vec<_>>()}})
        }
        _ => json!({}),
    }
}

/// Schema of an object with these fields, as for a record or a function's parameters.
fn object_schema(fields: impl Iterator<Item = (String, Type)>, depth: usize, left: &mut usize) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, ty) in fields {
        let key = name.replace('-', "_");
        if !matches!(ty, Type::Option(_)) {
            required.push(Value::String(key.clone()));
        }
        properties.insert(key, schema_at(&ty, depth, left));
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

/// Schema of a function's parameters.
pub(crate) fn parameters_schema<'a>(params: impl Iterator<Item = (&'a str, Type)>) -> Value {
    object_schema(params.map(|(name, ty)| (name.to_owned(), ty)), DEPTH, &mut PARTS.clone())
}

/// Turns kebab-case keys into snake_case, all the way down.
pub fn normalise_keys(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.keys().any(|key| key.contains('-')) {
                *object =
                    std::mem::take(object).into_iter().map(|(key, value)| (key.replace('-', "_"), value)).collect();
            }
            object.values_mut().for_each(normalise_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(normalise_keys),
        _ => {}
    }
}

/// A value as JSON.
pub(crate) fn val_to_json(value: &Val) -> Result<Value> {
    Ok(match value {
        Val::Bool(v) => Value::Bool(*v),
        Val::S8(v) => Value::from(*v),
        Val::U8(v) => Value::from(*v),
        Val::S16(v) => Value::from(*v),
        Val::U16(v) => Value::from(*v),
        Val::S32(v) => Value::from(*v),
        Val::U32(v) => Value::from(*v),
        Val::S64(v) => Value::from(*v),
        Val::U64(v) => Value::from(*v),
        Val::Float32(v) => float(f64::from(*v))?,
        Val::Float64(v) => float(*v)?,
        Val::Char(v) => Value::String(v.to_string()),
        Val::String(v) => Value::String(v.clone()),
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => {
            let bytes: Vec<u8> =
                items.iter().filter_map(|v| if let Val::U8(b) = v { Some(*b) } else { None }).collect();
            Value::String(BASE64.encode(bytes))
        }
        Val::List(items) | Val::Tuple(items) => Value::Array(items.iter().map(val_to_json).collect::<Result<_>>()?),
        Val::Record(fields) => {
            let mut object = Map::with_capacity(fields.len());
            for (name, value) in fields {
                let value = val_to_json(value).map_err(|e| format_err!("{name}: {e}"))?;
                object.insert(name.replace('-', "_"), value);
            }
            Value::Object(object)
        }
        Val::Variant(case, payload) => match payload {
            Some(payload) => json!({ case.as_str(): val_to_json(payload)? }),
            None => Value::String(case.clone()),
        },
        Val::Enum(case) => Value::String(case.clone()),
        Val::Option(inner) => match inner {
            Some(inner) => val_to_json(inner)?,
            None => Value::Null,
        },
        Val::Result(Ok(inner)) => json!({ "ok": inner.as_ref().map(|v| val_to_json(v)).transpose()? }),
        Val::Result(Err(inner)) => json!({ "err": inner.as_ref().map(|v| val_to_json(v)).transpose()? }),
        Val::Flags(flags) => Value::from(flags.clone()),
        _ => bail!("handles, streams and futures can't cross from one plugin to another"),
    })
}

/// JSON has no NaN and no infinities, and neither has any business.
///
/// # Errors
/// For those: the plugin that gave it is to blame, not the one that can't read what it became.
fn float(value: f64) -> Result<Value> {
    Number::from_f64(value).map(Value::Number).ok_or_else(|| format_err!("gave a number that is none ({value})"))
}

/// JSON as a value of a type.
///
/// # Errors
/// [`Mismatch`], with the place.
pub(crate) fn json_to_val(ty: &Type, value: &Value) -> Result<Val, Mismatch> {
    Reader { path: Vec::new() }.read(ty, value)
}

/// A function's arguments from an object by parameter name. Absent optional ones are none; unknown ones are refused.
pub(crate) fn arguments<'a>(
    params: impl Iterator<Item = (&'a str, Type)>,
    object: &Map<String, Value>,
) -> Result<Vec<Val>, Mismatch> {
    let fields: Vec<(String, Type)> = params.map(|(name, ty)| (name.to_owned(), ty)).collect();
    let read = Reader { path: Vec::new() }.fields(&fields, object)?;
    Ok(read.into_iter().map(|(_, value)| value).collect())
}

struct Reader {
    path: Vec<String>,
}

impl Reader {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Mismatch> {
        let pointer = self.path.iter().map(|part| format!("/{part}")).collect();
        Err(Mismatch { pointer, message: message.into() })
    }

    fn within<T>(&mut self, part: String, f: impl FnOnce(&mut Self) -> Result<T, Mismatch>) -> Result<T, Mismatch> {
        self.path.push(part);
        let result = if self.path.len() > DEPTH { self.fail("nested too deep") } else { f(self) };
        self.path.pop();
        result
    }

    fn integer<T: TryFrom<i128>>(&self, value: &Value) -> Result<T, Mismatch> {
        let wide = match value {
            Value::Number(n) => n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from)).or_else(|| {
                // 7.0 is an integer too; clients in JavaScript can't tell.
                n.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9.007e15).map(|f| f as i128)
            }),
            _ => None,
        };
        match wide.and_then(|w| T::try_from(w).ok()) {
            Some(v) => Ok(v),
            None => self.fail(format!("wanted an integer in range, got {}", brief(value))),
        }
    }

    fn number(&self, value: &Value) -> Result<f64, Mismatch> {
        match value.as_f64() {
            Some(v) => Ok(v),
            None => self.fail(format!("wanted a number, got {}", brief(value))),
        }
    }

    fn text<'v>(&self, value: &'v Value) -> Result<&'v str, Mismatch> {
        match value.as_str() {
            Some(v) => Ok(v),
            None => self.fail(format!("wanted a string, got {}", brief(value))),
        }
    }

    fn array<'v>(&self, value: &'v Value) -> Result<&'v Vec<Value>, Mismatch> {
        match value.as_array() {
            Some(v) => Ok(v),
            None => self.fail(format!("wanted an array, got {}", brief(value))),
        }
    }

    fn fields(
        &mut self,
        fields: &[(String, Type)],
        object: &Map<String, Value>,
    ) -> Result<Vec<(String, Val)>, Mismatch> {
        let mut out = Vec::with_capacity(fields.len());
        for (name, ty) in fields {
            let key = if name.contains('-') { name.replace('-', "_") } else { name.clone() };
            let value = match object.get(&key) {
                Some(value) => self.within(key, |r| r.read(ty, value))?,
                None if matches!(ty, Type::Option(_)) => Val::Option(None),
                None if matches!(ty, Type::List(_)) => Val::List(Vec::new()),
                None => return self.fail(format!("`{key}` is missing")),
            };
            out.push((name.clone(), value));
        }
        if let Some(unknown) = object.keys().find(|key| !fields.iter().any(|(name, _)| name.replace('-', "_") == **key))
        {
            let known: Vec<String> = fields.iter().map(|(name, _)| name.replace('-', "_")).collect();
            return self.fail(format!("`{unknown}` is unknown; there are: {}", known.join(", ")));
        }
        Ok(out)
    }

    fn read(&mut self, ty: &Type, value: &Value) -> Result<Val, Mismatch> {
        Ok(match ty {
            Type::Bool => match value.as_bool() {
                Some(v) => Val::Bool(v),
                None => return self.fail(format!("wanted true or false, got {}", brief(value))),
            },
            Type::S8 => Val::S8(self.integer(value)?),
            Type::U8 => Val::U8(self.integer(value)?),
            Type::S16 => Val::S16(self.integer(value)?),
            Type::U16 => Val::U16(self.integer(value)?),
            Type::S32 => Val::S32(self.integer(value)?),
            Type::U32 => Val::U32(self.integer(value)?),
            Type::S64 => Val::S64(self.integer(value)?),
            Type::U64 => Val::U64(self.integer(value)?),
            Type::Float32 => match self.number(value)? as f32 {
                small if small.is_finite() => Val::Float32(small),
                _ => return self.fail(format!("wanted a number of 32 bits, got {}", brief(value))),
            },
            Type::Float64 => Val::Float64(self.number(value)?),
            Type::Char => {
                let mut chars = self.text(value)?.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) => Val::Char(c),
                    _ => return self.fail("wanted one character"),
                }
            }
            Type::String => Val::String(self.text(value)?.to_owned()),
            Type::List(list) if matches!(list.ty(), Type::U8) && value.is_string() => {
                match BASE64.decode(self.text(value)?) {
                    Ok(bytes) => Val::List(bytes.into_iter().map(Val::U8).collect()),
                    Err(e) => return self.fail(format!("wanted base64: {e}")),
                }
            }
            Type::List(list) => {
                let item_type = list.ty();
                let mut items = Vec::new();
                for (i, item) in self.array(value)?.iter().enumerate() {
                    items.push(self.within(i.to_string(), |r| r.read(&item_type, item))?);
                }
                Val::List(items)
            }
            Type::Record(record) => {
                let Some(object) = value.as_object() else {
                    return self.fail(format!("wanted an object, got {}", brief(value)));
                };
                let fields: Vec<(String, Type)> = record.fields().map(|f| (f.name.to_owned(), f.ty)).collect();
                Val::Record(self.fields(&fields, object)?)
            }
            Type::Tuple(tuple) => {
                let types: Vec<Type> = tuple.types().collect();
                let items = self.array(value)?;
                if items.len() != types.len() {
                    return self.fail(format!("wanted {} items, got {}", types.len(), items.len()));
                }
                let mut out = Vec::with_capacity(types.len());
                for (i, (ty, item)) in types.iter().zip(items).enumerate() {
                    out.push(self.within(i.to_string(), |r| r.read(ty, item))?);
                }
                Val::Tuple(out)
            }
            Type::Variant(variant) => {
                let (name, payload) = match value {
                    Value::String(name) => (name.as_str(), None),
                    Value::Object(object) if object.len() == 1 => match object.iter().next() {
                        Some((name, payload)) => (name.as_str(), Some(payload)),
                        None => return self.fail("wanted a case"),
                    },
                    _ => return self.fail(format!("wanted one case, got {}", brief(value))),
                };
                let Some(case) = variant.cases().find(|case| case.name == name || case.name.replace('-', "_") == name)
                else {
                    return self.fail(format!("`{name}` is no case of this"));
                };
                let case_name = case.name.to_owned();
                match (case.ty, payload) {
                    (Some(ty), Some(payload)) => {
                        let inner = self.within(case_name.clone(), |r| r.read(&ty, payload))?;
                        Val::Variant(case_name, Some(Box::new(inner)))
                    }
                    (None, None) => Val::Variant(case_name, None),
                    (Some(_), None) => return self.fail(format!("case `{case_name}` needs a value")),
                    (None, Some(_)) => return self.fail(format!("case `{case_name}` has no value")),
                }
            }
            Type::Enum(cases) => {
                let name = self.text(value)?;
                if !cases.names().any(|case| case == name) {
                    let all: Vec<&str> = cases.names().collect();
                    return self.fail(format!("`{name}` is none of: {}", all.join(", ")));
                }
                Val::Enum(name.to_owned())
            }
            Type::Option(_) if value.is_null() => Val::Option(None),
            Type::Option(option) => Val::Option(Some(Box::new(self.read(&option.ty(), value)?))),
            Type::Result(result) => {
                let object = value.as_object().filter(|o| o.len() == 1);
                let side = |r: &mut Self, ty: Option<Type>, inner: &Value| -> Result<Option<Box<Val>>, Mismatch> {
                    ty.map(|ty| r.read(&ty, inner).map(Box::new)).transpose()
                };
                match object.and_then(|o| o.iter().next()) {
                    Some((key, inner)) if key == "ok" => Val::Result(Ok(side(self, result.ok(), inner)?)),
                    Some((key, inner)) if key == "err" => Val::Result(Err(side(self, result.err(), inner)?)),
                    _ => return self.fail("wanted {\"ok\": ..} or {\"err\": ..}"),
                }
            }
            Type::Flags(flags) => {
                let mut set = Vec::new();
                for item in self.array(value)? {
                    let name = self.text(item)?;
                    if !flags.names().any(|flag| flag == name) {
                        return self.fail(format!("`{name}` is no flag of this"));
                    }
                    set.push(name.to_owned());
                }
                Val::Flags(set)
            }
            _ => return self.fail("this type can't be given as JSON"),
        })
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 40 { text } else { format!("{}...", text.chars().take(40).collect::<String>()) }
}

/// Splits the value of a function that returns `result<T, E>`.
pub(crate) fn split_result(value: Val) -> Result<Result<Value, Value>> {
    let part = |inner: Option<Box<Val>>| inner.map_or(Ok(Value::Null), |v| val_to_json(&v));
    match value {
        Val::Result(Ok(inner)) => Ok(Ok(part(inner)?)),
        Val::Result(Err(inner)) => Ok(Err(part(inner)?)),
        other => val_to_json(&other).map(Ok).map_err(|e| format_err!("{e}")),
    }
}
