//! The bars: the right pair among the first five for nine of ten programs, and at least twice the
//! repairs of the same patcher without retrieval.

use repair::judge::{Judge, Verdict};
use repair::shelf::Shelf;
use repair::{data, with_retrieval, without_retrieval};

#[test]
fn looking_up_repairs_at_least_twice_as_many() {
    let judge = match Judge::new() {
        Ok(judge) => judge,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let patterns = data::patterns();
    let shelf = Shelf::new(&patterns).unwrap();
    let programs = data::programs();
    assert_eq!(programs.len(), 40);
    let known: Vec<_> = programs.iter().filter(|p| judge.knows(p.language)).collect();
    if known.len() < 40 {
        eprintln!("without Node the ArkTS-like programs are skipped");
    }
    let outcome = |p: &data::Program| {
        let with = with_retrieval(&judge, &shelf, &patterns, p).unwrap();
        (with, without_retrieval(&judge, &patterns, p, 1))
    };
    // Two at a time: the compiler is what takes the time.
    let (one, other) = known.split_at(known.len() / 2);
    let outcomes: Vec<_> = std::thread::scope(|s| {
        let first = s.spawn(|| one.iter().map(|p| outcome(p)).collect::<Vec<_>>());
        let second: Vec<_> = other.iter().map(|p| outcome(p)).collect();
        first.join().unwrap().into_iter().chain(second).collect()
    });
    let right = outcomes.iter().filter(|(with, _)| with.rank.is_some()).count();
    let with = outcomes.iter().filter(|(with, _)| with.repaired.is_some()).count();
    let without = outcomes.iter().filter(|(_, without)| without.repaired.is_some()).count();
    println!("right pair {right}, repaired {with}, without {without}, of {}", known.len());
    let missed: Vec<_> =
        outcomes.iter().filter(|(w, _)| w.rank.is_none()).map(|(w, _)| &w.name).collect();
    assert!(right * 10 >= known.len() * 9, "{right}; not found for {missed:?}");
    assert!(with >= 2 * without.max(1), "{with} with, {without} without");
    // What was repaired holds when it is judged again by a judge that knows nothing of it.
    let again = Judge::new().unwrap();
    let (sample, _) = outcomes.iter().find(|(with, _)| with.repaired.is_some()).unwrap();
    let program = programs.iter().find(|p| p.name == sample.name).unwrap();
    let repaired = sample.repaired.as_ref().unwrap();
    assert!(matches!(again.verdict(program, repaired), Verdict::Holds));
    assert_ne!(*repaired, program.source);
}

#[test]
fn programs_share_no_names_with_the_pairs_beyond_the_language() {
    // A pair is an example, not the answer: its variables and functions are not the program's.
    let patterns = data::patterns();
    assert!(patterns.iter().all(|p| p.rewrite.contains(" ==> ")));
    for program in data::programs() {
        let pattern = patterns.iter().find(|p| p.name == program.pattern).unwrap();
        let after = |word| program.source.split(word).skip(1);
        let declared = after("fn ").chain(after("function ")).chain(after("let "));
        for name in declared.filter_map(|d| d.split(['(', '<', ' ', ':']).next()) {
            let mut words = pattern.text.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(
                name.len() < 2 || name == "mut" || words.all(|w| w != name),
                "{name}: {}",
                program.name
            );
        }
    }
}
