//! Python's operators, subscripts and truth about them. Every operator of a template arrives here
//! because the engine's own would neither keep marks nor keep within the budget.

use std::cmp::Ordering;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, State, Value};

use super::methods;
use super::text::{Str, Text};
use super::value::{
    Dict, Kind, List, Method, Namespace, Number, Run, integer, items, print, type_name, wrong,
};
use super::{format, value, words};

/// What an operation may use beside its arguments.
pub(crate) struct Cx<'a, 's, 't, 'e> {
    pub(crate) run: &'a Run,
    pub(crate) state: &'s mut State<'t, 'e>,
}

/// The arguments of a filter, test, function or method; `at(0)` of a filter is its subject.
pub(crate) struct Args {
    pub(crate) values: Vec<Value>,
    pub(crate) named: Vec<(String, Value)>,
}

impl Args {
    /// Takes apart the engine's convention, where named arguments are one last value.
    pub(crate) fn new(mut values: Vec<Value>) -> Args {
        let mut named = Vec::new();
        if values.last().is_some_and(Value::is_kwargs) {
            let pairs = values.pop().and_then(|kwargs| kwargs.as_object()?.try_iter_pairs());
            for (key, value) in pairs.into_iter().flatten() {
                named.push((key.to_string(), value));
            }
        }
        Args { values, named }
    }

    pub(crate) fn at(&self, i: usize) -> Value {
        self.values.get(i).cloned().unwrap_or(Value::UNDEFINED)
    }

    /// An argument by its place or its name.
    pub(crate) fn get(&self, i: usize, name: &str) -> Option<Value> {
        let named = || self.named.iter().find(|(key, _)| key == name).map(|(_, value)| value);
        self.values.get(i).or_else(named).cloned()
    }

    pub(crate) fn flag(&self, i: usize, name: &str) -> bool {
        self.get(i, name).is_some_and(|value| value.is_true())
    }

    pub(crate) fn int(&self, i: usize, name: &'static str) -> Result<Option<i64>, Error> {
        match self.get(i, name) {
            Some(value) if !value.is_none() => integer(&value, name).map(Some),
            _ => Ok(None),
        }
    }

    /// The engine's convention again, for what the engine calls.
    pub(crate) fn raw(&self) -> Vec<Value> {
        let mut values = self.values.clone();
        if !self.named.is_empty() {
            values.push(Value::from(self.named.iter().cloned().collect::<Kwargs>()));
        }
        values
    }

    /// The arguments without the first `n`.
    pub(crate) fn skip(&self, n: usize) -> Args {
        Args { values: self.values.iter().skip(n).cloned().collect(), named: self.named.clone() }
    }
}

/// Any operation: operators, filters, tests, functions have one shape, so that each set is a table.
pub(crate) type Op = fn(&mut Cx<'_, '_, '_, '_>, &Args) -> Result<Value, Error>;

