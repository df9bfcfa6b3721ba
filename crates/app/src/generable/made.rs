//! What the code that the macros write calls. It is public because that code stands in other crates, and
//! is no interface of its own: it changes with the macros.
#![doc(hidden)]

use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::future::Future;
use std::ops::{Range, RangeFrom, RangeInclusive, RangeTo, RangeToInclusive};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, json};

pub use serde_json::Value;

use super::types::{kind, other};
use super::{Generable, Misfit, Scope, schema};
use crate::partial::Draft;
use crate::tool::{Context, Tool, ToolError, ToolSpec};

/// An object of these fields, in their order: name, schema, whether it must be there.
pub fn object(fields: Vec<(&str, Value, bool)>) -> Value {
    let required: Vec<&str> = fields.iter().filter(|f| f.2).map(|f| f.0).collect();
    let mut schema = json!({"type": "object", "properties": {}});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    for (name, of, _) in fields {
        schema["properties"][name] = of;
    }
    schema["additionalProperties"] = Value::Bool(false);
    schema
}

/// Exactly this text.
pub fn only(text: &str) -> Value {
    json!({"const": text})
}

/// One of these texts.
pub fn choice(texts: &[&str]) -> Value {
    json!({"enum": texts})
}

/// One of these; none where there are none.
pub fn any_of(mut variants: Vec<Value>) -> Option<Value> {
    match variants.len() {
        0 => None,
        1 => variants.pop(),
        _ => Some(json!({"anyOf": variants})),
    }
}

/// Told what is meant.
pub fn described(schema: Option<Value>, text: &str) -> Option<Value> {
    with(schema, |schema| _ = schema.insert("description".into(), text.into()))
}

/// Taken where nothing is said.
pub fn default(schema: Option<Value>, value: impl Into<Value>) -> Option<Value> {
    with(schema, |schema| _ = schema.insert("default".into(), value.into()))
}

fn with(schema: Option<Value>, change: impl FnOnce(&mut Map<String, Value>)) -> Option<Value> {
    let mut schema = schema?;
    if let Value::Object(map) = &mut schema {
        change(map);
    }
    Some(schema)
}

/// Changes every schema of a type within one that may be absent, or a list of them.
fn each(schema: &mut Value, kinds: &[&str], change: &impl Fn(&mut Map<String, Value>)) {
    let Value::Object(map) = schema else { return };
    if map.get("type").and_then(Value::as_str).is_some_and(|kind| kinds.contains(&kind)) {
        return change(map);
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
        choices.iter_mut().for_each(|choice| each(choice, kinds, change));
    }
    if let Some(items) = map.get_mut("items") {
        each(items, kinds, change);
    }
    if let Some(Value::Object(entries)) = map.get_mut("patternProperties") {
        entries.values_mut().for_each(|entry| each(entry, kinds, change));
    }
}

/// Numbers, alone, in a list or map, or perhaps absent: what `range` is for.
#[diagnostic::on_unimplemented(message = "`range` is for numbers; `{Self}` is none")]
pub trait Ranged {}
/// Lists and maps: what `count` is for.
#[diagnostic::on_unimplemented(message = "`count` is for lists and maps; `{Self}` is none")]
pub trait Counted {}
/// Texts, alone, in a list or map, or perhaps absent: what `length` and `pattern` are for.
#[diagnostic::on_unimplemented(message = "`length` and `pattern` are for texts; `{Self}` is none")]
pub trait Worded {}

macro_rules! kinds {
    ($kind:ident: $($of:ty),*) => { $(impl $kind for $of {})* };
}
kinds!(Ranged: i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize, f32, f64);
kinds!(Worded: String);
impl<T> Counted for Vec<T> {}
impl<T> Counted for std::collections::BTreeMap<String, T> {}
impl<T: Counted> Counted for Option<T> {}
impl<T: Counted> Counted for Box<T> {}
impl<T: Ranged> Ranged for Option<T> {}
impl<T: Ranged> Ranged for Box<T> {}
impl<T: Ranged> Ranged for Vec<T> {}
impl<T: Ranged, const N: usize> Ranged for [T; N] {}
impl<T: Ranged> Ranged for std::collections::BTreeMap<String, T> {}
impl<T: Worded> Worded for std::collections::BTreeMap<String, T> {}
impl<T: Worded> Worded for Option<T> {}
impl<T: Worded> Worded for Box<T> {}
impl<T: Worded> Worded for Vec<T> {}
impl<T: Worded, const N: usize> Worded for [T; N] {}

