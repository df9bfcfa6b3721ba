//! What a template computes with: Python's lists, dictionaries and namespaces over the engine's
//! values, how they print, and the budget that bounds how much of them there can be. Knows no
//! filter, no method and no operator.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::civil::DateTime;
use minijinja::value::{Enumerator, Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind, Value};

use super::text::{Str, Text};
use crate::limits;

/// Why a rendering stops, when it is not the template language that objects.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A named limit was met.
    #[error("template limit: {0}")]
    Limit(&'static str),
    /// The template called `raise_exception`.
    #[error("{0}")]
    Raised(String),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::new(ErrorKind::InvalidOperation, failure.to_string()).with_source(failure)
    }
}

/// An ordinary complaint of the language, such as Python's `TypeError`.
pub(crate) fn wrong(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

/// One rendering: what is left of its budget, and what it was given beside its input.
#[derive(Debug)]
pub(crate) struct Run {
    work_left: AtomicU64,
    pub(crate) now: Option<DateTime>,
    /// Opens and closes a quoted run in captured output; neither is in the input or the source.
    pub(crate) marks: (char, char),
}

impl Run {
    pub(crate) fn new(work: u64, now: Option<DateTime>, marks: (char, char)) -> Run {
        Run { work_left: AtomicU64::new(work), now, marks }
    }

    /// Takes `bytes` of work from the budget, before the work is done.
    pub(crate) fn charge(&self, bytes: usize) -> Result<(), Error> {
        let left = self.work_left.load(Relaxed);
        match left.checked_sub(bytes as u64) {
            Some(left) => {
                self.work_left.store(left, Relaxed);
                Ok(())
            }
            None => {
                self.work_left.store(0, Relaxed);
                Err(Failure::Limit("work").into())
            }
        }
    }

    pub(crate) fn text(&self, text: Text) -> Result<Value, Error> {
        self.charge(text.len())?;
        Ok(text.into_value())
    }

    pub(crate) fn list(&self, items: Vec<Value>) -> Result<Value, Error> {
        self.sequence(Kind::List, items)
    }

    pub(crate) fn sequence(&self, kind: Kind, items: Vec<Value>) -> Result<Value, Error> {
        self.charge(16 + items.len() * size_of::<Value>())?;
        let depth = nested(&items)?;
        Ok(Value::from_object(List { kind, items, depth }))
    }

    pub(crate) fn dict(&self, entries: Vec<(Value, Value)>) -> Result<Value, Error> {
        let mut dict = Dict::default();
        self.charge(16 + entries.len() * 4 * size_of::<Value>())?;
        for (key, value) in entries {
            dict.depth = dict.depth.max(nested([&key, &value])?);
            dict.insert(key, value)?;
        }
        Ok(Value::from_object(dict))
    }

    /// A namespace; it holds no other namespace, so that chains of them cannot be built.
    pub(crate) fn namespace(&self, entries: Vec<(String, Value)>) -> Result<Value, Error> {
        nested(entries.iter().map(|(_, value)| value))?;
        self.charge(16 + entries.len() * 2 * size_of::<Value>())?;
        Ok(Value::from_object(Namespace { data: Mutex::new(entries) }))
    }
}

/// The depth of a container of `items`. Nesting is bounded so that nothing that walks or drops a
/// value can run out of stack; a namespace inside a container would escape the count.
fn nested<'a>(items: impl IntoIterator<Item = &'a Value>) -> Result<usize, Error> {
    let mut deepest = 0;
    for item in items {
        if item.downcast_object_ref::<Namespace>().is_some() {
            return Err(Failure::Limit("namespace within a container").into());
        }
        deepest = deepest.max(depth(item));
    }
    if deepest < limits::TEMPLATE_NESTING_MAX {
        Ok(deepest + 1)
    } else {
        Err(Failure::Limit("nesting").into())
    }
}

fn depth(value: &Value) -> usize {
    if let Some(list) = List::of(value) {
        list.depth
    } else if let Some(dict) = Dict::of(value) {
        dict.depth
    } else if let Some(method) = value.downcast_object_ref::<Method>() {
        depth(&method.receiver) + 1
    } else {
        0
    }
}

/// What kind of sequence a [`List`] is to the eye of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    List,
    Tuple,
    /// `dict.keys()`, `range()` and their like, by Python's name.
    View(&'static str),
    /// What `map`, `select` and `reject` make: always true, of no length.
    Generator,
}

/// A sequence that does not change.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) kind: Kind,
    pub(crate) items: Vec<Value>,
    depth: usize,
}

