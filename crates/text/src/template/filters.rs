//! Jinja's filters, tests and functions, each set a table.

use std::cmp::Ordering;
use std::collections::HashSet;

use minijinja::value::ValueKind;
use minijinja::{Error, Value};

use super::methods::{pairs, printed};
use super::ops::{Args, Cx, Op, compare, contains, equal, int_value, item};
use super::text::{Str, Text};
use super::value::{
    Dict, Failure, Kind, List, Namespace, Number, Run, integer, items, print, type_name, wrong,
};
use super::{clock, format, json, words};

/// Filters by name; the subject is the first argument.
pub(crate) const FILTERS: &[(&str, Op)] = &[
    ("abs", |_, a| match Number::of(&a.at(0)) {
        Some(Number::Int(i)) => Ok(int_value(i.saturating_abs())),
        Some(Number::Float(f)) => Ok(Value::from(f.abs())),
        None => Err(wrong(format!("bad operand type for abs(): '{}'", type_name(&a.at(0))))),
    }),
    ("attr", |cx, a| match Dict::of(&a.at(0)) {
        Some(_) => Ok(Value::UNDEFINED),
        None => item(cx.run, &a.at(0), &a.at(1)),
    }),
    ("batch", batch),
    ("capitalize", |cx, a| cx.run.text(words::capitalize(printed(cx.run, a, 0)?.as_str()))),
    ("center", |cx, a| {
        let width = a.int(1, "width")?.unwrap_or(80);
        let text = printed(cx.run, a, 0)?;
        cx.run.text(format::pad(cx.run, text.as_str(), width, ' ', format::Align::Center)?)
    }),
    ("count", length),
    ("d", default),
    ("default", default),
    ("dictsort", dictsort),
    ("e", escape),
    ("escape", escape),
    ("first", |cx, a| Ok(items(cx.run, &a.at(0))?.first().cloned().unwrap_or(Value::UNDEFINED))),
    ("float", |cx, a| {
        Ok(to_float(cx.run, &a.at(0))?
            .map_or_else(|| a.get(1, "default").unwrap_or(Value::from(0.0)), Value::from))
    }),
    ("forceescape", |cx, a| cx.run.text(words::escape(printed(cx.run, a, 0)?.as_str()))),
    ("format", |cx, a| {
        let pattern = printed(cx.run, a, 0)?;
        let named = a.named.iter().map(|(key, value)| (Value::from(key.as_str()), value.clone()));
        let values = match a.named.is_empty() {
            true => cx.run.sequence(Kind::Tuple, a.skip(1).values)?,
            false => cx.run.dict(named.collect())?,
        };
        format::percent(cx.run, pattern.as_str(), &values)
    }),
    ("groupby", groupby),
    ("indent", indent),
    ("int", int),
    ("items", |cx, a| match Dict::of(&a.at(0)) {
        Some(dict) => pairs(cx.run, Kind::Generator, &dict.entries),
        None if a.at(0).is_undefined() => cx.run.sequence(Kind::Generator, Vec::new()),
        None => Err(wrong("can only get item pairs from a mapping")),
    }),
    ("join", join),
    ("last", |cx, a| Ok(items(cx.run, &a.at(0))?.last().cloned().unwrap_or(Value::UNDEFINED))),
    ("length", length),
    ("list", |cx, a| {
        let items = items(cx.run, &a.at(0))?;
        cx.run.list(items)
    }),
    ("lower", |cx, a| cx.run.text(printed(cx.run, a, 0)?.as_str().map_chars(char::to_lowercase))),
    ("map", map),
    ("max", |cx, a| extreme(cx, a, Ordering::Greater)),
    ("min", |cx, a| extreme(cx, a, Ordering::Less)),
    ("reject", |cx, a| choose(cx, a, false, false)),
    ("rejectattr", |cx, a| choose(cx, a, true, false)),
    ("replace", |cx, a| {
        let (text, old, new) =
            (printed(cx.run, a, 0)?, printed(cx.run, a, 1)?, printed(cx.run, a, 2)?);
        words::replace(cx.run, text.as_str(), old.as_str().s, new.as_str(), a.int(3, "count")?)
    }),
    ("reverse", |cx, a| {
        let value = a.at(0);
        let mut reversed = items(cx.run, &value)?;
        reversed.reverse();
        if Str::of(&value).is_none() {
            return cx.run.sequence(Kind::Generator, reversed);
        }
        let mut out = Text::default();
        reversed.iter().filter_map(Str::of).for_each(|c| out.push_str(c));
        cx.run.text(out)
    }),
    ("round", round),
    ("safe", |cx, a| cx.run.text(printed(cx.run, a, 0)?.into_markup())),
    ("select", |cx, a| choose(cx, a, false, true)),
    ("selectattr", |cx, a| choose(cx, a, true, true)),
    ("sort", sort),
    ("string", |cx, a| cx.run.text(printed(cx.run, a, 0)?)),
    ("sum", |cx, a| {
        let attribute = a.get(1, "attribute").filter(|name| !name.is_none());
        let mut total = a.get(2, "start").unwrap_or(Value::from(0));
        for value in items(cx.run, &a.at(0))? {
            let value = by_attribute(cx.run, &value, attribute.as_ref())?;
            total = super::ops::add(cx.run, &total, &value)?;
        }
        Ok(total)
    }),
    ("title", |cx, a| cx.run.text(words::title_filter(printed(cx.run, a, 0)?.as_str()))),
    ("tojson", |cx, a| json::tojson(cx.run, a)),
    ("trim", |cx, a| {
        let text = printed(cx.run, a, 0)?;
        let chars = a.get(1, "chars").filter(|chars| !chars.is_none());
        let chars = chars.as_ref().and_then(Str::of).map(|chars| chars.s);
        let text = text.as_str();
        cx.run.text(text.part(words::strip(text.s, chars, true, true)))
    }),
    ("truncate", truncate),
    ("unique", unique),
    ("upper", |cx, a| cx.run.text(printed(cx.run, a, 0)?.as_str().map_chars(char::to_uppercase))),
    ("urlencode", |cx, a| {
        let text = printed(cx.run, a, 0)?;
        let mut out = Text::default();
        for (c, quoted) in text.as_str().chars() {
            if c.is_ascii_alphanumeric() || "-_.~/".contains(c) {
                out.push_char(c, quoted);
            } else {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    out.push_piece(&format!("%{byte:02X}"), quoted);
                }
            }
        }
        cx.run.text(out)
    }),
    ("wordcount", |cx, a| {
        let text = printed(cx.run, a, 0)?;
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let words = text.as_str().s.split(|c| !word(c)).filter(|word| !word.is_empty()).count();
        Ok(Value::from(words))
    }),
];

