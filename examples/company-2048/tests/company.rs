//! The bar: twenty rules pass, an injected defect is mended within three rounds, and not without being
//! told what failed. What a model wrote does no harm.

use std::sync::Mutex;

use company_2048::{RULES, RustBench, scripted, task};
use ondine::app::company::{Artifacts, Bench, BenchError, Company, Made, Tested};

fn make(defects: &[&str], bench: &dyn Bench, feedback: bool) -> (Made, Company) {
    let mut company = Company::new(&scripted::company(defects), Artifacts::in_memory());
    company.feedback = feedback;
    (company.make(&task(), bench).unwrap(), company)
}

fn bench() -> RustBench {
    RustBench { code: task().code }
}

#[test]
fn a_sound_draft_passes_twenty_rules_at_once() {
    let (made, company) = make(&[], &bench(), true);
    assert_eq!(made.rounds.len(), 1, "{made:?}");
    assert_eq!(made.rounds[0].tested.passed.len(), 20);
    assert_eq!(RULES.matches("#[test]").count(), 20);
    assert_eq!(company.artifacts.paths(), ["docs/rules.md", "src/game.rs"]);
    assert_eq!(company.artifacts.history("src/game.rs")[0].author, "CodeWriter");
}

/// Every defect, two at a time for some: the loop mends what the tests' real output points at.
#[test]
fn injected_defects_are_mended_within_three_rounds() {
    let names: Vec<&str> = scripted::DEFECTS.iter().map(|row| row.0).collect();
    let mut drafts: Vec<Vec<&str>> = names.iter().map(|name| vec![*name]).collect();
    drafts.push(vec!["a merged tile merges again", "1024 wins"]);
    drafts.push(vec!["down is up", "new tiles come anywhere"]);
    let next = Mutex::new(drafts.iter());
    let bad = Mutex::new(Vec::new());
    let work = || {
        while let Some(draft) = { next.lock().unwrap().next() } {
            let (made, company) = make(draft, &bench(), true);
            let first = &made.rounds[0].tested;
            let versions = company.artifacts.history("src/game.rs").len();
            let sound = made.is_good()
                && made.rounds.len() == draft.len() + 1
                && !first.failed.is_empty()
                && versions == made.rounds.len();
            if !sound {
                bad.lock().unwrap().push(format!("{draft:?}: {:#?}", made.rounds));
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let bad = bad.into_inner().unwrap();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Says that something failed, and not what.
struct Mute(RustBench);

impl Bench for Mute {
    fn test(&self, artifacts: &Artifacts) -> Result<Tested, BenchError> {
        let tested = self.0.test(artifacts)?;
        Ok(Tested { output: "some tests failed".into(), ..tested })
    }
}

#[test]
fn without_being_told_what_failed_nothing_is_mended() {
    let defect = &["a merged tile merges again"][..];
    let (made, _) = make(defect, &bench(), false);
    assert!(!made.is_good() && made.rounds.len() == 3, "{made:?}");
    let (made, _) = make(defect, &Mute(bench()), true);
    assert!(!made.is_good() && made.rounds.len() == 3, "{made:?}");
    let failed: Vec<usize> = made.rounds.iter().map(|round| round.tested.failed.len()).collect();
    assert!(failed.iter().all(|count| *count == failed[0] && *count > 0), "{failed:?}");
}

/// What the company wrote can reach nothing: it is refused, or it does not compile.
#[test]
fn hostile_code_reaches_nothing() {
    let rows = [
        ("pub fn x() { ::std::fs::remove_file(\"x\").ok(); }", "`std`"),
        ("extern crate std as s;", "`extern`"),
        ("r#extern crate alloc;", "`extern`"),
        ("pub const X: &str = include_str!(\"/etc/passwd\");", "`include_str`"),
        ("pub const X: &str = core::env!(\"HOME\");", "`env`"),
        (
            "use core::include_bytes as b; pub const X: &[u8] = b!(\"/etc/passwd\");",
            "`include_bytes`",
        ),
        ("#[path = \"/etc/passwd\"] mod x;", "`path`"),
        ("pub fn x() { unsafe { core::hint::unreachable_unchecked() } }", "`unsafe`"),
        ("#![feature(test)]", "`feature`"),
        ("mod elsewhere;", "does not build"),
        ("pub fn x() { s::fs::remove_file(\"x\"); }", "does not build"),
        ("pub fn x() { println!(\"x\"); }", "does not build"),
    ];
    for (code, expected) in rows {
        let mut artifacts = Artifacts::in_memory();
        artifacts.put("src/game.rs", code, "a stranger", "malice").unwrap();
        let tested = bench().test(&artifacts).unwrap();
        assert!(tested.passed.is_empty() && tested.failed.len() == 20, "{code}");
        assert!(tested.output.contains(expected), "{code}: {}", tested.output);
    }
    let nothing = bench().test(&Artifacts::in_memory()).unwrap();
    assert!(!nothing.is_good());
}