/// A range as a schema says it: least, most, and whether the most is itself allowed.
pub trait Limits {
    /// These.
    fn limits(self) -> (Option<Value>, Option<Value>, bool);
}

macro_rules! limits {
    ($($of:ty),*) => {$(
        impl Limits for Range<$of> {
            fn limits(self) -> (Option<Value>, Option<Value>, bool) {
                (Some(self.start.into()), Some(self.end.into()), false)
            }
        }
        impl Limits for RangeInclusive<$of> {
            fn limits(self) -> (Option<Value>, Option<Value>, bool) {
                (Some((*self.start()).into()), Some((*self.end()).into()), true)
            }
        }
        impl Limits for RangeFrom<$of> {
            fn limits(self) -> (Option<Value>, Option<Value>, bool) {
                (Some(self.start.into()), None, true)
            }
        }
        impl Limits for RangeTo<$of> {
            fn limits(self) -> (Option<Value>, Option<Value>, bool) {
                (None, Some(self.end.into()), false)
            }
        }
        impl Limits for RangeToInclusive<$of> {
            fn limits(self) -> (Option<Value>, Option<Value>, bool) {
                (None, Some(self.end.into()), true)
            }
        }
    )*};
}
limits!(i64, f64);

/// Numbers within a range.
pub fn range(schema: Option<Value>, range: impl Limits) -> Option<Value> {
    let (least, most, inclusive) = range.limits();
    let mut schema = schema?;
    each(&mut schema, &["integer", "number"], &|map| {
        if let Some(least) = &least {
            map.insert("minimum".into(), least.clone());
        }
        match &most {
            Some(most) if inclusive => _ = map.insert("maximum".into(), most.clone()),
            // Of whole numbers, the one before.
            Some(most) if most.is_i64() && map["type"] == "integer" => {
                _ = map.insert("maximum".into(), (most.as_i64().unwrap_or(0) - 1).into());
            }
            Some(most) => {
                map.insert("maximum".into(), most.clone());
                map.insert("exclusiveMaximum".into(), most.clone());
            }
            None => {}
        }
    });
    Some(schema)
}

/// The bounds of a size.
fn size(range: impl Limits) -> (Option<usize>, Option<usize>) {
    let (least, most, inclusive) = range.limits();
    let number = |value: Option<Value>| value.and_then(|v| v.as_u64()).map(|n| n as usize);
    let most = number(most).map(|most| if inclusive { most } else { most.saturating_sub(1) });
    (number(least), most)
}

fn set(map: &mut Map<String, Value>, word: &str, value: Option<usize>) {
    if let Some(value) = value {
        map.insert(word.into(), value.into());
    }
}

/// Lists and maps of a size. A map that has to have more than one entry cannot be asked for: a name may
/// be written twice.
pub fn count(schema: Option<Value>, range: impl Limits) -> Option<Value> {
    let (least, most) = size(range);
    let mut schema = schema?;
    let is_endless = Cell::new(false);
    each(&mut schema, &["array", "object"], &|map| {
        // Of what stands within itself too deeply there are none, however many are asked for.
        if map["type"] == "array" && !map.contains_key("items") {
            is_endless.set(is_endless.get() || least.is_some_and(|least| least > 0));
        } else if map["type"] == "array" {
            set(map, "minItems", least);
            set(map, "maxItems", most);
        } else {
            set(map, "minProperties", least.map(|least| least.min(1)));
            set(map, "maxProperties", most);
        }
    });
    (!is_endless.get()).then_some(schema)
}

/// Texts of so many characters.
pub fn length(schema: Option<Value>, range: impl Limits) -> Option<Value> {
    let (least, most) = size(range);
    let mut schema = schema?;
    each(&mut schema, &["string"], &|map| {
        set(map, "minLength", least);
        set(map, "maxLength", most);
    });
    Some(schema)
}

/// Texts that a regular expression matches, whole.
pub fn pattern(schema: Option<Value>, pattern: &str) -> Option<Value> {
    let mut schema = schema?;
    each(&mut schema, &["string"], &|map| {
        map.insert("pattern".into(), format!("^({pattern})$").into());
    });
    Some(schema)
}

