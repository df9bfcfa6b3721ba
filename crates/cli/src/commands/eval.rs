//! `ondine eval`: a file of cases, run against a model, with a figure and how sure it is.

use std::path::Path;
use std::sync::Arc;

use ondine_app::eval::{Plan, Report};
use ondine_app::trace::TraceFile;
use ondine_app::{Cancel, Llm, Recorder};
use serde_json::Value;

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::output::Answer;
use crate::progress::Progress;
use crate::{asking, commands, input, output};

/// Runs an evaluation and prints its table, or its report as an object.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let file = arguments.path_needed("file")?;
    let plan = read(file)?;
    if arguments.typed("replay") && (arguments.typed("model") || arguments.typed("record")) {
        return Err(Failure::usage("--replay asks no model: leave --model and --record out"));
    }
    let mut chat = match arguments.path("replay") {
        Some(path) => asking::recording(path)?,
        None => asking::open(arguments, plan.is_bound())?,
    };
    if let Some(path) = arguments.path("record") {
        let recorder = Recorder::create(path, chat).map_err(|error| {
            Failure::from_error(&error).hint("a recording is not written over: name a new file")
        })?;
        chat = Arc::new(recorder);
    }
    let trace = commands::trace::file(arguments, "words")?;

    let report = judged(&plan, &Llm::new(chat), arguments, trace.as_ref())?;
    if let Some(trace) = trace {
        trace.flushed().map_err(|error| Failure::from_error(&error))?;
    }
    if arguments.on("json") {
        Answer::new().line(report.json())?;
    } else {
        let mut answer = Answer::new();
        for line in report.to_string().lines() {
            answer.row(output::Shown(line))?;
        }
        answer.done()?;
    }
    let silent = report.unjudged();
    let missed = report.bars.iter().filter(|row| !row.holds).count();
    match missed {
        0 if silent > 0 => {
            let cases = report.outcomes.len();
            Err(Failure::new(format!("{silent} of {cases} cases were not answered or not judged"))
                .at(file.display())
                .hint("they count as 0 in the table; --json has the reasons"))
        }
        0 => Ok(()),
        _ => Err(Failure::new(format!("{missed} of {} bars are not reached", report.bars.len()))
            .at(file.display())
            .hint("the table says which; --json has every case with its reasons")),
    }
}

fn judged(
    plan: &Plan,
    llm: &Llm,
    arguments: &Arguments<'_>,
    trace: Option<&TraceFile>,
) -> Result<Report, Failure> {
    let progress = Progress::new("cases", plan.cases() as u64);
    let (watch, cancel) = (Watch::new(), Cancel::default());
    let stop = cancel.clone();
    let interrupted = Arc::new(watch);
    let seen = interrupted.clone();
    let eval =
        plan.eval(llm).parallel(arguments.count_or("parallel", 1)).stopped_by(cancel).watched(
            move |done, _| {
                progress.done(done as u64);
                if seen.interrupted() {
                    stop.now();
                }
            },
        );
    let program = plan.program(llm);
    let report = match trace {
        Some(trace) => trace.listen(|| eval.run(&program)),
        None => eval.run(&program),
    };
    interrupted.check()?;
    Ok(report)
}

/// A description by its ending: TOML, JSON, or cases alone, a line each.
fn read(path: &Path) -> Result<Plan, Failure> {
    let text = input::text(path)?;
    let at = |message: String| {
        Failure::new(message)
            .at(path.display())
            .hint("`ondine eval --help` shows what a description holds")
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let value: Value = match ending {
        "jsonl" => return Plan::from_lines(&text).map_err(|error| at(error.to_string())),
        "toml" => toml::from_str(&text).map_err(|error| at(error.to_string()))?,
        "json" => serde_json::from_str(&text).map_err(|error| at(error.to_string()))?,
        other => {
            return Err(at(format!(
                "{other:?} is no ending of a description; expected .toml, .json or .jsonl"
            )));
        }
    };
    Plan::from_value(value, folder).map_err(|error| at(error.to_string()))
}
