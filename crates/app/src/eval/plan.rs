//! An evaluation as a file describes it: cases, scorers, bars, and how the model is asked. The file's
//! own form (JSON, TOML) is the reader's business; here it is a value.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use ondine_chat::{Format, Message, Request, Role, Sampling, Tool};
use serde::Deserialize;
use serde_json::Value;

use super::{Bar, CASES_MAX, Case, Eval, Said, judge, score};
use crate::error::Error;
use crate::llm::Llm;

/// What is wrong with a description, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct PlanError {
    /// Which file, line or key.
    pub place: String,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl PlanError {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> PlanError {
        PlanError { place: place.into(), what: what.into() }
    }

    pub(super) fn within(self, place: &str) -> PlanError {
        PlanError { place: format!("{place}, {}", self.place), ..self }
    }
}

/// An evaluation that was read.
///
/// ```
/// use ondine_app::eval::Plan;
///
/// let plan = Plan::from_value(serde_json::json!({
///     "system": "Answer in one word.",
///     "temperature": 0,
///     "scorers": [{"kind": "contains"}],
///     "bars": [{"score": "contains", "at_least": 0.8}],
///     "cases": [{"input": "The capital of France?", "expected": "Paris", "tags": ["facts"]}],
/// }), std::path::Path::new("."))?;
/// assert_eq!(plan.cases(), 1);
/// # Ok::<(), ondine_app::eval::PlanError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    described: Described,
    list: Vec<Case>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    /// For people.
    #[serde(default, rename = "about")]
    _about: Option<String>,
    #[serde(default)]
    system: Option<String>,
    #[serde(default)]
    schema: Option<Value>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    tools: Vec<Tool>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default = "usual")]
    scorers: Vec<Kind>,
    #[serde(default)]
    bars: Vec<Bar>,
    /// The cases, or a file of them beside the description, one a line.
    cases: Value,
}

fn usual() -> Vec<Kind> {
    vec![Kind::Expected]
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Expected,
    Exact,
    Contains,
    Like,
    EqualJson,
    SubsetJson,
    Calls,
    Near {
        #[serde(default)]
        within: f64,
    },
    Judge {
        question: String,
    },
}

impl Kind {
    /// The name of its figure, as its scorer has it.
    fn name(&self) -> &'static str {
        match self {
            Kind::Expected => "expected",
            Kind::Exact => "exact",
            Kind::Contains => "contains",
            Kind::Like => "like",
            Kind::EqualJson => "equal_json",
            Kind::SubsetJson => "subset_json",
            Kind::Calls => "calls",
            Kind::Near { .. } => "near",
            Kind::Judge { .. } => "judge",
        }
    }
}

/// Cases, a line each.
pub(super) fn lines(text: &str) -> Result<Vec<Case>, PlanError> {
    let mut cases = Vec::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let case = serde_json::from_str(line)
            .map_err(|error| PlanError::new(format!("line {}", n + 1), error.to_string()))?;
        if cases.len() == CASES_MAX {
            return Err(PlanError::new(format!("line {}", n + 1), "too many cases"));
        }
        cases.push(case);
    }
    Ok(cases)
}

/// A file beside the description, and nowhere else.
fn beside(folder: &Path, name: &str) -> Result<PathBuf, PlanError> {
    let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || name.is_empty() {
        return Err(PlanError::new("cases", format!("{name:?} is no file below the description")));
    }
    Ok(folder.join(name))
}

impl Plan {
    /// Reads a description. `folder` is where a file of cases is looked for.
    ///
    /// # Errors
    /// A key that is not known, a value of another kind, a bar of no scorer, two cases with one name.
    pub fn from_value(value: Value, folder: &Path) -> Result<Plan, PlanError> {
        let mut described: Described = serde_json::from_value(value)
            .map_err(|error| PlanError::new("the description", error.to_string()))?;
        let list = match described.cases.take() {
            Value::String(name) => super::cases(beside(folder, &name)?)?,
            Value::Array(cases) => {
                let case = |(n, case)| {
                    serde_json::from_value(case).map_err(|error: serde_json::Error| {
                        PlanError::new(format!("case {}", n + 1), error.to_string())
                    })
                };
                cases.into_iter().enumerate().map(case).collect::<Result<_, _>>()?
            }
            _ => return Err(PlanError::new("cases", "expected a list, or the name of a file")),
        };
        Plan { described, list }.sound()
    }

