//! What the APIs have in common when they turn their shapes into a request: limits, and the words
//! for what is over them. It knows no API's fields; places in a body are told to it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ondine_chat::{Keep, Tool, ToolChoice};
use serde_json::{Value, json};

use crate::Limits;
use crate::trouble::Trouble;
use crate::wire::OneOr;

/// Characters of a tool's name, as all three APIs document or accept.
const TOOL_NAME_MAX: usize = 64;

/// A name for something that is new: not guessable from outside, and never the same twice.
pub(crate) fn id(prefix: &str) -> String {
    static KEYS: LazyLock<(RandomState, RandomState)> =
        LazyLock::new(|| (RandomState::new(), RandomState::new()));
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let word = |keys: &RandomState| {
        let mut hasher = keys.build_hasher();
        hasher.write_u64(count);
        hasher.finish()
    };
    format!("{prefix}{:016x}{:016x}", word(&KEYS.0), word(&KEYS.1))
}

/// How long a model stays: seconds as a number, or a time as a text. Less than nothing is always.
pub(crate) fn keep(path: &str, value: Option<&Value>) -> Result<Keep, Trouble> {
    let wrong = || Trouble::at(path, ondine_chat::NoTime.to_string());
    match value {
        None | Some(Value::Null) => Ok(Keep::Usual),
        Some(Value::String(text)) => text.parse().map_err(|_| wrong()),
        Some(Value::Number(number)) => match number.as_f64() {
            Some(seconds) if seconds < 0.0 => Ok(Keep::Always),
            Some(seconds) => Ok(Keep::Seconds(seconds.ceil() as u64)),
            None => Err(wrong()),
        },
        Some(_) => Err(wrong()),
    }
}

/// Seconds since 1970, whole.
pub(crate) fn now_s() -> u64 {
    // The clock is after 1970, and far from where a whole number ends.
    crate::log::now_s() as u64
}

/// A moment as RFC 3339 has it, in UTC.
pub(crate) fn rfc3339(since_1970_s: f64) -> String {
    let (whole, millis) = (since_1970_s as u64, (since_1970_s.fract() * 1000.0) as u64);
    let (days, second) = (whole / 86_400, whole % 86_400);
    // Years begin in March here, so that a leap day is the last of its year; eras of 400 years
    // are all alike (Howard Hinnant's `civil_from_days`).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let of_year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_days = of_era - (365 * of_year + of_year / 4 - of_year / 100);
    let from_march = (5 * of_days + 2) / 153;
    let day = of_days - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = of_year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// A number that has to lie within bounds.
pub(crate) fn within<T: PartialOrd + std::fmt::Display + Copy>(
    path: &str,
    value: Option<T>,
    bounds: RangeInclusive<T>,
) -> Result<Option<T>, Trouble> {
    match value {
        Some(value) if !bounds.contains(&value) => Err(Trouble::at(
            path,
            format!("expected a value from {} to {}", bounds.start(), bounds.end()),
        )),
        value => Ok(value),
    }
}

/// A list of no more than so many.
pub(crate) fn at_most(path: &str, got: usize, most: usize, of: &str) -> Result<(), Trouble> {
    if got > most { Err(Trouble::over(path, got, most, of)) } else { Ok(()) }
}

/// Texts that end an answer.
pub(crate) fn stops(
    limits: &Limits,
    path: &str,
    stop: Option<OneOr<String>>,
) -> Result<Vec<String>, Trouble> {
    let stops = match stop {
        None => Vec::new(),
        Some(OneOr::One(stop)) => vec![stop],
        Some(OneOr::Many(stops)) => stops,
    };
    at_most(path, stops.len(), limits.stops, "stop texts")?;
    for stop in &stops {
        at_most(path, stop.len(), limits.stop_bytes, "bytes in a stop text")?;
        if stop.is_empty() {
            return Err(Trouble::at(path, "a stop text is empty"));
        }
    }
    Ok(stops)
}

/// A schema of a size that may be compiled.
pub(crate) fn schema(limits: &Limits, path: &str, schema: Value) -> Result<Value, Trouble> {
    if !schema.is_object() {
        return Err(Trouble::at(path, "expected a JSON Schema, an object"));
    }
    let bytes = schema.to_string().len();
    at_most(path, bytes, limits.schema_bytes, "bytes of schema")?;
    Ok(schema)
}

/// A tool.
pub(crate) fn tool(
    limits: &Limits,
    path: &str,
    (name, description, parameters): (String, Option<String>, Option<Value>),
    parameters_name: &str,
) -> Result<Tool, Trouble> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > TOOL_NAME_MAX || !name.bytes().all(plain) {
        return Err(Trouble::at(
            format!("{path}.name"),
            format!("expected 1 to {TOOL_NAME_MAX} letters, digits, _ and -"),
        ));
    }
    let parameters = match parameters {
        None | Some(Value::Null) => json!({"type": "object", "properties": {}}),
        Some(parameters) => schema(limits, &format!("{path}.{parameters_name}"), parameters)?,
    };
    Ok(Tool { name, description: description.unwrap_or_default(), parameters })
}

