//! Python's methods of strings, dictionaries and lists. Those that would change their receiver are
//! refused, as the sandbox of the Hugging Face libraries refuses them.

use minijinja::{Error, Value};

use super::ops::{Args, Cx, equal};
use super::text::{Str, Text};
use super::value::{Dict, Kind, List, Namespace, Run, items, print, type_name, wrong};
use super::{format, words};

type StrMethod = fn(&Run, Str<'_>, &Args) -> Result<Value, Error>;

/// Methods of strings.
const STR: &[(&str, StrMethod)] = &[
    ("capitalize", |run, s, _| run.text(words::capitalize(s))),
    ("casefold", |run, s, _| run.text(s.map_chars(char::to_lowercase))),
    ("center", |run, s, a| {
        run.text(format::pad(run, s, width(a)?, fill(a)?, format::Align::Center)?)
    }),
    ("count", |_, s, a| Ok(Value::from(s.s.matches(string(a, 0)?.as_str()).count()))),
    ("endswith", |_, s, a| any_of(a, |part| s.s.ends_with(part))),
    ("find", |_, s, a| Ok(Value::from(index_of(s, s.s.find(&string(a, 0)?))))),
    ("format", |run, s, a| format::braces(run, s, a)),
    ("index", |_, s, a| match s.s.find(&string(a, 0)?) {
        Some(at) => Ok(Value::from(index_of(s, Some(at)))),
        None => Err(wrong("substring not found")),
    }),
    ("isalnum", |_, s, _| every(s, char::is_alphanumeric)),
    ("isalpha", |_, s, _| every(s, char::is_alphabetic)),
    ("isascii", |_, s, _| Ok(Value::from(s.s.is_ascii()))),
    ("isdecimal", |_, s, _| every(s, |c| c.is_ascii_digit())),
    ("isdigit", |_, s, _| every(s, |c| c.is_ascii_digit() || "²³¹⁰⁴⁵⁶⁷⁸⁹".contains(c))),
    ("islower", |_, s, _| cased(s, char::is_lowercase, char::is_uppercase)),
    ("isnumeric", |_, s, _| every(s, char::is_numeric)),
    ("isspace", |_, s, _| every(s, words::is_space)),
    ("isupper", |_, s, _| cased(s, char::is_uppercase, char::is_lowercase)),
    ("join", |run, s, a| {
        let mut out = Text::default();
        for (i, value) in items(run, &a.at(0))?.iter().enumerate() {
            let Some(part) = Str::of(value) else {
                let other = type_name(value);
                return Err(wrong(format!(
                    "sequence item {i}: expected str instance, {other} found"
                )));
            };
            run.charge(s.s.len() + part.s.len())?;
            if i > 0 {
                out.push_str(s);
            }
            out.push_str(part);
        }
        Ok(out.into_value())
    }),
    ("ljust", |run, s, a| run.text(format::pad(run, s, width(a)?, fill(a)?, format::Align::Left)?)),
    ("lower", |run, s, _| run.text(s.map_chars(char::to_lowercase))),
    ("lstrip", |run, s, a| strip(run, s, a, true, false)),
    ("partition", |run, s, a| partition(run, s, a, false)),
    ("removeprefix", |run, s, a| {
        run.text(s.part(s.s.strip_prefix(string(a, 0)?.as_str()).unwrap_or(s.s)))
    }),
    ("removesuffix", |run, s, a| {
        run.text(s.part(s.s.strip_suffix(string(a, 0)?.as_str()).unwrap_or(s.s)))
    }),
    ("replace", |run, s, a| {
        let (old, new) = (a.at(0), a.at(1));
        match (Str::of(&old), Str::of(&new)) {
            (Some(old), Some(new)) => words::replace(run, s, old.s, new, a.int(2, "count")?),
            _ => Err(wrong("replace() takes two strings")),
        }
    }),
    ("rfind", |_, s, a| Ok(Value::from(index_of(s, s.s.rfind(&string(a, 0)?))))),
    ("rjust", |run, s, a| {
        run.text(format::pad(run, s, width(a)?, fill(a)?, format::Align::Right)?)
    }),
    ("rpartition", |run, s, a| partition(run, s, a, true)),
    ("rsplit", |run, s, a| split(run, s, a, true)),
    ("rstrip", |run, s, a| strip(run, s, a, false, true)),
    ("split", |run, s, a| split(run, s, a, false)),
    ("splitlines", |run, s, a| {
        let parts = words::lines(s.s, a.flag(0, "keepends"));
        strings(run, s, parts.into_iter())
    }),
    ("startswith", |_, s, a| any_of(a, |part| s.s.starts_with(part))),
    ("strip", |run, s, a| strip(run, s, a, true, true)),
    ("swapcase", |run, s, _| {
        run.text(s.map_chars(|c| {
            let swapped: Vec<char> = if c.is_uppercase() {
                c.to_lowercase().collect()
            } else {
                c.to_uppercase().collect()
            };
            swapped
        }))
    }),
    ("title", |run, s, _| run.text(words::title(s))),
    ("upper", |run, s, _| run.text(s.map_chars(char::to_uppercase))),
    ("zfill", |run, s, a| run.text(format::zero_fill(run, s, width(a)?)?)),
];

type DictMethod = fn(&Run, &Dict, &Args) -> Result<Value, Error>;

/// Methods of dictionaries.
const DICT: &[(&str, DictMethod)] = &[
    ("get", |_, dict, a| {
        let found = dict.get(&a.at(0)).cloned();
        Ok(found.or_else(|| a.get(1, "default")).unwrap_or_else(|| Value::from(())))
    }),
    ("items", |run, dict, _| pairs(run, Kind::View("dict_items"), &dict.entries)),
    ("keys", |run, dict, _| {
        let keys = dict.entries.iter().map(|(key, _)| key.clone()).collect();
        run.sequence(Kind::View("dict_keys"), keys)
    }),
    ("values", |run, dict, _| {
        let values = dict.entries.iter().map(|(_, value)| value.clone()).collect();
        run.sequence(Kind::View("dict_values"), values)
    }),
    ("copy", |run, dict, _| run.dict(dict.entries.clone())),
];

type ListMethod = fn(&Run, &List, &Args) -> Result<Value, Error>;

/// Methods of lists and tuples.
const LIST: &[(&str, ListMethod)] = &[
    ("count", |run, list, a| {
        let mut count = 0;
        for item in &list.items {
            count += i64::from(equal(run, item, &a.at(0))?);
        }
        Ok(Value::from(count))
    }),
    ("index", |run, list, a| {
        for (at, item) in list.items.iter().enumerate() {
            if equal(run, item, &a.at(0))? {
                return Ok(Value::from(at));
            }
        }
        Err(wrong("value is not in the list"))
    }),
    ("copy", |run, list, _| run.sequence(list.kind, list.items.clone())),
];

/// Methods that change what they are called on.
const CHANGING: &[&str] = &[
    "append",
    "clear",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, method)| *method)
}

