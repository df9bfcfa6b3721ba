//! What an answer is held against. A score is from 0 to 1, and says why.

use serde_json::Value;

use super::{Case, Said};
use crate::error::Error;
use crate::expect::{self, Expect, Match};

/// How good an answer is.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// From 0 to 1.
    pub value: f64,
    /// What is wrong, where something is.
    pub why: String,
}

impl Score {
    /// Right.
    pub fn pass() -> Score {
        Score { value: 1.0, why: String::new() }
    }

    /// Wrong, and why.
    pub fn fail(why: impl Into<String>) -> Score {
        Score { value: 0.0, why: why.into() }
    }

    /// Right where something holds.
    pub fn of(holds: bool, why: impl FnOnce() -> String) -> Score {
        if holds { Score::pass() } else { Score::fail(why()) }
    }
}

/// Whoever judges answers.
pub trait Scorer: Send + Sync {
    /// What its figure is called.
    fn name(&self) -> &str;

    /// Judges an answer.
    ///
    /// # Errors
    /// It cannot be judged: the case lacks what is needed, or who judges cannot be asked. That counts as 0.
    fn score(&self, case: &Case, said: &Said) -> Result<Score, Error>;
}

/// A function with a name is a scorer.
impl<F> Scorer for (&'static str, F)
where
    F: Fn(&Case, &Said) -> Result<Score, Error> + Send + Sync,
{
    fn name(&self) -> &str {
        self.0
    }

    fn score(&self, case: &Case, said: &Said) -> Result<Score, Error> {
        self.1(case, said)
    }
}

/// What is right in a case, or why it cannot be judged.
fn right(case: &Case) -> Result<&Value, Score> {
    case.expected.as_ref().ok_or_else(|| Score::fail("the case does not say what is expected"))
}

/// A scorer over what is expected.
fn over(name: &'static str, judge: impl Fn(&Value, &Said) -> Score + Send + Sync) -> impl Scorer {
    (name, move |case: &Case, said: &Said| {
        Ok(right(case).map_or_else(|wrong| wrong, |right| judge(right, said)))
    })
}

/// A value as text, without the marks around one that is text.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answer is the expected text, but for blanks around it.
pub fn exact() -> impl Scorer {
    over("exact", |right, said| {
        let right = text(right);
        Score::of(said.text.trim() == right.trim(), || format!("expected {right:?}"))
    })
}

/// The answer holds the expected text, whatever the case; of a list, all of its texts, and the score is
/// the share that is there.
pub fn contains() -> impl Scorer {
    over("contains", |right, said| {
        let said = said.text.to_lowercase();
        let all: Vec<String> = match right {
            Value::Array(all) => all.iter().map(text).collect(),
            one => vec![text(one)],
        };
        let missing: Vec<&String> =
            all.iter().filter(|text| !said.contains(&text.to_lowercase())).collect();
        let value = 1.0 - missing.len() as f64 / all.len().max(1) as f64;
        let why = if missing.is_empty() { String::new() } else { format!("without {missing:?}") };
        Score { value, why }
    })
}

/// The answer fits the expected pattern from end to end: `*` stands for any characters, `?` for one.
pub fn like() -> impl Scorer {
    over("like", |right, said| {
        let right = text(right);
        let fits = expect::pattern(right.trim(), said.text.trim());
        Score::of(fits, || format!("not like {right:?}"))
    })
}

fn json_of(said: &Said) -> Result<Value, Score> {
    serde_json::from_str(said.text.trim()).map_err(|error| Score::fail(format!("no JSON: {error}")))
}

/// The answer is the expected JSON: the order of keys and blanks do not count.
pub fn equal_json() -> impl Scorer {
    over("equal_json", |right, said| match json_of(said) {
        Ok(value) => {
            let matching = Match::Equals { equals: right.clone() };
            Score::of(matching.fits(&value), || format!("{value} is not {right}"))
        }
        Err(wrong) => wrong,
    })
}

/// The answer is JSON with at least the expected parts.
pub fn subset_json() -> impl Scorer {
    over("subset_json", |right, said| match json_of(said) {
        Ok(value) => {
            Score::of(expect::subset(right, &value), || format!("{value} lacks some of {right}"))
        }
        Err(wrong) => wrong,
    })
}

/// The last number in the answer is the expected one, no further from it than `within`.
pub fn near(within: f64) -> impl Scorer {
    over("near", move |right, said| {
        let Some(right) = expect::number(right) else {
            return Score::fail("what is expected is no number");
        };
        match last_number(&said.text) {
            Some(number) => Score::of((number - right).abs() <= within, || {
                format!("{number} is not within {within} of {right}")
            }),
            None => Score::fail("there is no number in it"),
        }
    })
}

/// The last number of a text; marks between thousands do not count.
fn last_number(text: &str) -> Option<f64> {
    let belongs = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+' | 'e' | 'E');
    let words = text.split(|c: char| !belongs(c));
    let mut numbers = words.filter_map(|word| {
        let word = word.trim_matches([',', '.', 'e', 'E']).trim_end_matches(['-', '+']);
        let digits = word.contains(|c: char| c.is_ascii_digit());
        digits.then(|| word.replace(',', "").parse().ok())?
    });
    numbers.next_back()
}

/// The answer is what is expected, compared as its kind suggests: objects and lists as JSON with at least
/// these parts, numbers by their value, texts exactly.
pub fn expected() -> impl Scorer {
    ("expected", |case: &Case, said: &Said| match &case.expected {
        Some(Value::Object(_) | Value::Array(_)) => subset_json().score(case, said),
        Some(Value::Number(_)) => near(1e-9).score(case, said),
        _ => exact().score(case, said),
    })
}

/// The run is as its case expects ([`Case::calls`]).
pub fn calls() -> impl Scorer {
    ("calls", |case: &Case, said: &Said| {
        let Some(expected) = &case.calls else {
            return Ok(Score::fail("the case does not say which calls are expected"));
        };
        Ok(held(expected, said))
    })
}

/// The run is as a function of the case says.
pub fn trajectory(expected: impl Fn(&Case) -> Expect + Send + Sync) -> impl Scorer {
    ("trajectory", move |case: &Case, said: &Said| Ok(held(&expected(case), said)))
}

fn held(expected: &Expect, said: &Said) -> Score {
    match expected.check(&said.run) {
        Ok(()) => Score::pass(),
        Err(unmet) => Score::fail(unmet.complaints.join("; ")),
    }
}