/// The tools of a request, each read by `one`, which is told where it stands; no more than there may be.
pub(crate) fn tools<T>(
    limits: &Limits,
    tools: Option<Vec<T>>,
    one: impl Fn(T, &str) -> Result<Tool, Trouble>,
) -> Result<Vec<Tool>, Trouble> {
    let tools = tools.unwrap_or_default();
    at_most("tools", tools.len(), limits.tools, "tools")?;
    let read = |(index, tool)| one(tool, &format!("tools[{index}]"));
    tools.into_iter().enumerate().map(read).collect()
}

/// Tools have different names, and what must be called is there.
pub(crate) fn check_tools(
    limits: &Limits,
    tools: &[Tool],
    choice: &ToolChoice,
    choice_path: &str,
) -> Result<(), Trouble> {
    at_most("tools", tools.len(), limits.tools, "tools")?;
    for (index, tool) in tools.iter().enumerate() {
        if tools[..index].iter().any(|other| other.name == tool.name) {
            return Err(Trouble::at(format!("tools[{index}]"), "has the name of an earlier tool"));
        }
    }
    match choice {
        ToolChoice::Required if tools.is_empty() => {
            Err(Trouble::at(choice_path, "asks for a call, and there are no tools"))
        }
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(Trouble::at(choice_path, "names a tool that is not among the tools"))
        }
        _ => Ok(()),
    }
}

/// The arguments of a call in a conversation so far: JSON in a string.
pub(crate) fn arguments(limits: &Limits, path: &str, text: &str) -> Result<Value, Trouble> {
    if text.trim().is_empty() {
        return Ok(json!({}));
    }
    let value = crate::wire::json(text.as_bytes(), limits)
        .map_err(|_| Trouble::at(path, "expected a JSON object in a string"))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(Trouble::at(path, "expected a JSON object in a string"))
    }
}

/// Texts of parts, one below the other.
pub(crate) fn joined(parts: Vec<String>) -> String {
    parts.join("\n")
}

