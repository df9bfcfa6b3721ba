//! Repairs the forty programs of `data/` with and without retrieval and prints what became of each.
//!
//! ```text
//! cargo run --release -p repair
//! ```

use std::process::ExitCode;

use repair::judge::Judge;
use repair::shelf::Shelf;
use repair::{data, with_retrieval, without_retrieval};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let (judge, patterns) = (Judge::new()?, data::patterns());
    let shelf = Shelf::new(&patterns)?;
    let (mut asked, mut right, mut with, mut without) = (0, 0, 0, 0);
    println!("| program | right pair | repaired with | tries | without |");
    println!("|---|---|---|---|---|");
    for program in data::programs().iter().filter(|p| judge.knows(p.language)) {
        let found =
            with_retrieval(&judge, &shelf, &patterns, program).map_err(|e| e.to_string())?;
        let drawn = without_retrieval(&judge, &patterns, program, 1);
        asked += 1;
        right += usize::from(found.rank.is_some());
        with += usize::from(found.repaired.is_some());
        without += usize::from(drawn.repaired.is_some());
        println!(
            "| {} ({}) | {} | {} | {} | {} |",
            program.name,
            program.pattern,
            found.rank.map_or("–".into(), |r| r.to_string()),
            if found.repaired.is_some() { "yes" } else { "no" },
            found.tries,
            if drawn.repaired.is_some() { "yes" } else { "no" },
        );
    }
    println!(
        "\nright pair among the first five: {right} of {asked}; repaired: {with} with retrieval, {without} without"
    );
    Ok(())
}
