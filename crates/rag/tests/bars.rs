//! The bars of retrieval: keyword alone, vector alone and both, on the frozen questions. Prints the
//! table; `cargo test --release -p ondine-rag --test bars -- --nocapture` shows it.
#[path = "bars/asked.rs"]
mod asked;
#[path = "bars/indexed.rs"]
mod indexed;

use asked::{Documents, Place, Question};

/// How many hits are asked for.
const DEPTH: usize = 20;

/// A corpus and its questions.
struct Set {
    name: &'static str,
    documents: Documents,
    questions: Vec<Question>,
}

fn sets() -> Result<Vec<Set>, String> {
    let [en, zh] = asked::documents()?;
    let code = asked::code()?;
    let mut mixed = Documents::new();
    for part in [&en, &zh, &code] {
        mixed.extend(part.clone());
    }
    let all = ["en", "zh", "code", "cross"].into_iter().flat_map(asked::questions).collect();
    let set = |name, documents| Set { name, documents, questions: asked::questions(name) };
    let mixed = Set { name: "mixed", documents: mixed, questions: all };
    Ok(vec![set("en", en), set("zh", zh), set("code", code), mixed])
}

#[test]
fn both_together_are_not_worse_than_the_better_and_best_on_the_mixed_set() {
    let sets = match sets() {
        Ok(sets) => sets,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let mut failures = Vec::new();
    println!("| corpus | questions | found by | recall@5 | recall@1 | MRR |");
    println!("|---|---|---|---|---|---|");
    for set in sets {
        let answers: Vec<Vec<Place>> =
            set.questions.iter().map(|q| q.places(&set.documents)).collect();
        let index = indexed::Index::new(set.name, &set.documents);
        let recall: Vec<f64> = indexed::WAYS
            .into_iter()
            .map(|way| {
                let found: Vec<Vec<Place>> =
                    set.questions.iter().map(|q| index.ask(way, &q.question, DEPTH)).collect();
                let [r5, r1, mrr] = asked::metrics(answers.iter().zip(&found));
                println!(
                    "| {} | {} of {} | {way:?} | {r5:.3} | {r1:.3} | {mrr:.3} |",
                    set.name,
                    answers.len(),
                    index.len()
                );
                r5
            })
            .collect();
        let better = recall[0].max(recall[1]);
        let held = match set.name {
            "mixed" => recall[2] > better,
            _ => recall[2] >= better,
        };
        if !held {
            failures.push(format!("{}: {recall:?}", set.name));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
