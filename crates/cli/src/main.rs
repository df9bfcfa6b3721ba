//! The `ondine` command: opens files, asks the engine, prints, measures.
//!
//! It knows the terminal, the clock and the signals; it refuses to know how a model computes.
//! Answers go to standard output and everything else to standard error. It leaves with 0, with 1
//! for a failure, with 2 for wrong usage and with 130 for an interrupt.

mod apps;
mod asking;
mod chat;
mod commands;
mod cores;
mod failure;
mod fingerprint;
mod flags;
mod identity;
mod input;
mod interrupt;
mod memory;
mod model;
mod offered;
mod output;
mod own;
mod progress;
mod sampling;
mod service;
mod shelf;
mod shelves;
mod speaker;
mod store;
mod transfer;
mod trial;
mod usage;

use std::process::ExitCode;

use failure::{Failure, Kind};

fn main() -> ExitCode {
    let mut parser = flags::parser();
    let matches = match parser.try_get_matches_from_mut(std::env::args_os()) {
        Ok(matches) => matches,
        Err(error) => {
            // Help and version are answers, everything else is a usage error. A reader that has
            // gone away misses neither.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { Kind::Usage.code() } else { 0 });
        }
    };
    interrupt::listen();
    let Some((name, arguments)) = matches.subcommand() else { return ExitCode::from(2) };
    let Some(command) = flags::COMMANDS.iter().find(|command| command.name == name) else {
        return ExitCode::from(2);
    };
    match (command.run)(&flags::Arguments::new(command, arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => leave(&failure),
    }
}

/// Says what failed and what to do about it, and chooses the exit code.
fn leave(failure: &Failure) -> ExitCode {
    match failure.kind {
        // The reader has what it wanted, or will not be told more.
        Kind::ReaderGone => {}
        Kind::Interrupt => {}
        Kind::Failed | Kind::Usage => output::complain(failure),
    }
    ExitCode::from(failure.kind.code())
}
