//! A body becomes a typed shape, or an error that names the place and what was expected there.
//!
//! Two steps: bytes to a JSON value (strict: a depth limit, no key twice), and the value to a
//! shape through a `serde` deserializer of our own, because the usual ones quote the value they
//! refuse, and what a client wrote is nobody's business in an error or a log. It knows no API.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde_json::{Map, Value};

use crate::Limits;
use crate::trouble::{Kind, Trouble};

/// Reads a body.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], limits: &Limits) -> Result<T, Trouble> {
    shape(&json(body, limits)?)
}

/// The JSON value of a body.
pub(crate) fn json(body: &[u8], limits: &Limits) -> Result<Value, Trouble> {
    let (depth, values) = extent(body);
    let (depth_max, values_max) = (limits.json_depth, limits.json_values);
    if depth > depth_max {
        return Err(Trouble::at("", format!("the body is nested deeper than {depth_max}")));
    }
    if values > values_max {
        return Err(Trouble::at("", format!("the body has more than {values_max} values")));
    }
    serde_json::from_slice::<Strict>(body).map(|strict| strict.0).map_err(|error| {
        let place = format!("line {} column {}", error.line(), error.column());
        let said = error.to_string();
        // A few causes are worth their own words. The others are told by place alone: the
        // reader's message may quote the body.
        let what = if body.is_empty() {
            "the body is empty; a JSON object was expected".to_owned()
        } else if said.starts_with(TWICE) {
            format!("a key stands twice in one object, at {place}")
        } else if said.starts_with("number out of range") {
            format!("a number is out of range, at {place}")
        } else if error.is_eof() {
            format!("the body ends within its JSON, at {place}")
        } else {
            format!("the body is not JSON, at {place}")
        };
        Trouble::new(Kind::Invalid, what)
    })
}

/// A value as a shape.
pub(crate) fn shape<T: DeserializeOwned>(value: &Value) -> Result<T, Trouble> {
    T::deserialize(Node(value)).map_err(|refused| Trouble::at(refused.path(), &refused.what))
}

/// How deep objects and lists go, and how many values there are at most, without building anything.
fn extent(body: &[u8]) -> (usize, usize) {
    let (mut depth, mut deepest, mut values) = (0_usize, 0, 1);
    let (mut in_text, mut escaped) = (false, false);
    for &byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
                values += 1;
            }
            b',' => values += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (deepest, values)
}

const TWICE: &str = "twice";

/// A JSON value in which no object has a key twice: of two, each reader may see another.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Strict, D::Error> {
        struct Build;
        impl<'de> Visitor<'de> for Build {
            type Value = Strict;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Strict, E> {
                Ok(Strict(Value::Bool(value)))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Strict, E> {
                Ok(Strict(value.into()))
            }
            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict(Value::Null))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                let mut list = Vec::new();
                while let Some(Strict(value)) = seq.next_element()? {
                    list.push(value);
                }
                Ok(Strict(Value::Array(list)))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut object = Map::new();
                while let Some(key) = map.next_key::<String>()? {
                    let Strict(value) = map.next_value()?;
                    if object.insert(key, value).is_some() {
                        return Err(de::Error::custom(TWICE));
                    }
                }
                Ok(Strict(Value::Object(object)))
            }
        }
        from.deserialize_any(Build)
    }
}

/// Why a value is not of a shape: the way to it, innermost step first, and what is wrong.
#[derive(Debug)]
struct Refused {
    steps: Vec<Step>,
    what: String,
}

#[derive(Debug)]
enum Step {
    Key(String),
    At(usize),
}

impl Refused {
    fn new(what: String) -> Refused {
        Refused { steps: Vec::new(), what }
    }

    fn below(mut self, step: Step) -> Refused {
        self.steps.push(step);
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::At(index) => path += &format!("[{index}]"),
                Step::Key(key) if path.is_empty() => path += key,
                Step::Key(key) => path += &format!(".{key}"),
            }
        }
        path
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refused {}