/// Operators by the names that the rewritten syntax tree gives them; `$` keeps them out of reach
/// of a template's own words.
pub(crate) const OPERATORS: &[(&str, Op)] = &[
    ("$add", |cx, a| add(cx.run, &a.at(0), &a.at(1))),
    ("$sub", |_, a| arithmetic("-", &a.at(0), &a.at(1), i128::checked_sub, |x, y| x - y)),
    ("$mul", |cx, a| mul(cx.run, &a.at(0), &a.at(1))),
    ("$div", |_, a| div(&a.at(0), &a.at(1))),
    ("$floordiv", |_, a| floor_div(&a.at(0), &a.at(1))),
    ("$rem", |cx, a| rem(cx.run, &a.at(0), &a.at(1))),
    ("$pow", |_, a| pow(&a.at(0), &a.at(1))),
    ("$neg", |_, a| arithmetic("-", &Value::from(0), &a.at(0), i128::checked_sub, |_, y| -y)),
    ("$concat", |cx, a| {
        let mut text = print(cx.run, &a.at(0))?;
        text.push_str(print(cx.run, &a.at(1))?.as_str());
        cx.run.text(text)
    }),
    ("$==", |cx, a| Ok(Value::from(equal(cx.run, &a.at(0), &a.at(1))?))),
    ("$!=", |cx, a| Ok(Value::from(!equal(cx.run, &a.at(0), &a.at(1))?))),
    ("$<", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_lt()))),
    ("$<=", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_le()))),
    ("$>", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_gt()))),
    ("$>=", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_ge()))),
    ("$in", |cx, a| Ok(Value::from(contains(cx.run, &a.at(1), &a.at(0))?))),
    ("$not in", |cx, a| Ok(Value::from(!contains(cx.run, &a.at(1), &a.at(0))?))),
    ("$chain", chain),
    ("$attr", |cx, a| attr(cx.run, &a.at(0), &a.at(1))),
    ("$item", |cx, a| item(cx.run, &a.at(0), &a.at(1))),
    ("$slice", |cx, a| slice(cx.run, &a.at(0), &a.at(1), &a.at(2), &a.at(3))),
    ("$iter", iter),
    ("$list", |cx, a| cx.run.list(a.values.clone())),
    ("$tuple", |cx, a| cx.run.sequence(Kind::Tuple, a.values.clone())),
    ("$dict", |cx, a| {
        let pairs = a.values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
        cx.run.dict(pairs.collect())
    }),
    ("$method", methods::call),
    ("$setattr", |_, a| match a.at(0).downcast_object_ref::<Namespace>() {
        Some(namespace) => {
            namespace.set(Str::of(&a.at(1)).map_or("", |name| name.s), a.at(2))?;
            Ok(Value::UNDEFINED)
        }
        None => Err(wrong("cannot assign attribute on non-namespace object")),
    }),
    ("$lift", |cx, a| {
        let value = a.at(0);
        match value.as_str() {
            Some(s) if s.contains(cx.run.marks.0) => cx.run.text(lift(s, cx.run.marks)),
            _ => Ok(value),
        }
    }),
];

/// Reads captured output back: what stands between marks is quoted.
pub(crate) fn lift(mut s: &str, (open, close): (char, char)) -> Text {
    let mut text = Text::default();
    while let Some((before, rest)) = s.split_once(open) {
        text.push(before);
        let (quoted, rest) = rest.split_once(close).unwrap_or((rest, ""));
        text.push_piece(quoted, true);
        s = rest;
    }
    text.push(s);
    text
}

fn undefined(value: &Value, doing: &str) -> Result<(), Error> {
    if value.is_undefined() {
        Err(wrong(format!("an undefined value cannot be {doing}")))
    } else {
        Ok(())
    }
}

fn unsupported(op: &str, a: &Value, b: &Value) -> Error {
    wrong(format!(
        "unsupported operand type(s) for {op}: '{}' and '{}'",
        type_name(a),
        type_name(b)
    ))
}

pub(crate) fn int_value(i: i128) -> Value {
    i64::try_from(i).map_or_else(|_| Value::from(i), Value::from)
}

fn arithmetic(
    op: &str,
    a: &Value,
    b: &Value,
    int: fn(i128, i128) -> Option<i128>,
    float: fn(f64, f64) -> f64,
) -> Result<Value, Error> {
    match (Number::of(a), Number::of(b)) {
        (Some(Number::Int(x)), Some(Number::Int(y))) => {
            int(x, y).map(int_value).ok_or_else(|| wrong("integer out of range"))
        }
        (Some(x), Some(y)) => Ok(Value::from(float(x.as_f64(), y.as_f64()))),
        _ => Err(unsupported(op, a, b)),
    }
}

pub(crate) fn add(run: &Run, a: &Value, b: &Value) -> Result<Value, Error> {
    if let (Some(x), Some(y)) = (Str::of(a), Str::of(b)) {
        run.charge(x.s.len() + y.s.len())?;
        if x.is_markup != y.is_markup {
            let escaped = words::escape(if x.is_markup { y } else { x });
            let (x, y) = if x.is_markup { (x, escaped.as_str()) } else { (escaped.as_str(), y) };
            let mut text = x.to_text();
            text.push_str(y);
            return run.text(text);
        }
        let mut text = x.to_text();
        text.push_str(y);
        return Ok(text.into_value());
    }
    if let (Some(x), Some(y)) = (List::of(a), List::of(b))
        && x.kind == y.kind
        && matches!(x.kind, Kind::List | Kind::Tuple)
    {
        run.charge((x.items.len() + y.items.len()) * size_of::<Value>())?;
        return run.sequence(x.kind, x.items.iter().chain(&y.items).cloned().collect());
    }
    undefined(a, "added to")?;
    if Str::of(a).is_some() {
        let other = type_name(b);
        return Err(wrong(format!("can only concatenate str (not \"{other}\") to str")));
    }
    arithmetic("+", a, b, i128::checked_add, |x, y| x + y)
}