/// Tests by name, as after `is`; also the first argument of `select` and its like.
pub(crate) const TESTS: &[(&str, Op)] = &[
    ("boolean", |_, a| Ok(Value::from(a.at(0).kind() == ValueKind::Bool))),
    ("callable", |_, a| Ok(Value::from(is_callable(&a.at(0))))),
    ("defined", |_, a| Ok(Value::from(!a.at(0).is_undefined()))),
    ("divisibleby", |_, a| {
        let (n, by) = (integer(&a.at(0), "value")?, integer(&a.at(1), "divisor")?);
        n.checked_rem(by).map(|r| Value::from(r == 0)).ok_or_else(|| wrong("division by zero"))
    }),
    ("eq", is_equal),
    ("equalto", is_equal),
    ("==", is_equal),
    ("escaped", |_, a| Ok(Value::from(Str::of(&a.at(0)).is_some_and(|text| text.is_markup)))),
    ("even", |_, a| Ok(Value::from(integer(&a.at(0), "value")? % 2 == 0))),
    ("false", |_, a| Ok(Value::from(a.at(0).kind() == ValueKind::Bool && !a.at(0).is_true()))),
    ("filter", |_, a| Ok(Value::from(known(FILTERS, &a.at(0))))),
    ("float", |_, a| Ok(Value::from(type_name(&a.at(0)) == "float"))),
    ("ge", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_ge()))),
    ("gt", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_gt()))),
    ("greaterthan", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_gt()))),
    ("in", |cx, a| Ok(Value::from(contains(cx.run, &a.at(1), &a.at(0))?))),
    ("integer", |_, a| Ok(Value::from(type_name(&a.at(0)) == "int"))),
    ("iterable", |_, a| {
        let value = a.at(0);
        let walks = Str::of(&value).is_some() || Dict::of(&value).is_some();
        Ok(Value::from(walks || List::of(&value).is_some() || value.is_undefined()))
    }),
    ("le", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_le()))),
    ("lt", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_lt()))),
    ("lessthan", |cx, a| Ok(Value::from(compare(cx.run, &a.at(0), &a.at(1))?.is_lt()))),
    ("lower", |_, a| Ok(Value::from(is_case(&a.at(0), char::is_lowercase, char::is_uppercase)))),
    ("mapping", |_, a| Ok(Value::from(Dict::of(&a.at(0)).is_some()))),
    ("ne", |cx, a| Ok(Value::from(!equal(cx.run, &a.at(0), &a.at(1))?))),
    ("none", |_, a| Ok(Value::from(a.at(0).is_none()))),
    ("number", |_, a| Ok(Value::from(Number::of(&a.at(0)).is_some()))),
    ("odd", |_, a| Ok(Value::from(integer(&a.at(0), "value")? % 2 != 0))),
    ("sameas", |cx, a| {
        let (x, y) = (a.at(0), a.at(1));
        Ok(Value::from(type_name(&x) == type_name(&y) && equal(cx.run, &x, &y)?))
    }),
    ("sequence", |_, a| {
        let value = a.at(0);
        let list = List::of(&value).is_some_and(List::is_indexed);
        let other = Str::of(&value).is_some() || Dict::of(&value).is_some();
        Ok(Value::from(list || other || value.is_undefined()))
    }),
    ("string", |_, a| Ok(Value::from(Str::of(&a.at(0)).is_some()))),
    ("test", |_, a| Ok(Value::from(known(TESTS, &a.at(0))))),
    ("true", |_, a| Ok(Value::from(a.at(0).kind() == ValueKind::Bool && a.at(0).is_true()))),
    ("undefined", |_, a| Ok(Value::from(a.at(0).is_undefined()))),
    ("upper", |_, a| Ok(Value::from(is_case(&a.at(0), char::is_uppercase, char::is_lowercase)))),
];