/// What `serde` calls a thing, in words that a person who writes JSON has for it.
fn expected(exp: &dyn de::Expected) -> String {
    let said = exp.to_string();
    match said.as_str() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "an integer of 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "a map" => "an object".into(),
        _ if said.starts_with("struct ") => "an object".into(),
        _ => said,
    }
}

fn got(unexpected: de::Unexpected<'_>) -> &'static str {
    use de::Unexpected as U;
    match unexpected {
        U::Bool(_) => "true or false",
        U::Unsigned(_) | U::Signed(_) | U::Float(_) => "a number",
        U::Str(_) | U::Char(_) | U::Bytes(_) => "a string",
        U::Unit | U::Option => "null",
        U::Seq => "a list",
        _ => "an object",
    }
}

impl de::Error for Refused {
    fn custom<T: fmt::Display>(what: T) -> Refused {
        Refused::new(what.to_string())
    }
    fn invalid_type(unexpected: de::Unexpected<'_>, exp: &dyn de::Expected) -> Refused {
        let (wanted, got) = (expected(exp), got(unexpected));
        Refused::new(if wanted == got {
            format!("expected {wanted} of another value")
        } else {
            format!("expected {wanted}, got {got}")
        })
    }
    fn invalid_value(unexpected: de::Unexpected<'_>, exp: &dyn de::Expected) -> Refused {
        let got = match unexpected {
            de::Unexpected::Signed(_) | de::Unexpected::Unsigned(_) => "an integer out of range",
            other => got(other),
        };
        Refused::new(format!("expected {}, got {got}", expected(exp)))
    }
    fn invalid_length(length: usize, exp: &dyn de::Expected) -> Refused {
        Refused::new(format!("expected {}, got {length} elements", expected(exp)))
    }
    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Refused {
        Refused::new(format!("expected one of {}", known.join(", ")))
    }
    fn missing_field(field: &'static str) -> Refused {
        Refused::new("is missing".to_owned()).below(Step::Key(field.to_owned()))
    }
}

/// A value to be read into a shape.
#[derive(Clone, Copy)]
struct Node<'a>(&'a Value);