/// Whether values of this type have such a method.
pub(crate) fn exists(value: &Value, name: &str) -> bool {
    if Str::of(value).is_some() {
        find(STR, name).is_some()
    } else if Dict::of(value).is_some() {
        find(DICT, name).is_some() || CHANGING.contains(&name)
    } else if List::of(value).is_some() {
        find(LIST, name).is_some() || CHANGING.contains(&name)
    } else {
        false
    }
}

/// `receiver.name(...)`: the receiver, the name, then the arguments.
pub(crate) fn call(cx: &mut Cx<'_, '_, '_, '_>, args: &Args) -> Result<Value, Error> {
    let (receiver, name) = (args.at(0), args.at(1));
    let name = name.as_str().unwrap_or_default();
    let rest = args.skip(2);
    if receiver.is_undefined() {
        return Err(wrong(format!("cannot call '{name}' of an undefined value")));
    }
    let unsafe_change = || {
        let kind = type_name(&receiver);
        wrong(format!("access to attribute '{name}' of '{kind}' object is unsafe"))
    };
    if let Some(text) = Str::of(&receiver) {
        if let Some(method) = find(STR, name) {
            cx.run.charge(text.s.len())?;
            return method(cx.run, text, &rest);
        }
    } else if let Some(dict) = Dict::of(&receiver) {
        if let Some(method) = find(DICT, name) {
            return method(cx.run, dict, &rest);
        }
        if CHANGING.contains(&name) {
            return Err(unsafe_change());
        }
        if let Some(value) = dict.get_str(name) {
            return Err(wrong(format!("'{}' object is not callable", type_name(value))));
        }
    } else if let Some(list) = List::of(&receiver) {
        if let Some(method) = find(LIST, name) {
            return method(cx.run, list, &rest);
        }
        if CHANGING.contains(&name) {
            return Err(unsafe_change());
        }
    } else if let Some(namespace) = receiver.downcast_object_ref::<Namespace>() {
        if let Some(value) = namespace.get(name) {
            return value.call(cx.state, &rest.raw());
        }
    } else if receiver.as_object().is_some() {
        // The engine's own objects: loops and macros.
        return receiver.call_method(cx.state, name, &rest.raw());
    }
    Err(wrong(format!("'{}' object has no attribute '{name}'", type_name(&receiver))))
}

/// A sequence of pairs, such as `dict.items()`.
pub(crate) fn pairs(run: &Run, kind: Kind, entries: &[(Value, Value)]) -> Result<Value, Error> {
    let pair =
        |(key, value): &(Value, Value)| run.sequence(Kind::Tuple, vec![key.clone(), value.clone()]);
    run.sequence(kind, entries.iter().map(pair).collect::<Result<_, _>>()?)
}