impl List {
    pub(crate) fn of(value: &Value) -> Option<&List> {
        value.downcast_object_ref()
    }

    /// Whether `list[i]` and `list[a:b]` mean something.
    pub(crate) fn is_indexed(&self) -> bool {
        matches!(self.kind, Kind::List | Kind::Tuple | Kind::View("range"))
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.items.len())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.kind == Kind::Generator || !self.items.is_empty()
    }
}

/// A dictionary in the order of its keys' first appearance.
#[derive(Debug, Default)]
pub(crate) struct Dict {
    pub(crate) entries: Vec<(Value, Value)>,
    strings: HashMap<String, usize>,
    depth: usize,
}

impl Dict {
    pub(crate) fn of(value: &Value) -> Option<&Dict> {
        value.downcast_object_ref()
    }

    pub(crate) fn get(&self, key: &Value) -> Option<&Value> {
        match Str::of(key) {
            Some(key) => self.get_str(key.s),
            None => self.entries.iter().find(|(k, _)| same_key(k, key)).map(|(_, v)| v),
        }
    }

    pub(crate) fn get_str(&self, key: &str) -> Option<&Value> {
        self.strings.get(key).map(|&at| &self.entries[at].1)
    }

    fn insert(&mut self, key: Value, value: Value) -> Result<(), Error> {
        if List::of(&key).is_some_and(|l| l.kind != Kind::Tuple) || Dict::of(&key).is_some() {
            return Err(wrong("unhashable type as a key of a dictionary"));
        }
        if let Some(key) = Str::of(&key) {
            if let Some(&at) = self.strings.get(key.s) {
                self.entries[at].1 = value;
                return Ok(());
            }
            self.strings.insert(key.s.to_owned(), self.entries.len());
        } else if let Some((_, old)) = self.entries.iter_mut().find(|(k, _)| same_key(k, &key)) {
            *old = value;
            return Ok(());
        }
        self.entries.push((key, value));
        Ok(())
    }
}

/// Equality of keys that are not strings.
fn same_key(a: &Value, b: &Value) -> bool {
    match (Number::of(a), Number::of(b)) {
        (Some(a), Some(b)) => a.as_f64() == b.as_f64(),
        _ => a.is_none() && b.is_none(),
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get(key).cloned()
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.get_str(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.entries.iter().map(|(key, _)| key.clone()).collect())
    }

    fn is_true(self: &Arc<Self>) -> bool {
        !self.entries.is_empty()
    }
}

/// `namespace(...)`: the one thing that a template can change.
#[derive(Debug)]
pub(crate) struct Namespace {
    data: Mutex<Vec<(String, Value)>>,
}

impl Namespace {
    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        let data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        data.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    pub(crate) fn set(&self, name: &str, value: Value) -> Result<(), Error> {
        nested([&value])?;
        let mut data = self.data.lock().unwrap_or_else(PoisonError::into_inner);
        match data.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => data.push((name.to_owned(), value)),
        }
        Ok(())
    }
}

impl Object for Namespace {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// `value.name` where `name` is a method and is not called: something that is there, and true.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) receiver: Value,
}

impl Object for Method {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A number as Python sees it; booleans count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(crate) fn of(value: &Value) -> Option<Number> {
        match value.kind() {
            ValueKind::Bool => Some(Number::Int(value.is_true().into())),
            ValueKind::Number if value.is_integer() => {
                i128::try_from(value.clone()).ok().map(Number::Int)
            }
            ValueKind::Number => f64::try_from(value.clone()).ok().map(Number::Float),
            _ => None,
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Number::Int(i) => i as f64,
            Number::Float(f) => f,
        }
    }
}

/// An index or a count.
pub(crate) fn integer(value: &Value, what: &'static str) -> Result<i64, Error> {
    match Number::of(value) {
        Some(Number::Int(i)) => i64::try_from(i).map_err(|_| wrong(format!("{what} is too large"))),
        _ => Err(wrong(format!("{what} must be an integer, not {}", type_name(value)))),
    }
}

/// Python's name of a value's type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value.kind() {
        _ if Str::of(value).is_some() => "str",
        _ if Dict::of(value).is_some() => "dict",
        ValueKind::Undefined => "Undefined",
        ValueKind::None => "NoneType",
        ValueKind::Bool => "bool",
        ValueKind::Number if value.is_integer() => "int",
        ValueKind::Number => "float",
        _ => match List::of(value).map(|list| list.kind) {
            Some(Kind::List) => "list",
            Some(Kind::Tuple) => "tuple",
            Some(Kind::View(name)) => name,
            Some(Kind::Generator) => "generator",
            None => "object",
        },
    }
}