impl<'de> de::Deserializer<'de> for Node<'de> {
    type Error = Refused;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_u64(value),
                (_, Some(value), _) => visitor.visit_i64(value),
                (.., Some(value)) => visitor.visit_f64(value),
                _ => Err(Refused::new("is no number that can be read".to_owned())),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(list) => visitor.visit_seq(List { rest: list.iter(), index: 0 }),
            Value::Object(object) => visitor.visit_map(Object { rest: object.iter(), here: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refused> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0 {
            Value::String(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(Refused::new(format!("expected one of {}", variants.join(", ")))),
        }
    }

    // By itself `serde` takes a list for a struct, field by field; no API here means that.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refused> {
        match self.0 {
            Value::Array(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    // An unknown field is not looked into.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refused> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map identifier
    }
}

struct List<'de> {
    rest: std::slice::Iter<'de, Value>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for List<'de> {
    type Error = Refused;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Refused> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(Node(value)).map(Some).map_err(|refused| refused.below(Step::At(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Object<'de> {
    rest: serde_json::map::Iter<'de>,
    here: Option<(&'de String, &'de Value)>,
}

impl<'de> de::MapAccess<'de> for Object<'de> {
    type Error = Refused;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Refused> {
        self.here = self.rest.next();
        let Some((key, _)) = self.here else { return Ok(None) };
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Refused> {
        let Some((key, value)) = self.here.take() else {
            return Err(Refused::new("has a value without a key".to_owned()));
        };
        seed.deserialize(Node(value)).map_err(|refused| refused.below(Step::Key(key.clone())))
    }
}

/// One thing or a list of them, as many fields of these APIs are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum OneOr<T> {
    /// A string.
    One(String),
    /// A list.
    Many(Vec<T>),
}

impl<T: JsonSchema> JsonSchema for OneOr<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}s", T::schema_name()).into()
    }

    fn schema_id() -> Cow<'static, str> {
        format!("{}::OneOr<{}>", module_path!(), T::schema_id()).into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let of = generator.subschema_for::<T>();
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": of}]})
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOr<T> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<OneOr<T>, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = OneOr<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list")
            }
            fn visit_str<E>(self, text: &str) -> Result<OneOr<T>, E> {
                Ok(OneOr::One(text.to_owned()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<OneOr<T>, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = seq.next_element()? {
                    list.push(element);
                }
                Ok(OneOr::Many(list))
            }
        }
        from.deserialize_any(Either(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Body {
        name: String,
        #[serde(default)]
        heat: Option<f32>,
        #[serde(default)]
        count: Option<usize>,
        #[serde(default)]
        turns: Vec<Turn>,
        #[serde(default)]
        stop: Option<OneOr<String>>,
        #[serde(default)]
        role: Option<Who>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Turn {
        text: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Who {
        Me,
        You,
    }

    #[test]
    fn a_wrong_shape_is_told_by_its_place_and_never_by_its_value() {
        let rows = [
            (r#"{"name":"a"}"#, None),
            (r#"{"name":"a","more":{"secret":1},"heat":null,"count":3}"#, None),
            (r#"{"name":"a","stop":"x","role":"you","heat":1}"#, None),
            (r#"{}"#, Some("name: is missing")),
            (r#"[]"#, Some("expected an object, got a list")),
            (r#""secret""#, Some("expected an object, got a string")),
            (r#"{"name":7}"#, Some("name: expected a string, got a number")),
            (r#"{"name":"a","heat":"secret"}"#, Some("heat: expected a number, got a string")),
            (
                r#"{"name":"a","count":-1}"#,
                Some("count: expected an integer of 0 or more, got an integer out of range"),
            ),
            (
                r#"{"name":"a","count":1.5}"#,
                Some("count: expected an integer of 0 or more, got a number"),
            ),
            (
                r#"{"name":"a","turns":[{"text":"x"},{"text":["secret"]}]}"#,
                Some("turns[1].text: expected a string, got a list"),
            ),
            (r#"{"name":"a","turns":[{}]}"#, Some("turns[0].text: is missing")),
            (r#"{"name":"a","stop":3}"#, Some("stop: expected a string or a list, got a number")),
            (r#"{"name":"a","stop":["x",3]}"#, Some("stop[1]: expected a string, got a number")),
            (r#"{"name":"a","role":"secret"}"#, Some("role: expected one of me, you")),
            (r#"{"name":"a","role":3}"#, Some("role: expected one of me, you")),
            (
                r#"{"name":"a","name":"b"}"#,
                Some("a key stands twice in one object, at line 1 column 23"),
            ),
            (
                r#"{"name":"a","x":{"y":1,"y":2}}"#,
                Some("a key stands twice in one object, at line 1 column 29"),
            ),
            (r#"{"name":"a","heat":1e400}"#, Some("a number is out of range, at line 1 column 24")),
            (r#"{"name":"secret"#, Some("the body ends within its JSON, at line 1 column 15")),
            (r#"secret"#, Some("the body is not JSON, at line 1 column 1")),
            ("", Some("the body is empty; a JSON object was expected")),
        ];
        for (body, expected) in rows {
            let said = read::<Body>(body.as_bytes(), &Limits::default())
                .err()
                .map(|t| t.message.into_owned());
            assert_eq!(said.as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn depth_is_counted_outside_of_texts() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let rows = [
            ("1".to_owned(), (0, 1)),
            ("{}".to_owned(), (1, 2)),
            (r#"["[[[,,,", "\"[["]"#.to_owned(), (1, 3)),
            (r#"{"a":[1,2],"b":3}"#.to_owned(), (2, 5)),
            (nested(9), (9, 10)),
            ("]]]]".to_owned(), (0, 1)),
        ];
        for (text, expected) in rows {
            assert_eq!(extent(text.as_bytes()), expected, "{text}");
        }
        let limits = Limits { json_values: 1000, ..Limits::default() };
        let good = |text: String| json(text.as_bytes(), &limits).is_ok();
        assert!(good(nested(127)) && !good(nested(128)));
        assert!(!good("[".repeat(100_000)));
        let numbers = |n: usize| format!("[{}]", vec!["0"; n].join(","));
        assert!(good(numbers(999)) && !good(numbers(1000)));
    }
}
