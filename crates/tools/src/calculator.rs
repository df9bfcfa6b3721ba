//! The calculator: arithmetic that is exact for as long as it can be, units of measure, and days. English
//! and Chinese. It touches nothing but the clock's date, which questions such as "days until" need.
//!
//! | module | what it holds |
//! |---|---|
//! | `words` | characters become numbers, names and signs |
//! | `parse` | the grammar, evaluated as it is read |
//! | `number` | fractions of long numbers, and double precision where those end |
//! | `units` | the table of units |
//! | `functions` | functions by name |
//! | `dates` | arithmetic with days |

mod dates;
mod functions;
mod number;
mod parse;
mod units;
mod words;

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use ondine_app::{Context, Effect, FnTool, Tool, ToolError, ToolSpec};
use serde_json::{Value, json};

use crate::arguments::Arguments;

pub(crate) use words::chinese;

/// Bytes of an expression at most.
const EXPRESSION_BYTES_MAX: usize = 1000;
/// Brackets inside of each other at most.
const DEPTH_MAX: usize = 50;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at character {at}: {what}")]
pub struct Fault {
    /// Which character, counted from 1.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
}

/// What an expression comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worth {
    /// The number with its unit, the day, or the number of days.
    pub text: String,
    /// Whether that is all of it: 0.333333333333333 for 1/3 is not.
    pub exact: bool,
    /// A fraction that is exact where the decimal is not.
    pub fraction: Option<String>,
}

/// Words around an expression that say nothing.
const AROUND: &[&str] = &[
    "what is",
    "what's",
    "whats",
    "how much is",
    "how much are",
    "how many is",
    "calculate",
    "compute",
    "evaluate",
    "convert",
    "solve",
    "请问",
    "请计算",
    "计算一下",
    "计算",
    "算一下",
    "帮我算",
    "把",
    "将",
];
const BEHIND: &[&str] =
    &["equals", "等于多少", "等于几", "是多少", "得多少", "等于", "=", "?", "？", "是几", "的结果"];

/// What an expression comes to; `today` is for questions about days.
///
/// # Errors
/// What is wrong with it, and where.
///
/// ```
/// let today = jiff::civil::date(2026, 11, 22);
/// let worth = |text| ondine_tools::calculate(text, today).unwrap().text;
/// assert_eq!(worth("0.1 + 0.2"), "0.3");
/// assert_eq!(worth("3 ft 2 in to cm"), "96.52 cm");
/// assert_eq!(worth("2026-11-22 + 3 weeks"), "2026-12-13 (Sunday)");
/// assert_eq!(worth("100公里等于多少米"), "100000 m");
/// ```
pub fn calculate(expression: &str, today: Date) -> Result<Worth, Fault> {
    if expression.len() > EXPRESSION_BYTES_MAX {
        let what = format!("the expression has more than {EXPRESSION_BYTES_MAX} bytes");
        return Err(Fault { at: 1, what });
    }
    let mut inner = expression.trim();
    let lead = expression.chars().count() - expression.trim_start().chars().count();
    let mut skipped = lead;
    for words in AROUND {
        if let Some(head) = inner.get(..words.len())
            && head.eq_ignore_ascii_case(words)
            && inner.len() > words.len()
        {
            let rest = inner[words.len()..].trim_start();
            skipped += inner.chars().count() - rest.chars().count();
            inner = rest;
        }
    }
    loop {
        let cut = BEHIND.iter().find_map(|words| inner.strip_suffix(words));
        match cut {
            Some(rest) if !rest.trim().is_empty() => inner = rest.trim_end(),
            _ => break,
        }
    }
    let shifted = |fault: Fault| Fault { at: fault.at + skipped, ..fault };
    if let Some(answer) = dates::answer(inner, today) {
        let text = answer.map_err(shifted)?;
        return Ok(Worth { text, exact: true, fraction: None });
    }
    let words = words::words(inner).map_err(shifted)?;
    let answer = parse::Parser::new(&words, inner.chars().count()).all().map_err(shifted)?;
    let (number, whole) = answer.number.written();
    let text = if answer.unit.is_empty() { number } else { format!("{number} {}", answer.unit) };
    let exact = whole && answer.number.is_exact();
    let fraction = if whole { None } else { answer.number.fraction() };
    Ok(Worth { text, exact, fraction })
}

/// The tool `calculator`: one expression. Reads the clock for today's date alone.
pub fn calculator() -> Arc<dyn Tool> {
    calculator_at(|| jiff::Zoned::now().date())
}

/// The tool `calculator` of whoever says what day it is.
pub fn calculator_at(today: impl Fn() -> Date + Send + Sync + 'static) -> Arc<dyn Tool> {
    let spec = ToolSpec {
        name: "calculator".into(),
        description: "Work out arithmetic exactly, convert units of measure, and compute with dates. \
            Examples: 15% of 80; sqrt(2) + 2^10; 5 km in miles; 3 ft 2 in to cm; 2026-11-22 + 3 weeks; \
            days from 2026-01-01 to 2026-12-25. 计算、单位换算、日期"
            .into(),
        parameters: json!({
            "type": "object",
            "properties": {"expression": {
                "type": "string", "maxLength": EXPRESSION_BYTES_MAX, "description": "what to work out"
            }},
            "required": ["expression"],
            "additionalProperties": false,
        }),
        effect: Effect::Read,
        timeout: Duration::from_secs(5),
    };
    Arc::new(FnTool::new(spec, move |arguments: Value, _: &Context| {
        let mut arguments = Arguments::of(arguments, &["expression"])?;
        let expression = arguments.text("expression", EXPRESSION_BYTES_MAX)?;
        let worth = calculate(&expression, today())
            .map_err(|fault| ToolError::Arguments(fault.to_string()))?;
        let mut result = json!({"result": worth.text, "exact": worth.exact});
        if let Some(fraction) = worth.fraction {
            result["fraction"] = json!(fraction);
        }
        Ok(result)
    }))
}

#[cfg(test)]
mod tests;