    /// Cases alone, one JSON object a line, each held against what it expects.
    ///
    /// # Errors
    /// A line is no case.
    pub fn from_lines(text: &str) -> Result<Plan, PlanError> {
        let empty = serde_json::json!({ "cases": [] });
        let mut described: Described = serde_json::from_value(empty)
            .map_err(|error| PlanError::new("the description", error.to_string()))?;
        let list = lines(text)?;
        if list.iter().all(|case| case.calls.is_some() && case.expected.is_none()) {
            described.scorers = vec![Kind::Calls];
        }
        Plan { described, list }.sound()
    }

    fn sound(self) -> Result<Plan, PlanError> {
        let plan = &self.described;
        if self.list.is_empty() {
            return Err(PlanError::new("cases", "there is none"));
        }
        if plan.schema.is_some() && plan.pattern.is_some() {
            return Err(PlanError::new("schema", "there is a pattern too: give one of them"));
        }
        let mut ids = BTreeSet::new();
        let named = self.list.iter().filter(|case| !case.id.is_empty());
        if let Some(twice) = named.clone().find(|case| !ids.insert(&case.id)) {
            return Err(PlanError::new("cases", format!("two are called {:?}", twice.id)));
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = plan.scorers.iter().find(|kind| !names.insert(kind.name())) {
            return Err(PlanError::new("scorers", format!("{} stands twice", twice.name())));
        }
        let tags: BTreeSet<&String> = self.list.iter().flat_map(|case| &case.tags).collect();
        for bar in &plan.bars {
            let wrong = |what: String| Err(PlanError::new("bars", what));
            if !names.contains(bar.score.as_str()) {
                return wrong(format!("there is no scorer {:?}; there are {names:?}", bar.score));
            }
            if !(0.0..=1.0).contains(&bar.at_least) {
                return wrong(format!("{} is no score; scores are from 0 to 1", bar.at_least));
            }
            if let Some(tag) = bar.tag.as_ref().filter(|tag| !tags.contains(tag)) {
                return wrong(format!("no case has the tag {tag:?}"));
            }
        }
        Ok(self)
    }

    /// How many cases there are.
    pub fn cases(&self) -> usize {
        self.list.len()
    }

    /// Whether the model's words are bound by a schema or a pattern.
    pub fn is_bound(&self) -> bool {
        self.described.schema.is_some() || self.described.pattern.is_some()
    }

    /// The evaluation. `judge` is the model that judges, where the description asks for one.
    pub fn eval(&self, judge_by: &Llm) -> Eval {
        let mut eval = Eval::new(self.list.iter().cloned());
        for kind in &self.described.scorers {
            eval = match kind {
                Kind::Expected => eval.scored_by(score::expected()),
                Kind::Exact => eval.scored_by(score::exact()),
                Kind::Contains => eval.scored_by(score::contains()),
                Kind::Like => eval.scored_by(score::like()),
                Kind::EqualJson => eval.scored_by(score::equal_json()),
                Kind::SubsetJson => eval.scored_by(score::subset_json()),
                Kind::Calls => eval.scored_by(score::calls()),
                Kind::Near { within } => eval.scored_by(score::near(*within)),
                Kind::Judge { question } => {
                    eval.scored_by(judge(judge_by.clone(), question.clone()))
                }
            };
        }
        self.described.bars.iter().cloned().fold(eval, Eval::bar)
    }

    /// The request that a case is.
    pub fn request(&self, case: &Case) -> Request {
        let plan = &self.described;
        let mut messages = case.messages();
        if let Some(system) = &plan.system
            && messages.first().is_none_or(|first| first.role != Role::System)
        {
            messages.insert(0, Message::system(system.as_str()));
        }
        let format = match (&plan.schema, &plan.pattern) {
            (Some(schema), _) => Format::Schema(schema.clone()),
            (None, Some(pattern)) => Format::Regex(pattern.clone()),
            (None, None) => Format::Text,
        };
        Request {
            format,
            tools: plan.tools.clone(),
            sampling: Sampling {
                temperature: plan.temperature,
                seed: plan.seed,
                ..Sampling::default()
            },
            max_tokens: plan.max_tokens,
            ..Request::new("", messages)
        }
    }

    /// What [`Eval::run`] runs: each case is one request to a model.
    pub fn program<'a>(
        &'a self,
        llm: &'a Llm,
    ) -> impl Fn(&Case) -> Result<Said, Error> + Sync + use<'a> {
        |case| Ok(llm.answer(self.request(case))?.into())
    }
}