/// Functions that every template has. `strftime_now` is there only when the time is known.
pub(crate) const FUNCTIONS: &[(&str, Op)] = &[
    ("dict", |cx, a| {
        let mut entries = match a.values.first() {
            None => Vec::new(),
            Some(value) => match Dict::of(value) {
                Some(dict) => dict.entries.clone(),
                None => {
                    let pair = |value: Value| match items(cx.run, &value)?.as_slice() {
                        [key, value] => Ok((key.clone(), value.clone())),
                        _ => Err(wrong("dict() takes pairs")),
                    };
                    items(cx.run, value)?.into_iter().map(pair).collect::<Result<_, _>>()?
                }
            },
        };
        entries
            .extend(a.named.iter().map(|(key, value)| (Value::from(key.as_str()), value.clone())));
        cx.run.dict(entries)
    }),
    ("namespace", |cx, a| {
        let first = a.values.first().and_then(Dict::of);
        let mut entries: Vec<_> = first.map_or_else(Vec::new, |dict| {
            let entry =
                |(key, value): &(Value, Value)| Some((Str::of(key)?.s.to_owned(), value.clone()));
            dict.entries.iter().filter_map(entry).collect()
        });
        entries.extend(a.named.iter().cloned());
        cx.run.namespace(entries)
    }),
    ("raise_exception", |cx, a| {
        let (message, _) = print(cx.run, &a.at(0))?.into_parts();
        Err(Failure::Raised(message).into())
    }),
    ("range", |cx, a| {
        let (start, stop, step) = match a.values.len() {
            1 => (0, integer(&a.at(0), "range")?, 1),
            _ => {
                let step = a.values.get(2).map_or(Ok(1), |step| integer(step, "step"))?;
                (integer(&a.at(0), "start")?, integer(&a.at(1), "stop")?, step)
            }
        };
        if step == 0 {
            return Err(wrong("range() arg 3 must not be zero"));
        }
        let span = if step > 0 { stop.saturating_sub(start) } else { start.saturating_sub(stop) };
        let count = usize::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs() as usize);
        cx.run.charge(count.saturating_mul(size_of::<Value>()))?;
        let values = (0..count as i64).map(|i| Value::from(start + i * step));
        cx.run.sequence(Kind::View("range"), values.collect())
    }),
];