/// Whether a value has fields.
pub fn is_object(value: &Value) -> Result<(), Misfit> {
    if value.is_object() { Ok(()) } else { Err(other("an object", value)) }
}

/// A field's value.
pub fn field<T: Generable>(value: &Value, name: &str) -> Result<T, Misfit> {
    match value.get(name) {
        Some(value) => T::read(value).map_err(|misfit| misfit.under(name)),
        None => T::absent().ok_or_else(|| Misfit::new(format!("{name:?} is missing"))),
    }
}

/// What is known of a field's value.
pub fn glimpsed<T: Generable>(draft: &Draft, name: &str) -> Option<T::Partial> {
    T::glimpse(draft.get(name)?)
}

/// A value that is none of the texts it may be.
pub fn no_choice(value: &Value, known: &[&str]) -> Misfit {
    Misfit::new(format!("expected one of {}, found {}", known.join(", "), kind(value)))
}

/// Writes what stands in a slot.
pub fn fill(text: &mut String, value: &impl Display) {
    // A text takes everything; a type whose own writing fails has written what it has.
    let _ = write!(text, "{value}");
}

/// The schema of a tool's arguments. A type without an end is taken as one that nothing fits.
pub fn parameters(describe: impl FnOnce(&mut Scope) -> Option<Value>) -> Value {
    describe(&mut Scope::default()).unwrap_or_else(|| json!({"enum": []}))
}

/// Whether a call's arguments are what a tool takes.
pub fn arguments(spec: &ToolSpec, arguments: &Value) -> Result<(), ToolError> {
    let checked = is_object(arguments).and_then(|()| schema::check(&spec.parameters, arguments));
    checked.map_err(|misfit| ToolError::Arguments(misfit.to_string()))
}

/// One of them.
pub fn argument<T: Generable>(arguments: &Value, name: &str) -> Result<T, ToolError> {
    field(arguments, name).map_err(|misfit| ToolError::Arguments(misfit.to_string()))
}

/// What a tool's function gave. A `Result` is told by the first trait, everything else by the second,
/// which method look-up reaches one reference later.
pub struct Outcome<T>(pub T);

/// Tells a result.
pub trait ToldResult {
    /// It.
    fn told(&self) -> Result<Value, ToolError>;
}

/// Tells a value.
pub trait ToldValue {
    /// It.
    fn told(&self) -> Result<Value, ToolError>;
}

fn value(of: &impl Serialize) -> Result<Value, ToolError> {
    let failed = |error| ToolError::Failed(format!("its result cannot be written: {error}"));
    serde_json::to_value(of).map_err(failed)
}

impl<T: Serialize, E: Display> ToldResult for Outcome<Result<T, E>> {
    fn told(&self) -> Result<Value, ToolError> {
        match &self.0 {
            Ok(result) => value(result),
            Err(error) => Err(ToolError::Failed(error.to_string())),
        }
    }
}

impl<T: Serialize> ToldValue for &Outcome<T> {
    fn told(&self) -> Result<Value, ToolError> {
        value(&self.0)
    }
}

/// What can stand in `tools!`.
pub trait IntoTool {
    /// As all tools are held.
    fn into_tool(self) -> Arc<dyn Tool>;
}

impl<T: Tool + 'static> IntoTool for T {
    fn into_tool(self) -> Arc<dyn Tool> {
        Arc::new(self)
    }
}

impl IntoTool for Arc<dyn Tool> {
    fn into_tool(self) -> Arc<dyn Tool> {
        self
    }
}

/// Wakes a thread that waits for a future.
struct Bell(Thread);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future on this thread. It is dropped where it stands when nobody waits any more.
pub fn block_on<T>(future: impl Future<Output = T>, context: &Context) -> Result<T, ToolError> {
    /// How long somebody who stops waiting may have to wait for that.
    const GLANCE: Duration = Duration::from_millis(20);
    let waker = Waker::from(Arc::new(Bell(thread::current())));
    let mut around = std::task::Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut around) {
            return Ok(result);
        }
        if context.cancel.is_set() {
            return Err(ToolError::Cancelled);
        }
        thread::park_timeout(GLANCE);
    }
}
