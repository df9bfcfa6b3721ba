//! The types that structs are made of.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::schema::{INTEGER_MAX, LIST_MAX, MAP_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX};
use super::{Generable, Misfit, Scope};
use crate::partial::Draft;

/// What a value is, for messages.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

pub(super) fn other(wanted: &str, value: &Value) -> Misfit {
    Misfit::new(format!("expected {wanted}, found {}", kind(value)))
}

/// A whole number, also where it is written as `3.0`.
pub(super) fn whole(value: &Value) -> Option<i128> {
    let number = value.as_number()?;
    let float = || {
        let float = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e30)?;
        Some(float as i128)
    };
    number.as_i64().map(i128::from).or(number.as_u64().map(i128::from)).or_else(float)
}

macro_rules! integers {
    ($($of:ty),*) => {$(
        impl Generable for $of {
            type Partial = $of;

            fn schema(_: &mut Scope) -> Option<Value> {
                // Where a type goes farther than all JSON readers do, so far as they do.
                let least = i64::try_from(<$of>::MIN).unwrap_or(-INTEGER_MAX).max(-INTEGER_MAX);
                let most = i64::try_from(<$of>::MAX).unwrap_or(INTEGER_MAX).min(INTEGER_MAX);
                Some(json!({"type": "integer", "minimum": least, "maximum": most}))
            }

            fn read(value: &Value) -> Result<$of, Misfit> {
                let whole = whole(value).ok_or_else(|| other("a whole number", value))?;
                <$of>::try_from(whole).map_err(|_| {
                    let wanted = format!("a number from {} to {}", <$of>::MIN, <$of>::MAX);
                    other(&wanted, value)
                })
            }

            fn glimpse(draft: &Draft) -> Option<$of> {
                <$of>::read(&draft.value()).ok()
            }
        }
    )*};
}

integers!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

macro_rules! floats {
    ($($of:ty),*) => {$(
        impl Generable for $of {
            type Partial = $of;

            fn schema(_: &mut Scope) -> Option<Value> {
                // Without a bound of digits a number has no end.
                Some(json!({
                    "type": "number", "minimum": -1e12, "maximum": 1e12, "multipleOf": 1e-6
                }))
            }

            fn read(value: &Value) -> Result<$of, Misfit> {
                value.as_f64().map(|n| n as $of).ok_or_else(|| other("a number", value))
            }

            fn glimpse(draft: &Draft) -> Option<$of> {
                <$of>::read(&draft.value()).ok()
            }
        }
    )*};
}

floats!(f32, f64);

impl Generable for bool {
    type Partial = bool;

    fn schema(_: &mut Scope) -> Option<Value> {
        Some(json!({"type": "boolean"}))
    }

    fn read(value: &Value) -> Result<bool, Misfit> {
        value.as_bool().ok_or_else(|| other("true or false", value))
    }

    fn glimpse(draft: &Draft) -> Option<bool> {
        if let Draft::Bool(value) = draft { Some(*value) } else { None }
    }
}

impl Generable for String {
    type Partial = String;

    fn schema(_: &mut Scope) -> Option<Value> {
        Some(json!({"type": "string", "maxLength": TEXT_CHARS_MAX}))
    }

    fn read(value: &Value) -> Result<String, Misfit> {
        value.as_str().map(str::to_owned).ok_or_else(|| other("a text", value))
    }

    fn glimpse(draft: &Draft) -> Option<String> {
        if let Draft::Text { text, .. } = draft { Some(text.clone()) } else { None }
    }
}

impl Generable for char {
    type Partial = char;

    fn schema(_: &mut Scope) -> Option<Value> {
        Some(json!({"type": "string", "minLength": 1, "maxLength": 1}))
    }

    fn read(value: &Value) -> Result<char, Misfit> {
        let mut letters = value.as_str().unwrap_or_default().chars();
        match (letters.next(), letters.next()) {
            (Some(letter), None) => Ok(letter),
            _ => Err(other("one character", value)),
        }
    }

    fn glimpse(draft: &Draft) -> Option<char> {
        draft.whole_text()?.chars().next()
    }
}

impl<T: Generable> Generable for Box<T> {
    type Partial = Box<T::Partial>;

    fn schema(scope: &mut Scope) -> Option<Value> {
        T::schema(scope)
    }