/// The items that `for` walks: keys of a dictionary, characters of a string.
pub(crate) fn items(run: &Run, value: &Value) -> Result<Vec<Value>, Error> {
    if let Some(list) = List::of(value) {
        run.charge(list.items.len() * size_of::<Value>())?;
        Ok(list.items.clone())
    } else if let Some(dict) = Dict::of(value) {
        run.charge(dict.entries.len() * size_of::<Value>())?;
        Ok(dict.entries.iter().map(|(key, _)| key.clone()).collect())
    } else if let Some(text) = Str::of(value) {
        run.charge(text.s.len() * 2 * size_of::<Value>())?;
        Ok(text
            .chars()
            .map(|(c, quoted)| {
                let mut one = Text::default();
                one.push_char(c, quoted);
                one.into_value()
            })
            .collect())
    } else if value.is_undefined() {
        Ok(Vec::new())
    } else {
        Err(wrong(format!("'{}' object is not iterable", type_name(value))))
    }
}

/// `str(value)`; of undefined, nothing.
pub(crate) fn print(run: &Run, value: &Value) -> Result<Text, Error> {
    match Str::of(value) {
        Some(text) => {
            run.charge(text.s.len())?;
            Ok(text.to_text().into_plain())
        }
        None if value.is_undefined() => Ok(Text::default()),
        None => {
            let mut out = Text::default();
            repr_into(run, value, &mut out)?;
            Ok(out)
        }
    }
}