/// `strftime_now(format)`.
pub(crate) fn strftime_now(cx: &mut Cx<'_, '_, '_, '_>, args: &Args) -> Result<Value, Error> {
    let format = args.at(0);
    match (cx.run.now, Str::of(&format)) {
        (Some(now), Some(format)) => {
            cx.run.charge(format.s.len() * 16)?;
            cx.run.text(Text::from(clock::strftime(now, format.s)?.as_str()))
        }
        _ => Err(wrong("strftime_now takes a format")),
    }
}

fn known<T>(table: &[(&str, T)], name: &Value) -> bool {
    Str::of(name).is_some_and(|name| table.iter().any(|(known, _)| *known == name.s))
}

fn is_callable(value: &Value) -> bool {
    value.as_object().is_some()
        && Str::of(value).is_none()
        && Dict::of(value).is_none()
        && List::of(value).is_none()
        && value.downcast_object_ref::<Namespace>().is_none()
}

fn is_equal(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    Ok(Value::from(equal(cx.run, &a.at(0), &a.at(1))?))
}

fn is_case(value: &Value, want: fn(char) -> bool, refuse: fn(char) -> bool) -> bool {
    Str::of(value).is_some_and(|s| s.s.chars().any(want) && !s.s.chars().any(refuse))
}

fn length(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let value = a.at(0);
    let len = if let Some(text) = Str::of(&value) {
        cx.run.charge(text.s.len() / 16)?;
        text.s.chars().count()
    } else if let Some(dict) = Dict::of(&value) {
        dict.entries.len()
    } else if let Some(list) = List::of(&value).filter(|list| list.kind != Kind::Generator) {
        list.items.len()
    } else if value.is_undefined() {
        0
    } else {
        return Err(wrong(format!("object of type '{}' has no len()", type_name(&value))));
    };
    Ok(Value::from(len))
}

fn default(_: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let value = a.at(0);
    if value.is_undefined() || (a.flag(2, "boolean") && !value.is_true()) {
        Ok(a.get(1, "default_value").unwrap_or_else(|| Value::from("")))
    } else {
        Ok(value)
    }
}

fn escape(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    match Str::of(&a.at(0)) {
        Some(text) if text.is_markup => Ok(a.at(0)),
        _ => cx.run.text(words::escape(printed(cx.run, a, 0)?.as_str())),
    }
}

fn to_float(run: &Run, value: &Value) -> Result<Option<f64>, Error> {
    if let Some(number) = Number::of(value) {
        return Ok(Some(number.as_f64()));
    }
    let Some(text) = Str::of(value) else { return Ok(None) };
    run.charge(text.s.len())?;
    let digits = words::strip(text.s, None, true, true).replace('_', "");
    Ok(digits.parse().ok())
}

fn int(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let value = a.at(0);
    let base = a.int(2, "base")?.unwrap_or(10);
    if let Some(text) = Str::of(&value) {
        cx.run.charge(text.s.len())?;
        let digits = words::strip(text.s, None, true, true).replace('_', "");
        let plain = match base {
            16 => digits.trim_start_matches("0x"),
            8 => digits.trim_start_matches("0o"),
            2 => digits.trim_start_matches("0b"),
            _ => &digits,
        };
        if let Ok(i) = i64::from_str_radix(plain, u32::try_from(base).unwrap_or(10).clamp(2, 36)) {
            return Ok(Value::from(i));
        }
    }
    match (Number::of(&value), to_float(cx.run, &value)?) {
        (Some(Number::Int(i)), _) => Ok(int_value(i)),
        (_, Some(f)) if f.is_finite() => Ok(int_value(f.trunc() as i128)),
        _ => Ok(a.get(1, "default").unwrap_or(Value::from(0))),
    }
}