    fn read(value: &Value) -> Result<Box<T>, Misfit> {
        T::read(value).map(Box::new)
    }

    fn glimpse(draft: &Draft) -> Option<Box<T::Partial>> {
        T::glimpse(draft).map(Box::new)
    }

    fn absent() -> Option<Box<T>> {
        T::absent().map(Box::new)
    }
}

impl<T: Generable> Generable for Option<T> {
    /// `Some(None)` in a field is a `null` that was written.
    type Partial = Option<T::Partial>;

    fn schema(scope: &mut Scope) -> Option<Value> {
        let none = json!({"type": "null"});
        Some(match T::schema(scope) {
            Some(some) => json!({"anyOf": [some, none]}),
            None => none,
        })
    }

    fn read(value: &Value) -> Result<Option<T>, Misfit> {
        if value.is_null() { Ok(None) } else { T::read(value).map(Some) }
    }

    fn glimpse(draft: &Draft) -> Option<Option<T::Partial>> {
        if *draft == Draft::Null { Some(None) } else { T::glimpse(draft).map(Some) }
    }

    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

fn items<T: Generable>(value: &Value) -> Result<Vec<T>, Misfit> {
    let items = value.as_array().ok_or_else(|| other("a list", value))?;
    let read = |(nth, item)| T::read(item).map_err(|misfit: Misfit| misfit.item(nth));
    items.iter().enumerate().map(read).collect()
}

fn glimpsed<T: Generable>(draft: &Draft) -> Option<Vec<T::Partial>> {
    let Draft::List { items, .. } = draft else { return None };
    // What comes after one that cannot be told yet would stand in the wrong place.
    Some(items.iter().map_while(T::glimpse).collect())
}

impl<T: Generable> Generable for Vec<T> {
    type Partial = Vec<T::Partial>;

    fn schema(scope: &mut Scope) -> Option<Value> {
        Some(match T::schema(scope) {
            Some(items) => json!({"type": "array", "items": items, "maxItems": LIST_MAX}),
            None => json!({"type": "array", "maxItems": 0}),
        })
    }

    fn read(value: &Value) -> Result<Vec<T>, Misfit> {
        items(value)
    }

    fn glimpse(draft: &Draft) -> Option<Vec<T::Partial>> {
        glimpsed::<T>(draft)
    }
}

impl<T: Generable, const N: usize> Generable for [T; N] {
    type Partial = Vec<T::Partial>;

    fn schema(scope: &mut Scope) -> Option<Value> {
        let items = T::schema(scope)?;
        Some(json!({"type": "array", "items": items, "minItems": N, "maxItems": N}))
    }

    fn read(value: &Value) -> Result<[T; N], Misfit> {
        let wrong = |items: Vec<T>| {
            Misfit::new(format!("expected a list of {N}, found one of {}", items.len()))
        };
        <[T; N]>::try_from(items(value)?).map_err(wrong)
    }

    fn glimpse(draft: &Draft) -> Option<Vec<T::Partial>> {
        glimpsed::<T>(draft)
    }
}

impl<T: Generable> Generable for BTreeMap<String, T> {
    type Partial = BTreeMap<String, T::Partial>;

    fn schema(scope: &mut Scope) -> Option<Value> {
        let names = format!("^.{{1,{NAME_CHARS_MAX}}}$");
        Some(match T::schema(scope) {
            Some(value) => json!({
                "type": "object",
                "patternProperties": {names: value},
                "additionalProperties": false,
                "maxProperties": MAP_MAX,
            }),
            None => json!({"type": "object", "additionalProperties": false}),
        })
    }

    fn read(value: &Value) -> Result<BTreeMap<String, T>, Misfit> {
        let fields = value.as_object().ok_or_else(|| other("an object", value))?;
        let read = |(name, value): (&String, &Value)| {
            let value = T::read(value).map_err(|misfit| misfit.under(name))?;
            Ok((name.clone(), value))
        };
        fields.iter().map(read).collect()
    }

    fn glimpse(draft: &Draft) -> Option<BTreeMap<String, T::Partial>> {
        let Draft::Record { fields, .. } = draft else { return None };
        let seen = |(name, value): &(String, Draft)| Some((name.clone(), T::glimpse(value)?));
        Some(fields.iter().filter_map(seen).collect())
    }
}