fn string(args: &Args, i: usize) -> Result<String, Error> {
    let value = args.at(i);
    match Str::of(&value) {
        Some(text) => Ok(text.s.to_owned()),
        None => Err(wrong(format!("must be str, not {}", type_name(&value)))),
    }
}

fn width(args: &Args) -> Result<i64, Error> {
    Ok(args.int(0, "width")?.unwrap_or(0))
}

fn fill(args: &Args) -> Result<char, Error> {
    match args.get(1, "fillchar") {
        None => Ok(' '),
        Some(value) => {
            let mut chars = Str::of(&value).map_or("", |fill| fill.s).chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(c),
                _ => Err(wrong("the fill character must be exactly one character long")),
            }
        }
    }
}

/// A byte offset as an index of characters; -1 for none.
fn index_of(s: Str<'_>, at: Option<usize>) -> i64 {
    at.map_or(-1, |at| s.s[..at].chars().count() as i64)
}

fn every(s: Str<'_>, test: impl Fn(char) -> bool) -> Result<Value, Error> {
    Ok(Value::from(!s.s.is_empty() && s.s.chars().all(test)))
}

fn cased(s: Str<'_>, want: fn(char) -> bool, refuse: fn(char) -> bool) -> Result<Value, Error> {
    Ok(Value::from(s.s.chars().any(want) && !s.s.chars().any(refuse)))
}

/// `startswith` and `endswith` take a string or a tuple of strings.
fn any_of(args: &Args, test: impl Fn(&str) -> bool) -> Result<Value, Error> {
    let value = args.at(0);
    if let Some(part) = Str::of(&value) {
        return Ok(Value::from(test(part.s)));
    }
    match List::of(&value).filter(|list| list.kind == Kind::Tuple) {
        Some(list) => {
            Ok(Value::from(list.items.iter().filter_map(Str::of).any(|part| test(part.s))))
        }
        None => Err(wrong(format!(
            "first arg must be str or a tuple of str, not {}",
            type_name(&value)
        ))),
    }
}

fn strip(run: &Run, s: Str<'_>, args: &Args, left: bool, right: bool) -> Result<Value, Error> {
    let chars = args.get(0, "chars").filter(|chars| !chars.is_none());
    let chars = match &chars {
        Some(value) => Some(Str::of(value).ok_or_else(|| wrong("strip arg must be None or str"))?),
        None => None,
    };
    run.text(s.part(words::strip(s.s, chars.map(|c| c.s), left, right)))
}

fn partition(run: &Run, s: Str<'_>, args: &Args, from_right: bool) -> Result<Value, Error> {
    let sep = string(args, 0)?;
    if sep.is_empty() {
        return Err(wrong("empty separator"));
    }
    let found = if from_right { s.s.rfind(&sep) } else { s.s.find(&sep) };
    let (at, end) = match found {
        Some(at) => (at, at + sep.len()),
        None if from_right => (0, 0),
        None => (s.s.len(), s.s.len()),
    };
    let parts = [0..at, at..end, end..s.s.len()].map(|range| s.slice(range).into_value());
    run.sequence(Kind::Tuple, parts.to_vec())
}

fn split(run: &Run, s: Str<'_>, args: &Args, from_right: bool) -> Result<Value, Error> {
    let sep = args.get(0, "sep").filter(|sep| !sep.is_none());
    let max = args.int(1, "maxsplit")?.and_then(|max| usize::try_from(max).ok());
    // Each part is a value of its own, so many empty ones cost more than their bytes.
    let Some(sep) = sep else {
        run.charge(s.s.len() * 8)?;
        return strings(run, s, words::split_spaces(s.s, max, from_right).into_iter());
    };
    let sep = Str::of(&sep).ok_or_else(|| wrong("must be str or None"))?;
    if sep.s.is_empty() {
        return Err(wrong("empty separator"));
    }
    run.charge(s.s.len() / sep.s.len() * 2 * size_of::<Value>())?;
    let limit = max.map_or(usize::MAX, |max| max.saturating_add(1));
    if from_right {
        let mut parts: Vec<&str> = s.s.rsplitn(limit, sep.s).collect();
        parts.reverse();
        strings(run, s, parts.into_iter())
    } else {
        strings(run, s, s.s.splitn(limit, sep.s))
    }
}

fn strings<'a>(
    run: &Run,
    s: Str<'a>,
    parts: impl Iterator<Item = &'a str>,
) -> Result<Value, Error> {
    let parts = parts.map(|part| run.text(s.part(part))).collect::<Result<_, _>>()?;
    run.list(parts)
}

/// The string form of an argument, for filters that convert.
pub(crate) fn printed(run: &Run, args: &Args, i: usize) -> Result<Text, Error> {
    print(run, &args.at(i))
}
