//! What came of an evaluation: figures with intervals, a table for people, an object for programs, bars
//! that hold or do not, and two models side by side.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};

use super::{Bar, Case, Said, bootstrap, sign_test, wilson};

/// Failures that a table shows.
const SHOWN_MAX: usize = 12;
/// Characters of a text in a table.
const WIDTH_MAX: usize = 100;

/// A case, what was said, and how it was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The case.
    pub case: Case,
    /// What was said; nothing where the program failed.
    pub said: Option<Said>,
    /// Why nothing was said.
    pub error: Option<String>,
    /// One for each scorer, in their order.
    pub grades: Vec<Graded>,
    /// How long the program took.
    pub took_s: f64,
}

/// A score of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Graded {
    /// From 0 to 1.
    pub value: f64,
    /// What is wrong, where something is; a judge's reason.
    pub why: String,
    /// Whether there was anything to judge, and the scorer could. Where not, the score is 0 and counts: who
    /// cannot be judged has not shown anything.
    pub judged: bool,
}

impl Graded {
    /// No judgement, and why.
    pub(super) fn none(why: String) -> Graded {
        Graded { value: 0.0, why, judged: false }
    }
}

/// A figure over many cases.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The scorer's name.
    pub name: String,
    /// Cases.
    pub cases: usize,
    /// The mean score.
    pub mean: f64,
    /// The lower end of the interval of 95 %: Wilson's where every score is 0 or 1, else bootstrapped.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// Figures of the cases with a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct TagRow {
    /// The tag.
    pub tag: String,
    /// One for each scorer.
    pub scores: Vec<Summary>,
}

/// A bar and whether it is reached.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What must be reached.
    pub bar: Bar,
    /// What is.
    pub is: f64,
    /// Whether that is enough.
    pub holds: bool,
}

/// What came of an evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// A figure for each scorer.
    pub scores: Vec<Summary>,
    /// The same by tag, in alphabetical order.
    pub tags: Vec<TagRow>,
    /// All cases, in their order.
    pub outcomes: Vec<Outcome>,
    /// The bars.
    pub bars: Vec<Row>,
    names: Vec<String>,
}

fn summary(name: &str, values: &[f64]) -> Summary {
    let n = values.len();
    let mean = values.iter().sum::<f64>() / n.max(1) as f64;
    let interval = match values.iter().all(|value| *value == 0.0 || *value == 1.0) {
        true => wilson(values.iter().filter(|value| **value == 1.0).count(), n),
        false => bootstrap(values),
    };
    Summary { name: name.to_owned(), cases: n, mean, low: interval.low, high: interval.high }
}

impl Report {
    pub(super) fn new(names: Vec<String>, outcomes: Vec<Outcome>, bars: Vec<Bar>) -> Report {
        let of = |tag: Option<&str>| -> Vec<Summary> {
            let chosen: Vec<&Outcome> = outcomes
                .iter()
                .filter(|outcome| tag.is_none_or(|tag| outcome.case.tags.iter().any(|t| t == tag)))
                .collect();
            let values = |at: usize| -> Vec<f64> {
                chosen.iter().filter_map(|outcome| Some(outcome.grades.get(at)?.value)).collect()
            };
            names.iter().enumerate().map(|(at, name)| summary(name, &values(at))).collect()
        };
        let scores = of(None);
        let all: BTreeSet<&String> =
            outcomes.iter().flat_map(|outcome| &outcome.case.tags).collect();
        let tags: Vec<TagRow> =
            all.into_iter().map(|tag| TagRow { tag: tag.clone(), scores: of(Some(tag)) }).collect();
        let row = |bar: Bar| {
            let rows = match &bar.tag {
                Some(tag) => tags.iter().find(|row| row.tag == *tag).map(|row| &row.scores),
                None => Some(&scores),
            };
            let found = rows.and_then(|rows| rows.iter().find(|row| row.name == bar.score));
            // A bar over nothing is not reached: a mistyped name must not pass a test.
            let is = found.filter(|row| row.cases > 0);
            let is = is.map_or(0.0, |row| if bar.surely { row.low } else { row.mean });
            let holds = found.is_some_and(|row| row.cases > 0) && is >= bar.at_least;
            Row { bar, is, holds }
        };
        let bars = bars.into_iter().map(row).collect();
        Report { scores, tags, outcomes, bars, names }
    }