fn round(_: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let subject = Number::of(&a.at(0)).ok_or_else(|| wrong("round takes a number"))?;
    let number = subject.as_f64();
    let precision = a.int(1, "precision")?.unwrap_or(0).clamp(-300, 300) as i32;
    let method = a.get(2, "method");
    let is_int = matches!(subject, Number::Int(_));
    let scale = 10f64.powi(precision);
    let rounded = match method.as_ref().and_then(Str::of).map_or("common", |method| method.s) {
        // Through decimal digits, as Python rounds: halves go to even, and 2.675 is below a half.
        "common" if precision >= 0 => {
            format!("{number:.*}", precision as usize).parse().unwrap_or(number)
        }
        "common" => (number * scale).round_ties_even() / scale,
        "ceil" => (number * scale).ceil() / scale,
        "floor" => (number * scale).floor() / scale,
        _ => return Err(wrong("method must be common, ceil or floor")),
    };
    let common = method.as_ref().and_then(Str::of).is_none_or(|method| method.s == "common");
    Ok(if is_int && common { Value::from(rounded as i64) } else { Value::from(rounded) })
}

fn join(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let separator = match a.get(1, "d") {
        Some(value) => print(cx.run, &value)?,
        None => Text::default(),
    };
    let attribute = a.get(2, "attribute").filter(|name| !name.is_none());
    let mut out = Text::default();
    for (i, value) in items(cx.run, &a.at(0))?.iter().enumerate() {
        if i > 0 {
            cx.run.charge(separator.len())?;
            out.push_str(separator.as_str());
        }
        let value = by_attribute(cx.run, value, attribute.as_ref())?;
        out.push_str(print(cx.run, &value)?.as_str());
    }
    Ok(out.into_value())
}

fn indent(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let text = printed(cx.run, a, 0)?;
    let margin = match a.get(1, "width") {
        Some(value) if Str::of(&value).is_some() => print(cx.run, &value)?,
        Some(value) => {
            let width = usize::try_from(integer(&value, "width")?).unwrap_or(0);
            cx.run.charge(width)?;
            Text::from(" ".repeat(width).as_str())
        }
        None => Text::from("    "),
    };
    let (first, blank) = (a.flag(2, "first"), a.flag(3, "blank"));
    let mut out = Text::default();
    let source = text.as_str();
    let mut at = 0;
    for (i, line) in source.s.split('\n').enumerate() {
        if i > 0 {
            out.push_str(source.slice(at..at + 1).as_str());
            at += 1;
        }
        at += line.len();
        cx.run.charge(line.len() + margin.len())?;
        if (i > 0 || first) && (blank || !line.is_empty() || (i == 0 && first)) {
            out.push_str(margin.as_str());
        }
        out.push_str(source.part(line).as_str());
    }
    Ok(out.into_value())
}

fn truncate(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let text = printed(cx.run, a, 0)?;
    let length = usize::try_from(a.int(1, "length")?.unwrap_or(255)).unwrap_or(0);
    let end = match a.get(3, "end") {
        Some(value) => print(cx.run, &value)?,
        None => Text::from("..."),
    };
    let leeway = usize::try_from(a.int(4, "leeway")?.unwrap_or(5)).unwrap_or(0);
    let source = text.as_str();
    if source.s.chars().count() <= length.saturating_add(leeway) {
        return cx.run.text(text);
    }
    let keep = length.saturating_sub(end.as_str().s.chars().count());
    let at = source.s.char_indices().nth(keep).map_or(source.s.len(), |(at, _)| at);
    let kept = &source.s[..at];
    let kept = if a.flag(2, "killwords") {
        kept
    } else {
        kept.rsplit_once(' ').map_or(kept, |(before, _)| before)
    };
    let mut out = source.part(kept);
    out.push_str(end.as_str());
    cx.run.text(out)
}

/// `value.a.b.0` for an attribute given by name, or the value itself.
fn by_attribute(run: &Run, value: &Value, attribute: Option<&Value>) -> Result<Value, Error> {
    let Some(attribute) = attribute else { return Ok(value.clone()) };
    let Some(path) = Str::of(attribute) else { return item(run, value, attribute) };
    let mut found = value.clone();
    for part in path.s.split('.') {
        let key = part.parse::<i64>().map_or_else(|_| Value::from(part), Value::from);
        found = item(run, &found, &key)?;
    }
    Ok(found)
}