fn mul(run: &Run, a: &Value, b: &Value) -> Result<Value, Error> {
    for (seq, count) in [(a, b), (b, a)] {
        let Some(Number::Int(n)) = Number::of(count) else { continue };
        let n = usize::try_from(n.max(0)).unwrap_or(usize::MAX);
        if let Some(text) = Str::of(seq) {
            run.charge(text.s.len().saturating_mul(n))?;
            let mut out = Text::default();
            // Without this an empty string could be repeated without cost.
            for _ in 0..if text.s.is_empty() { 0 } else { n } {
                out.push_str(text);
            }
            return Ok(out.into_value());
        }
        if let Some(list) = List::of(seq).filter(|list| list.is_indexed()) {
            run.charge(list.items.len().saturating_mul(n).saturating_mul(size_of::<Value>()))?;
            let len = list.items.len().saturating_mul(n);
            return run.sequence(list.kind, list.items.iter().cycle().take(len).cloned().collect());
        }
    }
    arithmetic("*", a, b, i128::checked_mul, |x, y| x * y)
}

fn div(a: &Value, b: &Value) -> Result<Value, Error> {
    match (Number::of(a), Number::of(b)) {
        (Some(_), Some(y)) if y.as_f64() == 0.0 => Err(wrong("division by zero")),
        (Some(x), Some(y)) => Ok(Value::from(x.as_f64() / y.as_f64())),
        _ => Err(unsupported("/", a, b)),
    }
}

fn floor_div(a: &Value, b: &Value) -> Result<Value, Error> {
    if Number::of(b).is_some_and(|y| y.as_f64() == 0.0) {
        return Err(wrong("integer division or modulo by zero"));
    }
    let floor = |x: i128, y: i128| {
        let quotient = x.checked_div(y)?;
        Some(if x % y != 0 && (x < 0) != (y < 0) { quotient - 1 } else { quotient })
    };
    arithmetic("//", a, b, floor, |x, y| (x / y).floor())
}

fn rem(run: &Run, a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(pattern) = Str::of(a) {
        return format::percent(run, pattern, b);
    }
    if Number::of(b).is_some_and(|y| y.as_f64() == 0.0) {
        return Err(wrong("integer division or modulo by zero"));
    }
    let int = |x: i128, y: i128| {
        let r = x.checked_rem(y)?;
        Some(if r != 0 && (r < 0) != (y < 0) { r + y } else { r })
    };
    let float = |x: f64, y: f64| {
        let r = x % y;
        if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r }
    };
    arithmetic("%", a, b, int, float)
}

fn pow(a: &Value, b: &Value) -> Result<Value, Error> {
    if let Some(Number::Int(y)) = Number::of(b)
        && y < 0
        && let Some(x) = Number::of(a)
    {
        return Ok(Value::from(x.as_f64().powf(y as f64)));
    }
    let int = |x: i128, y: i128| x.checked_pow(u32::try_from(y).ok()?);
    arithmetic("**", a, b, int, f64::powf)
}

/// What it costs to look at one of two values: lists that hold one list twice, many levels deep,
/// have few bytes and very many places.
const NODE: usize = 32;