    /// The figure of a scorer.
    pub fn score(&self, name: &str) -> Option<&Summary> {
        self.scores.iter().find(|score| score.name == name)
    }

    /// How many cases have a score that nobody judged: no answer came, or a scorer failed.
    pub fn unjudged(&self) -> usize {
        let all = |outcome: &&Outcome| {
            outcome.error.is_some() || outcome.grades.iter().any(|grade| !grade.judged)
        };
        self.outcomes.iter().filter(all).count()
    }

    /// Whether every bar is reached.
    ///
    /// # Errors
    /// One is not; the error is the whole table.
    pub fn holds(&self) -> Result<(), Shortfall> {
        match self.bars.iter().all(|row| row.holds) {
            true => Ok(()),
            false => Err(Shortfall(self.to_string())),
        }
    }

    /// The whole report as an object.
    pub fn json(&self) -> Value {
        let score = |row: &Summary| {
            json!({
                "name": row.name, "cases": row.cases, "mean": row.mean,
                "low": row.low, "high": row.high,
            })
        };
        let outcome = |outcome: &Outcome| {
            let grades = self.names.iter().zip(&outcome.grades);
            let grades: serde_json::Map<String, Value> = grades
                .map(|(name, grade)| {
                    (
                        name.clone(),
                        json!({ "score": grade.value, "why": grade.why, "judged": grade.judged }),
                    )
                })
                .collect();
            let said = outcome.said.as_ref();
            json!({
                "id": outcome.case.id,
                "input": outcome.case.input,
                "expected": outcome.case.expected,
                "tags": outcome.case.tags,
                "text": said.map(|said| &said.text),
                "calls": said.map(|said| &said.run.calls),
                "error": outcome.error,
                "scores": grades,
                "took_s": outcome.took_s,
                "usage": said.map(|said| said.usage),
            })
        };
        let bar = |row: &Row| {
            json!({
                "score": row.bar.score, "tag": row.bar.tag, "at_least": row.bar.at_least,
                "surely": row.bar.surely, "is": row.is, "holds": row.holds,
            })
        };
        json!({
            "scores": self.scores.iter().map(score).collect::<Vec<_>>(),
            "tags": self.tags.iter().map(|row| json!({
                "tag": row.tag, "scores": row.scores.iter().map(score).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "bars": self.bars.iter().map(bar).collect::<Vec<_>>(),
            "holds": self.bars.iter().all(|row| row.holds),
            "cases": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        })
    }
}

/// A table: a row for each figure, the bars, and what went wrong.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = Vec::new();
        let mut add = |place: &str, scores: &[Summary]| {
            rows.extend(scores.iter().map(|row| {
                let name = match place {
                    "" => row.name.clone(),
                    _ => format!("{} [{place}]", row.name),
                };
                let interval = format!("{:.3} to {:.3}", row.low, row.high);
                (name, row.cases.to_string(), format!("{:.3}", row.mean), interval)
            }));
        };
        add("", &self.scores);
        for row in &self.tags {
            add(&row.tag, &row.scores);
        }
        let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0).max(5);
        writeln!(f, "{:width$}  cases  score  95 % interval", "score")?;
        for (name, cases, mean, interval) in &rows {
            writeln!(f, "{name:width$}  {cases:>5}  {mean}  {interval}")?;
        }
        for row in &self.bars {
            let tag = row.bar.tag.as_ref().map(|tag| format!(" [{tag}]")).unwrap_or_default();
            let sure = if row.bar.surely { " (lower end)" } else { "" };
            let verdict = if row.holds { "reached" } else { "MISSED" };
            let (name, bar, is) = (&row.bar.score, row.bar.at_least, row.is);
            writeln!(f, "bar: {name}{tag}{sure} at least {bar}: {is:.3}, {verdict}")?;
        }
        let wrong: Vec<&Outcome> = self
            .outcomes
            .iter()
            .filter(|outcome| outcome.grades.iter().any(|grade| grade.value < 1.0))
            .collect();
        if !wrong.is_empty() {
            writeln!(f, "not perfect: {} of {} cases", wrong.len(), self.outcomes.len())?;
        }
        for outcome in wrong.iter().take(SHOWN_MAX) {
            let said = match (&outcome.said, &outcome.error) {
                (_, Some(error)) => format!("failed: {error}"),
                (Some(said), None) if said.text.is_empty() => {
                    let names: Vec<&str> =
                        said.run.calls.iter().map(|call| call.name.as_str()).collect();
                    format!("called {names:?}")
                }
                (Some(said), None) => format!("said {:?}", said.text),
                (None, None) => "said nothing".into(),
            };
            writeln!(f, "  {}: {}", short(&outcome.case.id), short(&said))?;
            for (name, grade) in self.names.iter().zip(&outcome.grades) {
                if grade.value < 1.0 && outcome.error.is_none() {
                    writeln!(f, "    {name} {:.2}: {}", grade.value, short(&grade.why))?;
                }
            }
        }
        if wrong.len() > SHOWN_MAX {
            writeln!(f, "  … and {} more", wrong.len() - SHOWN_MAX)?;
        }
        Ok(())
    }
}

