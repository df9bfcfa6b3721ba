//! A small company writes the game 2048 and mends what its twenty rule tests find.
//!
//! ```text
//! cargo run -p company-2048                                                  # roles that are functions
//! cargo run --release -p company-2048 -- --model model.gguf --run-its-code   # a model of this machine
//! ONDINE_TOKEN=… cargo run -p company-2048 -- --model ondine --run-its-code   # the daemon; or https://host/v1
//! ```
//!
//! With a real model, what it writes is compiled and run on this machine: the flag says that you know.
//! What the code can do is bounded as `bench.rs` says. `--keep FOLDER` keeps every version of every file.

use std::process::ExitCode;

use company_2048::{RustBench, scripted, task};
use ondine::Open;
use ondine::app::Llm;
use ondine::app::company::{Artifacts, Company};

fn main() -> ExitCode {
    match make() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make() -> Result<bool, Box<dyn std::error::Error>> {
    let (mut model, mut keep, mut run) = (None, None, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
        match argument.as_str() {
            "--model" => model = Some(value()?),
            "--keep" => keep = Some(value()?),
            "--run-its-code" => run = true,
            other => {
                return Err(format!("{other}: there are --model, --keep and --run-its-code").into());
            }
        }
    }
    let llm = match model {
        None => scripted::company(&["a merged tile merges again"]),
        Some(_) if !run => {
            return Err(
                "what the model writes is compiled and run on this machine; --run-its-code says \
                        that you want that"
                    .into(),
            );
        }
        Some(model) => Llm::open(&model)?,
    };
    let artifacts = match keep {
        Some(folder) => Artifacts::in_folder(folder)?,
        None => Artifacts::in_memory(),
    };
    let task = task();
    let mut company = Company::new(&llm, artifacts);
    let made = company.make(&task, &RustBench { code: task.code.clone() })?;
    for (n, round) in made.rounds.iter().enumerate() {
        let (passed, failed) = (round.tested.passed.len(), round.tested.failed.len());
        println!("round {}: {passed} of {} rules pass", n + 1, passed + failed);
        for name in &round.tested.failed {
            println!("  fails: {name}");
        }
        if passed == 0 {
            println!("{}", round.tested.output);
        }
    }
    println!("{}", if made.is_good() { "the game is made" } else { "the game is not made" });
    Ok(made.is_good())
}
