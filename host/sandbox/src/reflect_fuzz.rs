//! Random types of the component model, random values of them, random JSON: what goes out as JSON comes back as the same
//! value, and whatever JSON comes in, it is read or refused with a place.

use crate::engine::code_config;
use crate::reflect::{json_to_val, schema_of, val_to_json};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use wasmtime::Engine;
use wasmtime::component::types::{ComponentItem, Type};
use wasmtime::component::{Component, Val};

/// A type, before it is one of a component.
#[derive(Clone, Debug)]
enum Shape {
    Plain(&'static str),
    List(Box<Shape>),
    Option(Box<Shape>),
    Tuple(Vec<Shape>),
    Record(Vec<Shape>),
    Variant(Vec<Option<Shape>>),
    Enum(usize),
    Flags(usize),
    Result(Option<Box<Shape>>, Option<Box<Shape>>),
}

const PLAIN: &[&str] = &["bool", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64", "char", "string"];

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![
        8 => prop::sample::select(PLAIN).prop_map(Shape::Plain),
        1 => (1..9_usize).prop_map(Shape::Enum),
        1 => (1..9_usize).prop_map(Shape::Flags),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let maybe = prop::option::of(boxed.clone());
        prop_oneof![
            boxed.clone().prop_map(Shape::List),
            // JSON has one null: an option of an option can't be told apart, and no interface of ours has one.
            boxed.prop_filter("option of option", |s| !matches!(**s, Shape::Option(_))).prop_map(Shape::Option),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Tuple),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Shape::Record),
            prop::collection::vec(prop::option::of(inner), 1..4).prop_map(Shape::Variant),
            (maybe.clone(), maybe).prop_map(|(ok, err)| Shape::Result(ok, err)),
        ]
    })
}

/// Writes a type into an interface; records and the like must have names there.
struct Writer {
    text: String,
    next: usize,
}

impl Writer {
    fn named(&mut self, definition: &str) -> String {
        let (index, name) = (self.next, self.next + 1);
        let _ = writeln!(self.text, "(type {definition}) (export \"t{index}\" (type (eq {index})))");
        self.next += 2;
        name.to_string()
    }

    fn anonymous(&mut self, definition: &str) -> String {
        let _ = writeln!(self.text, "(type {definition})");
        self.next += 1;
        (self.next - 1).to_string()
    }

    fn write(&mut self, shape: &Shape) -> String {
        match shape {
            Shape::Plain(name) => (*name).to_owned(),
            Shape::List(inner) => {
                let inner = self.write(inner);
                self.anonymous(&format!("(list {inner})"))
            }
            Shape::Option(inner) => {
                let inner = self.write(inner);
                self.anonymous(&format!("(option {inner})"))
            }
            Shape::Tuple(items) => {
                let items: Vec<String> = items.iter().map(|item| self.write(item)).collect();
                self.anonymous(&format!("(tuple {})", items.join(" ")))
            }
            Shape::Record(fields) => {
                let fields: Vec<String> = fields.iter().map(|field| self.write(field)).collect();
                let fields: Vec<String> =
                    fields.iter().enumerate().map(|(i, field)| format!("(field \"a-field{i}\" {field})")).collect();
                self.named(&format!("(record {})", fields.join(" ")))
            }
            Shape::Variant(cases) => {
                let cases: Vec<Option<String>> =
                    cases.iter().map(|case| case.as_ref().map(|shape| self.write(shape))).collect();
                let cases: Vec<String> = cases
                    .iter()
                    .enumerate()
                    .map(|(i, payload)| format!("(case \"case{i}\" {})", payload.clone().unwrap_or_default()))
                    .collect();
                self.named(&format!("(variant {})", cases.join(" ")))
            }
            Shape::Enum(cases) => {
                let cases: Vec<String> = (0..*cases).map(|i| format!("\"an-enum{i}\"")).collect();
                self.named(&format!("(enum {})", cases.join(" ")))
            }
            Shape::Flags(flags) => {
                let flags: Vec<String> = (0..*flags).map(|i| format!("\"a-flag{i}\"")).collect();
                self.named(&format!("(flags {})", flags.join(" ")))
            }
            Shape::Result(ok, err) => {
                let ok = ok.as_ref().map(|ok| self.write(ok)).unwrap_or_default();
                let err = err.as_ref().map(|err| format!("(error {})", self.write(err))).unwrap_or_default();
                self.anonymous(&format!("(result {ok} {err})"))
            }
        }
    }
}

/// The type as wasmtime has it: a parameter of a function that a component imports.
fn reflected(engine: &Engine, shape: &Shape) -> Type {
    let mut writer = Writer { text: String::new(), next: 0 };
    let parameter = writer.write(shape);
    let text = writer.text;
    let wat =
        format!("(component (import \"t:t/t\" (instance {text} (export \"f\" (func (param \"x\" {parameter}))))))");
    let component = Component::new(engine, wat::parse_str(&wat).unwrap()).unwrap();
    let ty = component.component_type();
    let (_, import) = ty.imports(engine).next().unwrap();
    let ComponentItem::ComponentInstance(instance) = import.ty else { panic!("no instance") };
    instance
        .exports(engine)
        .find_map(|(name, item)| match item.ty {
            ComponentItem::ComponentFunc(function) if name == "f" => function.params().next().map(|(_, ty)| ty),
            _ => None,
        })
        .unwrap()
}