fn short(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(WIDTH_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A bar that is not reached, with the table that shows it.
#[derive(Clone, PartialEq)]
pub struct Shortfall(String);

impl std::error::Error for Shortfall {}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a bar is not reached\n{}", self.0)
    }
}

/// The same, so that a test that ends with it can be read.
impl fmt::Debug for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Two programs on the same cases, case by case: much surer than two figures side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The scorer's name.
    pub name: String,
    /// Cases that both were asked.
    pub cases: usize,
    /// Cases on which the second is better.
    pub better: usize,
    /// Cases on which it is worse.
    pub worse: usize,
    /// How much better it is in the mean.
    pub difference: f64,
    /// The lower end of the difference's interval of 95 %, bootstrapped over the cases.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// How likely such a difference is between equals: the sign test, two-sided.
    pub p: f64,
}

impl Comparison {
    /// How much better the second report's program is by a scorer. Cases are paired by their ids.
    /// `None` where either has no such score, or there is no case in both.
    pub fn of(first: &Report, second: &Report, score: &str) -> Option<Comparison> {
        let at = |report: &Report| report.names.iter().position(|name| name == score);
        let (a, b) = (at(first)?, at(second)?);
        let others: std::collections::HashMap<&str, f64> = second
            .outcomes
            .iter()
            .map(|outcome| (outcome.case.id.as_str(), outcome.grades[b].value))
            .collect();
        let differences: Vec<f64> = first
            .outcomes
            .iter()
            .filter_map(|outcome| {
                Some(others.get(outcome.case.id.as_str())? - outcome.grades[a].value)
            })
            .collect();
        let cases = differences.len();
        if cases == 0 {
            return None;
        }
        let better = differences.iter().filter(|difference| **difference > 0.0).count();
        let worse = differences.iter().filter(|difference| **difference < 0.0).count();
        let interval = bootstrap(&differences);
        Some(Comparison {
            name: score.to_owned(),
            cases,
            better,
            worse,
            difference: differences.iter().sum::<f64>() / cases as f64,
            low: interval.low,
            high: interval.high,
            p: sign_test(better, worse),
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { name, cases, better, worse, difference, low, high, p } = self;
        write!(
            f,
            "{name}: {difference:+.3} ({low:+.3} to {high:+.3}) over {cases} cases; \
             better on {better}, worse on {worse}, p = {p:.4}"
        )
    }
}