fn operation(table: &[(&str, Op)], kind: &str, name: &Value) -> Result<Op, Error> {
    let name = Str::of(name).map_or("", |name| name.s);
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, op)| *op).ok_or_else(|| wrong(format!("no {kind} named '{name}'")))
}

/// What `map`, `select` and their like walk: nothing if the value is false, `none` for one.
fn walked(cx: &Cx<'_, '_, '_, '_>, value: &Value) -> Result<Vec<Value>, Error> {
    if value.is_true() { items(cx.run, value) } else { Ok(Vec::new()) }
}

fn map(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let mut out = Vec::new();
    if let Some(attribute) = a.get(usize::MAX, "attribute") {
        let default = a.get(usize::MAX, "default");
        for value in walked(cx, &a.at(0))? {
            let found = by_attribute(cx.run, &value, Some(&attribute))?;
            out.push(match &default {
                Some(default) if found.is_undefined() => default.clone(),
                _ => found,
            });
        }
    } else {
        let op = operation(FILTERS, "filter", &a.at(1))?;
        let rest = a.skip(2);
        for value in walked(cx, &a.at(0))? {
            let values = std::iter::once(value).chain(rest.values.iter().cloned()).collect();
            out.push(op(cx, &Args { values, named: rest.named.clone() })?);
        }
    }
    cx.run.sequence(Kind::Generator, out)
}

/// `select`, `reject` and, by an attribute, `selectattr` and `rejectattr`.
fn choose(
    cx: &mut Cx<'_, '_, '_, '_>,
    a: &Args,
    attribute: bool,
    keep: bool,
) -> Result<Value, Error> {
    let skip = 1 + usize::from(attribute);
    let name = attribute.then(|| a.at(1));
    let op = match a.values.get(skip) {
        Some(test) => Some(operation(TESTS, "test", test)?),
        None => None,
    };
    let rest = a.skip(skip + 1);
    let mut out = Vec::new();
    for value in walked(cx, &a.at(0))? {
        let subject = by_attribute(cx.run, &value, name.as_ref())?;
        let holds = match op {
            Some(op) => {
                let values = std::iter::once(subject).chain(rest.values.iter().cloned()).collect();
                op(cx, &Args { values, named: rest.named.clone() })?.is_true()
            }
            None => subject.is_true(),
        };
        if holds == keep {
            out.push(value);
        }
    }
    cx.run.sequence(Kind::Generator, out)
}

/// A value to sort by: strings without their case unless it counts.
fn sort_key(run: &Run, value: &Value, case_sensitive: bool) -> Result<Value, Error> {
    match Str::of(value) {
        Some(text) if !case_sensitive => run.text(text.map_chars(char::to_lowercase)),
        _ => Ok(value.clone()),
    }
}

/// Sorts by the first of each pair, keeping the order of equals; `reverse` keeps it as well.
fn sorted(run: &Run, mut keyed: Vec<(Value, Value)>, reverse: bool) -> Result<Vec<Value>, Error> {
    let mut failed = None;
    keyed.sort_by(|(a, _), (b, _)| {
        let order = compare(run, a, b).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Ordering::Equal
        });
        if reverse { order.reverse() } else { order }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(keyed.into_iter().map(|(_, value)| value).collect()),
    }
}

fn sort(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let (reverse, case_sensitive) = (a.flag(1, "reverse"), a.flag(2, "case_sensitive"));
    let attribute = a.get(3, "attribute").filter(|name| !name.is_none());
    let keyed = |value: Value| {
        let key = by_attribute(cx.run, &value, attribute.as_ref())?;
        Ok((sort_key(cx.run, &key, case_sensitive)?, value))
    };
    let keyed = items(cx.run, &a.at(0))?.into_iter().map(keyed).collect::<Result<_, Error>>()?;
    cx.run.list(sorted(cx.run, keyed, reverse)?)
}