/// Appends `repr(value)`.
pub(crate) fn repr_into(run: &Run, value: &Value, out: &mut Text) -> Result<(), Error> {
    run.charge(32)?;
    if let Some(text) = Str::of(value) {
        return repr_str(run, text, out);
    }
    if let Some(dict) = Dict::of(value) {
        out.push("{");
        for (i, (key, value)) in dict.entries.iter().enumerate() {
            if i > 0 {
                out.push(", ");
            }
            repr_into(run, key, out)?;
            out.push(": ");
            repr_into(run, value, out)?;
        }
        out.push("}");
        return Ok(());
    }
    if let Some(list) = List::of(value) {
        let (open, close) = match list.kind {
            Kind::List => ("[".to_owned(), "]"),
            Kind::Tuple if list.items.len() == 1 => ("(".to_owned(), ",)"),
            Kind::Tuple => ("(".to_owned(), ")"),
            Kind::View(name) => (format!("{name}(["), "])"),
            Kind::Generator => {
                out.push("<generator>");
                return Ok(());
            }
        };
        out.push(&open);
        for (i, value) in list.items.iter().enumerate() {
            if i > 0 {
                out.push(", ");
            }
            repr_into(run, value, out)?;
        }
        out.push(close);
        return Ok(());
    }
    match value.kind() {
        ValueKind::Undefined => out.push("Undefined"),
        ValueKind::None => out.push("None"),
        ValueKind::Bool => out.push(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => match Number::of(value) {
            Some(Number::Int(i)) => out.push(&i.to_string()),
            Some(Number::Float(f)) => out.push(&float(f)),
            None => out.push("nan"),
        },
        _ => out.push("<object>"),
    }
    Ok(())
}

/// `repr(str)`: single quotes unless only they would need escaping.
fn repr_str(run: &Run, text: Str<'_>, out: &mut Text) -> Result<(), Error> {
    run.charge(text.s.len() * 2)?;
    let quote = if text.s.contains('\'') && !text.s.contains('"') { '"' } else { '\'' };
    out.push_char(quote, false);
    for (c, quoted) in text.chars() {
        match c {
            '\n' => out.push_piece("\\n", quoted),
            '\r' => out.push_piece("\\r", quoted),
            '\t' => out.push_piece("\\t", quoted),
            '\\' => out.push_piece("\\\\", quoted),
            c if c == quote => {
                out.push_piece("\\", quoted);
                out.push_char(c, quoted);
            }
            '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{ad}' => {
                out.push_piece(&format!("\\x{:02x}", c as u32), quoted);
            }
            // The separators and format characters that Python does not hold printable.
            '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{3000}'
            | '\u{feff}'
            | '\u{e000}'..='\u{f8ff}' => {
                out.push_piece(&format!("\\u{:04x}", c as u32), quoted);
            }
            c => out.push_char(c, quoted),
        }
    }
    out.push_char(quote, false);
    Ok(())
}

/// `repr(float)`: the shortest digits that read back, with an exponent outside `1e-4 .. 1e16`.
pub(crate) fn float(f: f64) -> String {
    if f.is_nan() {
        return "nan".into();
    }
    if f.is_infinite() {
        return if f > 0.0 { "inf" } else { "-inf" }.into();
    }
    let scientific = format!("{f:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{f}");
        if plain.contains('.') { plain } else { format!("{plain}.0") }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

/// Counts of an input, from which the budget of its rendering follows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Size {
    pub(crate) nodes: u64,
    pub(crate) bytes: u64,
}

impl Size {
    /// Counts, and refuses an input that is nested too deeply to be walked.
    pub(crate) fn of(input: &serde_json::Value) -> Result<Size, Failure> {
        let mut size = Size::default();
        size.count(input, 1)?;
        Ok(size)
    }

    fn count(&mut self, json: &serde_json::Value, depth: usize) -> Result<(), Failure> {
        use serde_json::Value as Json;
        // One level below the limit is left to what the template makes of it.
        if depth + 8 >= limits::TEMPLATE_NESTING_MAX {
            return Err(Failure::Limit("nesting"));
        }
        self.nodes += 1;
        match json {
            Json::String(s) => self.bytes += s.len() as u64,
            Json::Array(items) => items.iter().try_for_each(|item| self.count(item, depth + 1))?,
            Json::Object(map) => map.iter().try_for_each(|(key, value)| {
                self.bytes += key.len() as u64;
                self.nodes += 1;
                self.count(value, depth + 1)
            })?,
            Json::Null | Json::Bool(_) | Json::Number(_) => {}
        }
        Ok(())
    }
}

/// Roles that conversations are made of. A role outside this list is taken as written by a user.
const ROLES: [&str; 14] = [
    "system",
    "developer",
    "user",
    "assistant",
    "model",
    "tool",
    "function",
    "ipython",
    "observation",
    "environment",
    "tool_response",
    "tool_call",
    "tools",
    "context",
];

/// Brings a template's input inside. Every string of it, keys as well, came from outside and is
/// quoted, but for two that are words of the conversation's form and that templates build control
/// tokens with: the `…_token` strings at the top, and a message's role when it is a known one.
pub(crate) fn bring_in(run: &Run, input: &serde_json::Value) -> Result<Value, Error> {
    use serde_json::Value as Json;
    let Json::Object(map) = input else {
        return Err(wrong("the input of a template is a JSON object"));
    };
    let entry = |(key, value): (&String, &Json)| {
        let value = match value {
            Json::String(s) if key.ends_with("_token") => Value::from(s.as_str()),
            Json::Array(messages) if key == "messages" => {
                let messages: Result<_, _> = messages.iter().map(|m| message(run, m)).collect();
                run.list(messages?)?
            }
            value => outside(run, value)?,
        };
        Ok((Value::from(key.as_str()), value))
    };
    run.dict(map.iter().map(entry).collect::<Result<_, Error>>()?)
}

fn message(run: &Run, json: &serde_json::Value) -> Result<Value, Error> {
    let Some(map) = json.as_object() else { return outside(run, json) };
    let entry = |(key, value): (&String, &serde_json::Value)| {
        let known = value.as_str().filter(|role| key == "role" && ROLES.contains(role));
        let value = match known {
            Some(role) => Value::from(role),
            None => outside(run, value)?,
        };
        Ok((Text::outside(key.clone()).into_value(), value))
    };
    run.dict(map.iter().map(entry).collect::<Result<_, Error>>()?)
}

fn outside(run: &Run, json: &serde_json::Value) -> Result<Value, Error> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Ok(Value::from(())),
        Json::Bool(b) => Ok(Value::from(*b)),
        Json::Number(n) => Ok(match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(i), _, _) => Value::from(i),
            (_, Some(u), _) => Value::from(u),
            (_, _, f) => Value::from(f.unwrap_or(f64::NAN)),
        }),
        Json::String(s) => run.text(Text::outside(s.clone())),
        Json::Array(items) => {
            run.list(items.iter().map(|item| outside(run, item)).collect::<Result<_, Error>>()?)
        }
        Json::Object(map) => {
            let entry = |(key, value): (&String, &Json)| {
                Ok((Text::outside(key.clone()).into_value(), outside(run, value)?))
            };
            run.dict(map.iter().map(entry).collect::<Result<_, Error>>()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_python() {
        for (f, want) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-0.0, "-0.0"),
        ] {
            assert_eq!(float(f), want);
        }
    }
}