/// A number as JSON has it; what JSON has no number for (a token that cannot come) is far down.
pub(crate) fn logprob(value: f32) -> f64 {
    if value.is_finite() { f64::from(value) } else { -9999.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_new_things_differ() {
        let (a, b) = (id("x-"), id("x-"));
        assert_ne!(a, b);
        assert_eq!((&a[..2], a.len()), ("x-", 34));
    }

    #[test]
    fn a_time_to_stay_is_a_number_or_a_text() {
        for (value, expected) in [
            (json!(null), Some(Keep::Usual)),
            (json!(0), Some(Keep::Seconds(0))),
            (json!(90), Some(Keep::Seconds(90))),
            (json!(0.5), Some(Keep::Seconds(1))),
            (json!(-1), Some(Keep::Always)),
            (json!(1e300), Some(Keep::Seconds(u64::MAX))),
            (json!("5m"), Some(Keep::Seconds(300))),
            (json!("-1"), Some(Keep::Always)),
            (json!("soon"), None),
            (json!(true), None),
            (json!([5]), None),
        ] {
            assert_eq!(keep("keep_alive", Some(&value)).ok(), expected, "{value}");
        }
        assert_eq!(keep("keep_alive", None).ok(), Some(Keep::Usual));
    }

    #[test]
    fn moments_are_dates() {
        for (since_s, expected) in [
            (0.0, "1970-01-01T00:00:00.000Z"),
            (951_782_400.5, "2000-02-29T00:00:00.500Z"),
            (951_868_799.0, "2000-02-29T23:59:59.000Z"),
            (1_735_689_599.0, "2024-12-31T23:59:59.000Z"),
            (4_107_542_400.0, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(since_s), expected);
        }
    }

    #[test]
    fn each_limit_holds_at_its_value_and_not_one_above() {
        let limits = Limits { stops: 2, stop_bytes: 3, schema_bytes: 10, ..Limits::default() };
        let many = |n: usize| Some(OneOr::Many(vec!["a".to_owned(); n]));
        let one = |text: &str| Some(OneOr::One(text.to_owned()));
        for (stop, good) in [
            (None, true),
            (many(0), true),
            (many(2), true),
            (many(3), false),
            (one("abc"), true),
            (one("abcd"), false),
            (one(""), false),
        ] {
            assert_eq!(stops(&limits, "stop", stop.clone()).is_ok(), good, "{stop:?}");
        }
        assert!(schema(&limits, "s", json!({"a": 1234})).is_ok(), "10 bytes");
        assert!(schema(&limits, "s", json!({"a": 12345})).is_err(), "11 bytes");
        assert!(schema(&limits, "s", json!(true)).is_err());
        for (value, good) in
            [(0.0, true), (2.0, true), (2.1, false), (-0.1, false), (f32::NAN, false)]
        {
            assert_eq!(within("t", Some(value), 0.0..=2.0).is_ok(), good, "{value}");
        }
    }

    #[test]
    fn tools_have_plain_names_once() {
        let limits = Limits { tools: 2, ..Limits::default() };
        let of =
            |name: &str| tool(&limits, "tools[0]", (name.to_owned(), None, None), "parameters");
        for (name, good) in [
            ("get_time-2", true),
            ("", false),
            ("a b", false),
            ("größe", false),
            (&"a".repeat(64), true),
            (&"a".repeat(65), false),
        ] {
            assert_eq!(of(name).is_ok(), good, "{name}");
        }
        let a = of("a").unwrap();
        let b = of("b").unwrap();
        let rows = [
            (vec![], ToolChoice::Auto, true),
            (vec![], ToolChoice::Required, false),
            (vec![a.clone()], ToolChoice::Required, true),
            (vec![a.clone()], ToolChoice::Named("a".into()), true),
            (vec![a.clone()], ToolChoice::Named("b".into()), false),
            (vec![a.clone(), a.clone()], ToolChoice::Auto, false),
            (vec![a.clone(), b.clone()], ToolChoice::None, true),
            (vec![a, b.clone(), b], ToolChoice::None, false),
        ];
        for (tools, choice, good) in rows {
            let checked = check_tools(&limits, &tools, &choice, "tool_choice");
            assert_eq!(checked.is_ok(), good, "{} {choice:?}", tools.len());
        }
    }

    #[test]
    fn arguments_are_objects() {
        let limits = Limits::default();
        for (text, expected) in [
            ("", Some(json!({}))),
            (r#"{"a":1}"#, Some(json!({"a": 1}))),
            ("[1]", None),
            ("x", None),
            (r#"{"a":1,"a":2}"#, None),
        ] {
            assert_eq!(arguments(&limits, "x", text).ok(), expected, "{text}");
        }
    }
}
