//! Plan and execute: a list of steps that the model writes under a schema, each done in a conversation of
//! its own, a new list where one fails, and an answer of what all of them gave.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::react::first_json;

/// Steps that a plan may have.
const STEPS_MAX: usize = 12;
/// Bytes of a step.
const STEP_BYTES_MAX: usize = 2_000;
/// How often a plan may be made anew.
pub(super) const REPLANS_MAX: u32 = 2;

/// A plan and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plan {
    pub steps: Vec<String>,
    /// What the first steps gave, those of given-up plans before them.
    pub results: Vec<(String, String)>,
    /// Steps of this plan that are done.
    pub done: usize,
    pub made: u32,
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// The model writes it.
    #[default]
    Making,
    /// Its steps are done.
    Doing,
    /// The model says what came of it.
    Concluding,
}

/// What a plan has to look like.
pub(super) fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "steps": {
                "type": "array",
                "items": { "type": "string", "minLength": 1, "maxLength": 300 },
                "minItems": 1,
                "maxItems": STEPS_MAX,
            },
        },
        "required": ["steps"],
        "additionalProperties": false,
    })
}

/// The steps of a plan that a model wrote, constrained or not.
///
/// # Errors
/// What the model is told.
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    let form = "the plan has to be JSON of the form {\"steps\": [\"…\", …]}";
    let start = text.find('{').ok_or(form)?;
    let (value, _) = first_json(&text[start..]).ok_or(form)?;
    let steps = value["steps"].as_array().ok_or(form)?;
    let steps: Option<Vec<String>> =
        steps.iter().map(|step| step.as_str().map(|text| text.trim().to_owned())).collect();
    let steps = steps.ok_or("each step of the plan has to be a text")?;
    if steps.is_empty() || steps.len() > STEPS_MAX {
        return Err(format!("a plan has 1 to {STEPS_MAX} steps, not {}", steps.len()));
    }
    if steps.iter().any(|step| step.is_empty() || step.len() > STEP_BYTES_MAX) {
        return Err("a step of the plan is empty or too long".into());
    }
    Ok(steps)
}

impl Plan {
    /// What whoever does the next step is told.
    pub(super) fn task(&self, wanted: &str) -> String {
        let mut text = format!("It is part of this task: {wanted}\n");
        for (step, result) in &self.results {
            text += &format!("\nDone: {step}\nResult: {result}\n");
        }
        text += &format!("\nDo this step alone, and say what it gave: {}", self.steps[self.done]);
        text
    }

    /// What the model concludes from.
    pub(super) fn report(&self) -> String {
        let mut text = String::from("All steps are done.\n");
        for (step, result) in &self.results {
            text += &format!("\nStep: {step}\nResult: {result}\n");
        }
        text + "\nNow give the answer to the task, and nothing else."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_a_list_of_steps() {
        let steps = ["a", "b"].map(String::from).to_vec();
        assert_eq!(parse("{\"steps\": [\"a\", \" b \"]}"), Ok(steps.clone()));
        assert_eq!(parse("Sure:\n```json\n{\"steps\": [\"a\", \"b\"]}\n```"), Ok(steps));
        let many = json!({"steps": vec!["x"; 13]}).to_string();
        for bad in ["", "1. a", "{\"steps\": []}", "{\"steps\": [1]}", "{\"steps\": [\"\"]}", &many]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