/// A random value of a type.
fn value(shape: &Shape, dice: &mut StdRng) -> Val {
    match shape {
        Shape::Plain("bool") => Val::Bool(dice.random()),
        Shape::Plain("s8") => Val::S8(dice.random()),
        Shape::Plain("u8") => Val::U8(dice.random()),
        Shape::Plain("s16") => Val::S16(dice.random()),
        Shape::Plain("u16") => Val::U16(dice.random()),
        Shape::Plain("s32") => Val::S32(dice.random()),
        Shape::Plain("u32") => Val::U32(dice.random()),
        Shape::Plain("s64") => Val::S64(dice.random()),
        Shape::Plain("u64") => Val::U64(dice.random()),
        Shape::Plain("f32") => Val::Float32(f32::from_bits(dice.random::<u32>() & 0xbf7f_ffff)),
        Shape::Plain("f64") => Val::Float64(f64::from_bits(dice.random::<u64>() & 0xbfef_ffff_ffff_ffff)),
        Shape::Plain("char") => Val::Char(dice.random()),
        Shape::Plain(_) => Val::String((0..dice.random_range(0..6)).map(|_| dice.random::<char>()).collect()),
        Shape::List(inner) => Val::List((0..dice.random_range(0..4)).map(|_| value(inner, dice)).collect()),
        Shape::Option(inner) => Val::Option(dice.random::<bool>().then(|| Box::new(value(inner, dice)))),
        Shape::Tuple(items) => Val::Tuple(items.iter().map(|item| value(item, dice)).collect()),
        Shape::Record(fields) => Val::Record(
            fields.iter().enumerate().map(|(i, field)| (format!("a-field{i}"), value(field, dice))).collect(),
        ),
        Shape::Variant(cases) => {
            let case = dice.random_range(0..cases.len());
            Val::Variant(format!("case{case}"), cases[case].as_ref().map(|shape| Box::new(value(shape, dice))))
        }
        Shape::Enum(cases) => Val::Enum(format!("an-enum{}", dice.random_range(0..*cases))),
        Shape::Flags(flags) => {
            Val::Flags((0..*flags).filter(|_| dice.random()).map(|i| format!("a-flag{i}")).collect())
        }
        Shape::Result(ok, err) => {
            let part = |shape: &Option<Box<Shape>>, dice: &mut StdRng| {
                shape.as_ref().map(|shape| Box::new(value(shape, dice)))
            };
            Val::Result(if dice.random() { Ok(part(ok, dice)) } else { Err(part(err, dice)) })
        }
    }
}

/// Any JSON, with names that types have as well.
fn any_json(dice: &mut StdRng, depth: usize) -> Value {
    match dice.random_range(0..if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(dice.random()),
        2 => json!(dice.random::<i64>() >> dice.random_range(0..63)),
        3 => json!(dice.random::<u64>()),
        4 => json!(f64::from_bits(dice.random())),
        5 => match dice.random_range(0..4) {
            0 => json!(format!("case{}", dice.random_range(0..4))),
            1 => json!(format!("an-enum{}", dice.random_range(0..9))),
            2 => json!("AAEC"),
            _ => json!(dice.random::<char>().to_string()),
        },
        6 => Value::Array((0..dice.random_range(0..4)).map(|_| any_json(dice, depth - 1)).collect()),
        _ => {
            let mut object = Map::new();
            for i in 0..dice.random_range(0..4) {
                let name = match dice.random_range(0..4) {
                    0 => format!("case{i}"),
                    1 => "ok".to_owned(),
                    2 => "err".to_owned(),
                    _ => format!("a_field{i}"),
                };
                object.insert(name, any_json(dice, depth - 1));
            }
            Value::Object(object)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_comes_back_from_json_as_it_was(shape in shapes(), seed in any::<u64>()) {
        let engine = Engine::new(&code_config()).unwrap();
        let ty = reflected(&engine, &shape);
        let schema = schema_of(&ty);
        prop_assert!(schema.is_object());
        let mut dice = StdRng::seed_from_u64(seed);
        for _ in 0..20 {
            let value = value(&shape, &mut dice);
            let json = val_to_json(&value).unwrap();
            let text = json.to_string();
            let back = json_to_val(&ty, &serde_json::from_str(&text).unwrap());
            prop_assert_eq!(back.as_ref(), Ok(&value), "by way of {}", text);
        }
    }

    #[test]
    fn whatever_json_comes_it_is_read_or_refused_and_what_was_read_is_stable(shape in shapes(), seed in any::<u64>()) {
        let engine = Engine::new(&code_config()).unwrap();
        let ty = reflected(&engine, &shape);
        let mut dice = StdRng::seed_from_u64(seed);
        for _ in 0..100 {
            let json = any_json(&mut dice, 4);
            match json_to_val(&ty, &json) {
                Ok(read) => {
                    let again = val_to_json(&read).unwrap();
                    prop_assert_eq!(json_to_val(&ty, &again), Ok(read), "{} became {}", json, again);
                }
                Err(mismatch) => prop_assert!(!mismatch.message.is_empty()),
            }
        }
    }
}
