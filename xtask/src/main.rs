//! Chores of the repository, run as `cargo xtask NAME`. Ships nothing and knows no product code:
//! it reads sources and manifests as text.

mod pictures;
mod repo;
mod source;
mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => tidy::run(),
        ["pictures"] => pictures::run(),
        _ => {
            eprintln!(
                "usage: cargo xtask tidy        check the house rules and print a size report"
            );
            eprintln!("       cargo xtask pictures    draw docs/pictures from the built binary");
            ExitCode::from(2)
        }
    }
}
