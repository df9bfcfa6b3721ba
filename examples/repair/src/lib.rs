//! Programs with one fault each are repaired by looking up how such faults were repaired before.
//!
//! ```text
//! detect    the compiler, the rules of the language, or a test says what is wrong
//! retrieve  the five (defect, fix) pairs that fit what was said and the code best
//! patch     the pair's edit is laid over the program, near the fault first
//! verify    compiled and tested; the next place or the next pair where it does not hold, 12 tries in all
//! ```
//!
//! The patcher is a template with holes for each pair, not a model: the same program with and without
//! retrieval, so that the difference is what retrieval brings. Without it the pairs are five of the
//! language's own, drawn by a seed.
//!
//! | module | what it holds |
//! |---|---|
//! | `data` | the pairs and the faulty programs |
//! | `judge` | what is wrong with a program: rustc, rules of ArkTS, tests |
//! | `rewrite` | templates with holes |
//! | `shelf` | the pairs, found by what was said |

pub mod data;
pub mod judge;
pub mod rewrite;
pub mod shelf;

use data::{Pattern, Program};
use judge::{Judge, Verdict};
use ondine::app::{Retrieve, RetrieveError};

/// Pairs that are looked at for one program.
pub const PAIRS: usize = 5;
/// Patched programs that are judged for one program.
pub const TRIES_MAX: usize = 12;

/// What became of a program.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub name: String,
    /// Where the right pair stood among those that were found, counted from 1.
    pub rank: Option<usize>,
    /// The program that holds, where one was found.
    pub repaired: Option<String>,
    /// How many patched programs were judged.
    pub tries: usize,
}

/// Repairs a program with the pairs that a shelf finds.
///
/// # Errors
/// Nothing can be looked up.
pub fn with_retrieval(
    judge: &Judge,
    shelf: &dyn Retrieve,
    patterns: &[Pattern],
    program: &Program,
) -> Result<Outcome, RetrieveError> {
    let Verdict::Fault(fault) = judge.verdict(program, &program.source) else {
        return Err(RetrieveError(format!("{} has no fault", program.name)));
    };
    let hits = shelf.retrieve(&fault.question(program), PAIRS)?;
    let named = |path: &str| path.trim_end_matches(".md").to_owned();
    let names: Vec<String> = hits.iter().map(|hit| named(&hit.path)).collect();
    let rank = names.iter().position(|n| *n == program.pattern).map(|i| i + 1);
    let found = |name: &String| patterns.iter().find(|p| p.name == *name);
    let pairs: Vec<&Pattern> = names.iter().filter_map(found).collect();
    Ok(attempt(judge, program, &fault.lines, &pairs, rank))
}

/// Repairs a program with five pairs of its language that nobody looked up.
pub fn without_retrieval(
    judge: &Judge,
    patterns: &[Pattern],
    program: &Program,
    seed: u64,
) -> Outcome {
    let lines = match judge.verdict(program, &program.source) {
        Verdict::Fault(fault) => fault.lines,
        Verdict::Holds => Vec::new(),
    };
    let mut pairs: Vec<&Pattern> =
        patterns.iter().filter(|p| p.language == program.language).collect();
    let draw = |p: &&Pattern| {
        let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        for byte in program.name.bytes().chain(p.name.bytes()) {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        state ^ (state >> 29)
    };
    pairs.sort_by_key(draw);
    pairs.truncate(PAIRS);
    attempt(judge, program, &lines, &pairs, None)
}

fn attempt(
    judge: &Judge,
    program: &Program,
    lines: &[usize],
    pairs: &[&Pattern],
    rank: Option<usize>,
) -> Outcome {
    let mut outcome = Outcome { name: program.name.clone(), rank, repaired: None, tries: 0 };
    for pair in pairs {
        for patched in rewrite::candidates(&program.source, &pair.rewrite, lines) {
            if outcome.tries == TRIES_MAX {
                return outcome;
            }
            outcome.tries += 1;
            if matches!(judge.verdict(program, &patched), Verdict::Holds) {
                outcome.repaired = Some(patched);
                return outcome;
            }
        }
    }
    outcome
}
