//! What a value may be: exactly this, text that holds that, a number near another, an object with these
//! parts. No regular expressions: nothing here takes longer than its input is long times its pattern.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a value may be. In a file it is an object with the one key that names it; anything else is a
/// value that must be equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Match {
    /// Exactly this; a text is compared without blanks around it, numbers by their value.
    Equals {
        /// The value.
        equals: Value,
    },
    /// Text that holds this, whatever the case.
    Contains {
        /// The text.
        contains: String,
    },
    /// Text that fits from end to end: `*` stands for any characters, `?` for one.
    Pattern {
        /// The pattern.
        pattern: String,
    },
    /// A number, or text that is one, not further from another than `within`.
    Near {
        /// The number.
        near: f64,
        /// How far it may be.
        #[serde(default)]
        within: f64,
    },
    /// An object with at least these parts, a list with at least these members.
    Subset {
        /// The parts.
        subset: Value,
    },
    /// Anything but nothing.
    Given {
        /// Whether something must be there, or must not.
        given: bool,
    },
    /// Exactly this, written without saying so.
    Value(Value),
}

impl Match {
    /// Whether a value is so. What is not there is null.
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Match::Equals { equals } | Match::Value(equals) => same(equals, value),
            Match::Contains { contains } => {
                let text = text(value).to_lowercase();
                !value.is_null() && text.contains(&contains.to_lowercase())
            }
            Match::Pattern { pattern: wanted } => !value.is_null() && pattern(wanted, &text(value)),
            Match::Near { near, within } => {
                number(value).is_some_and(|number| (number - near).abs() <= *within)
            }
            Match::Subset { subset: wanted } => subset(wanted, value),
            Match::Given { given } => *given != value.is_null(),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Match::Equals { equals } | Match::Value(equals) => write!(f, "{equals}"),
            Match::Contains { contains } => write!(f, "text with {contains:?}"),
            Match::Pattern { pattern } => write!(f, "text like {pattern:?}"),
            Match::Near { near, within } => write!(f, "{near} ± {within}"),
            Match::Subset { subset } => write!(f, "at least {subset}"),
            Match::Given { given: true } => write!(f, "something"),
            Match::Given { given: false } => write!(f, "nothing"),
        }
    }
}

/// A value as text: without the marks around one that is text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The number that a value is, or whose text it is.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
}

/// Whether two values are the same: 1 and 1.0 are, and texts with blanks around them.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::String(a), Value::String(b)) => a.trim() == b.trim(),
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// Whether `whole` has all parts of `part`: the keys of objects, the members of lists in their order.
pub(crate) fn subset(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| subset(value, other)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            let mut rest = whole.iter();
            part.iter().all(|value| rest.any(|other| subset(value, other)))
        }
        _ => same(part, whole),
    }
}

/// Whether a text fits a pattern from end to end. Greedy with one step back to the last star, so that the
/// time is bounded by the product of both lengths.
pub(crate) fn pattern(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // The last star, and where the text goes on behind what it stands for.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut star {
                Some((at, from)) => {
                    *from += 1;
                    (p, t) = (*at + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_fit_or_do_not() {
        let rows = [
            (json!(3), json!(3.0), true),
            (json!("tea"), json!(" tea\n"), true),
            (json!({"contains": "TEA"}), json!("green tea"), true),
            (json!({"contains": "tea"}), json!(null), false),
            (json!({"pattern": "a*c?"}), json!("abbcd"), true),
            (json!({"pattern": "a*c?"}), json!("abbcdd"), false),
            (json!({"pattern": "茶*"}), json!("茶叶"), true),
            (json!({"near": 2.5, "within": 0.01}), json!("2.505"), true),
            (json!({"near": 2.5}), json!(2.51), false),
            (json!({"near": 1, "within": 1}), json!("nan"), false),
            (json!({"subset": {"a": [2]}}), json!({"a": [1, 2], "b": 1}), true),
            (json!({"subset": {"a": [2, 1]}}), json!({"a": [1, 2]}), false),
            (json!({"given": true}), json!(false), true),
            (json!({"given": false}), json!(null), true),
            (json!({"equals": {"contains": "x"}}), json!({"contains": "x"}), true),
            (json!({"other": 1}), json!({"other": 1}), true),
        ];
        for (wanted, value, expected) in rows {
            let wanted: Match = serde_json::from_value(wanted).unwrap();
            assert_eq!(wanted.fits(&value), expected, "{wanted:?} {value}");
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let begun = std::time::Instant::now();
        assert!(!pattern(&"*a".repeat(200), &"b".repeat(20_000)));
        assert!(!pattern(&format!("{}c", "*a".repeat(50)), &"a".repeat(20_000)));
        assert!(begun.elapsed().as_secs() < 5);
    }
}