fn dictsort(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let value = a.at(0);
    let dict = Dict::of(&value).ok_or_else(|| wrong("dictsort takes a mapping"))?;
    let by = a.get(2, "by");
    let by_value = match by.as_ref().and_then(Str::of).map_or("key", |by| by.s) {
        "key" => false,
        "value" => true,
        _ => return Err(wrong("you can only sort by either \"key\" or \"value\"")),
    };
    let keyed = |(key, value): &(Value, Value)| {
        let by = if by_value { value } else { key };
        let pair = cx.run.sequence(Kind::Tuple, vec![key.clone(), value.clone()])?;
        Ok((sort_key(cx.run, by, a.flag(1, "case_sensitive"))?, pair))
    };
    let keyed = dict.entries.iter().map(keyed).collect::<Result<_, Error>>()?;
    cx.run.list(sorted(cx.run, keyed, a.flag(3, "reverse"))?)
}

fn extreme(cx: &mut Cx<'_, '_, '_, '_>, a: &Args, want: Ordering) -> Result<Value, Error> {
    let case_sensitive = a.flag(1, "case_sensitive");
    let attribute = a.get(2, "attribute").filter(|name| !name.is_none());
    let mut best: Option<(Value, Value)> = None;
    for value in items(cx.run, &a.at(0))? {
        let key = by_attribute(cx.run, &value, attribute.as_ref())?;
        let key = sort_key(cx.run, &key, case_sensitive)?;
        match &best {
            Some((held, _)) if compare(cx.run, &key, held)? != want => {}
            _ => best = Some((key, value)),
        }
    }
    Ok(best.map_or(Value::UNDEFINED, |(_, value)| value))
}

fn unique(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let case_sensitive = a.flag(1, "case_sensitive");
    let attribute = a.get(2, "attribute").filter(|name| !name.is_none());
    let mut others: Vec<Value> = Vec::new();
    let mut strings = HashSet::new();
    let mut out = Vec::new();
    for value in items(cx.run, &a.at(0))? {
        let key = by_attribute(cx.run, &value, attribute.as_ref())?;
        let key = sort_key(cx.run, &key, case_sensitive)?;
        let is_new = if let Some(text) = Str::of(&key) {
            cx.run.charge(text.s.len() + 32)?;
            strings.insert(text.s.to_owned())
        } else {
            let mut seen = false;
            for old in &others {
                seen = seen || equal(cx.run, old, &key)?;
            }
            if !seen {
                others.push(key.clone());
            }
            !seen
        };
        if is_new {
            out.push(value);
        }
    }
    cx.run.sequence(Kind::Generator, out)
}

fn groupby(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let attribute = a.get(1, "attribute");
    let default = a.get(2, "default");
    let case_sensitive = a.flag(3, "case_sensitive");
    let mut keyed = Vec::new();
    for value in items(cx.run, &a.at(0))? {
        let mut key = by_attribute(cx.run, &value, attribute.as_ref())?;
        if let Some(default) = default.as_ref().filter(|_| key.is_undefined()) {
            key = default.clone();
        }
        let order = sort_key(cx.run, &key, case_sensitive)?;
        let held = cx.run.list(vec![order.clone(), key, value])?;
        keyed.push((order, held));
    }
    let mut groups: Vec<(Value, Value, Vec<Value>)> = Vec::new();
    for held in sorted(cx.run, keyed, false)? {
        let [order, key, value] = items(cx.run, &held)?.try_into().unwrap_or_default();
        match groups.last_mut() {
            Some((last, _, group)) if equal(cx.run, last, &order)? => group.push(value),
            _ => groups.push((order, key, vec![value])),
        }
    }
    let pair = |(_, key, group): (Value, Value, Vec<Value>)| {
        let group = cx.run.list(group)?;
        cx.run.sequence(Kind::Tuple, vec![key, group])
    };
    cx.run.list(groups.into_iter().map(pair).collect::<Result<_, _>>()?)
}

fn batch(cx: &mut Cx<'_, '_, '_, '_>, a: &Args) -> Result<Value, Error> {
    let count = a.int(1, "linecount")?.unwrap_or(1).max(1) as usize;
    let fill = a.get(2, "fill_with").filter(|fill| !fill.is_none());
    let mut rows = Vec::new();
    for row in items(cx.run, &a.at(0))?.chunks(count) {
        let mut row = row.to_vec();
        if let Some(fill) = &fill {
            cx.run.charge((count - row.len()).saturating_mul(size_of::<Value>()))?;
            row.resize(count, fill.clone());
        }
        rows.push(cx.run.list(row)?);
    }
    cx.run.sequence(Kind::Generator, rows)
}