/// `a == b`.
pub(crate) fn equal(run: &Run, a: &Value, b: &Value) -> Result<bool, Error> {
    run.charge(NODE)?;
    if let (Some(x), Some(y)) = (Str::of(a), Str::of(b)) {
        return Ok(x.s == y.s);
    }
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return Ok(match (x, y) {
            (Number::Int(x), Number::Int(y)) => x == y,
            _ => x.as_f64() == y.as_f64(),
        });
    }
    if let (Some(x), Some(y)) = (List::of(a), List::of(b)) {
        if x.kind != y.kind || x.items.len() != y.items.len() {
            return Ok(false);
        }
        for (x, y) in x.items.iter().zip(&y.items) {
            if !equal(run, x, y)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if let (Some(x), Some(y)) = (Dict::of(a), Dict::of(b)) {
        if x.entries.len() != y.entries.len() {
            return Ok(false);
        }
        for (key, value) in &x.entries {
            match y.get(key) {
                Some(other) if equal(run, value, other)? => {}
                _ => return Ok(false),
            }
        }
        return Ok(true);
    }
    // Of objects that are neither, no template asks.
    Ok(matches!(
        (a.kind(), b.kind()),
        (ValueKind::None, ValueKind::None) | (ValueKind::Undefined, ValueKind::Undefined)
    ))
}

/// The order of two values, of kinds that have one.
pub(crate) fn compare(run: &Run, a: &Value, b: &Value) -> Result<Ordering, Error> {
    run.charge(NODE)?;
    if let (Some(x), Some(y)) = (Str::of(a), Str::of(b)) {
        return Ok(x.s.cmp(y.s));
    }
    if let (Some(x), Some(y)) = (Number::of(a), Number::of(b)) {
        return Ok(match (x, y) {
            (Number::Int(x), Number::Int(y)) => x.cmp(&y),
            _ => x.as_f64().partial_cmp(&y.as_f64()).unwrap_or(Ordering::Equal),
        });
    }
    if let (Some(x), Some(y)) = (List::of(a), List::of(b)) {
        for (x, y) in x.items.iter().zip(&y.items) {
            match compare(run, x, y)? {
                Ordering::Equal => {}
                other => return Ok(other),
            }
        }
        return Ok(x.items.len().cmp(&y.items.len()));
    }
    Err(wrong(format!("'{}' and '{}' have no order", type_name(a), type_name(b))))
}

/// `value in container`.
pub(crate) fn contains(run: &Run, container: &Value, value: &Value) -> Result<bool, Error> {
    if let Some(text) = Str::of(container) {
        let Some(part) = Str::of(value) else {
            let other = type_name(value);
            return Err(wrong(format!("'in <string>' requires string, not {other}")));
        };
        run.charge(text.s.len() / 16 + 1)?;
        return Ok(text.s.contains(part.s));
    }
    if let Some(dict) = Dict::of(container) {
        return Ok(dict.get(value).is_some());
    }
    for one in items(run, container)? {
        if equal(run, &one, value)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `a < b <= c …`: the first value, then operators' names and values in turn.
fn chain(cx: &mut Cx<'_, '_, '_, '_>, args: &Args) -> Result<Value, Error> {
    let mut left = args.at(0);
    for pair in args.values[1..].chunks_exact(2) {
        let name = pair[0].as_str().unwrap_or_default();
        let right = pair[1].clone();
        let operator = OPERATORS.iter().find(|(known, _)| *known == name);
        let (_, op) = operator.ok_or_else(|| wrong("unknown comparison"))?;
        let pair = Args { values: vec![left, right.clone()], named: Vec::new() };
        let holds = op(cx, &pair)?;
        if !holds.is_true() {
            return Ok(holds);
        }
        left = right;
    }
    Ok(Value::from(true))
}

/// `value.name`: methods before entries, as Python finds them.
fn attr(run: &Run, value: &Value, name: &Value) -> Result<Value, Error> {
    undefined(value, "asked for an attribute")?;
    let word = name.as_str().unwrap_or_default();
    if methods::exists(value, word) {
        run.charge(32)?;
        return Ok(Value::from_object(Method { receiver: value.clone() }));
    }
    Ok(entry(value, name))
}

/// `value[key]`: entries before methods. What is not there is undefined.
pub(crate) fn item(run: &Run, value: &Value, key: &Value) -> Result<Value, Error> {
    undefined(value, "asked for an item")?;
    let found = entry(value, key);
    if !found.is_undefined() {
        return Ok(found);
    }
    match Str::of(key) {
        Some(name) if methods::exists(value, name.s) => attr(run, value, &Value::from(name.s)),
        _ => Ok(found),
    }
}

fn entry(value: &Value, key: &Value) -> Value {
    let found = if let Some(dict) = Dict::of(value) {
        dict.get(key).cloned()
    } else if let Some(namespace) = value.downcast_object_ref::<Namespace>() {
        Str::of(key).and_then(|name| namespace.get(name.s))
    } else if let Some(list) = List::of(value) {
        place(key, list.items.len())
            .filter(|_| list.is_indexed())
            .and_then(|at| list.items.get(at).cloned())
    } else if let Some(text) = Str::of(value) {
        let len = text.s.chars().count();
        place(key, len).and_then(|at| text.chars().nth(at)).map(|(c, quoted)| {
            let mut one = Text::default();
            one.push_char(c, quoted);
            one.into_value()
        })
    } else if value.as_object().is_some() {
        value.get_item(key).ok()
    } else {
        None
    };
    found.unwrap_or(Value::UNDEFINED)
}

/// An index into `len` items; a negative one counts from the end.
fn place(key: &Value, len: usize) -> Option<usize> {
    let Some(Number::Int(i)) = Number::of(key) else { return None };
    usize::try_from(if i < 0 { i + len as i128 } else { i }).ok().filter(|&at| at < len)
}

fn slice(
    run: &Run,
    value: &Value,
    start: &Value,
    stop: &Value,
    step: &Value,
) -> Result<Value, Error> {
    undefined(value, "sliced")?;
    let bound =
        |v: &Value| if v.is_none() { Ok(None) } else { integer(v, "slice index").map(Some) };
    let (start, stop, step) = (bound(start)?, bound(stop)?, bound(step)?.unwrap_or(1));
    if step == 0 {
        return Err(wrong("slice step cannot be zero"));
    }
    if let Some(text) = Str::of(value) {
        run.charge(text.s.len())?;
        let chars: Vec<_> = text.chars().collect();
        let mut out = Text::default();
        for at in places(chars.len(), start, stop, step) {
            out.push_char(chars[at].0, chars[at].1);
        }
        return Ok(out.into_value());
    }
    match List::of(value).filter(|list| list.is_indexed()) {
        Some(list) => {
            let places = places(list.items.len(), start, stop, step);
            run.sequence(list.kind, places.map(|at| list.items[at].clone()).collect())
        }
        None => Err(wrong(format!("'{}' object cannot be sliced", type_name(value)))),
    }
}

/// The indices that `[start:stop:step]` takes of `len` items.
fn places(
    len: usize,
    start: Option<i64>,
    stop: Option<i64>,
    step: i64,
) -> impl Iterator<Item = usize> {
    let len = len as i64;
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |i: i64| if i < 0 { i.saturating_add(len) } else { i }.clamp(low, high);
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let stop = stop.map_or(if step > 0 { high } else { low }, clamp);
    let mut at = start;
    std::iter::from_fn(move || {
        let inside = if step > 0 { at < stop } else { at > stop };
        let here = at;
        at = at.saturating_add(step);
        inside.then_some(here as usize)
    })
}

/// What a `for` walks, as a sequence that the engine knows how to walk.
fn iter(cx: &mut Cx<'_, '_, '_, '_>, args: &Args) -> Result<Value, Error> {
    let value = args.at(0);
    if value::List::of(&value).is_some() {
        return Ok(value);
    }
    let items = items(cx.run, &value)?;
    cx.run.list(items)
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn slices_take_what_python_takes() {
        let take = |len, a, b, c| places(len, a, b, c).collect::<Vec<_>>();
        assert_eq!(take(4, None, None, -1), [3, 2, 1, 0]);
        assert_eq!(take(4, Some(1), None, 1), [1, 2, 3]);
        assert_eq!(take(4, Some(-2), None, 1), [2, 3]);
        assert_eq!(take(4, None, Some(-1), 2), [0, 2]);
        assert_eq!(take(4, Some(9), Some(0), -2), [3, 1]);
        assert_eq!(take(4, Some(3), Some(-9), -1), [3, 2, 1, 0]);
        assert_eq!(take(0, None, None, -1), Vec::<usize>::new());
        assert_eq!(take(4, Some(2), Some(1), 1), Vec::<usize>::new());
    }
}
