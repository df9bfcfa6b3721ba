//! A small company: roles that make something together over a shared store of files, tell each other
//! what they did, and mend what fails.
//!
//! ```text
//! task ─→ DocWriter ─→ CodeWriter ─→ CodeReviewer ─→ CodeTester ─→ done
//!                          ↑────── notes ──┘              │
//!                          └────── failing tests ─────────┘      at most so many rounds
//! ```
//!
//! A role is a model with instructions of its own. What a role makes is a version in [`Artifacts`], with
//! its author and its reason; what it says to others goes over the [`Bus`]. The tests are run by a
//! [`Bench`] that the program brings: this crate starts no processes, and what a model wrote is run by
//! nobody who was not told to. `examples/company-2048` is such a company.

mod artifacts;
mod bus;
mod role;

use serde::{Deserialize, Serialize};
use serde_json::json;

use ondine_chat::{ChatError, Format};

use crate::error::Error;
use crate::trace;

pub use artifacts::{ArtifactError, Artifacts, Version};
pub use bus::{Bus, Note};
pub use role::{Role, code_block};

/// Who is in a company, by name.
pub const DOC_WRITER: &str = "DocWriter";
/// Who writes the code.
pub const CODE_WRITER: &str = "CodeWriter";
/// Who reads it.
pub const CODE_REVIEWER: &str = "CodeReviewer";
/// Who has it tested.
pub const CODE_TESTER: &str = "CodeTester";

/// Bytes of a bench's output that a role is shown.
const OUTPUT_BYTES_MAX: usize = 12 * 1024;

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What it is called.
    pub name: String,
    /// What is wanted, for the roles.
    pub wanted: String,
    /// What the code must offer: signatures, and what may not be used.
    pub interface: String,
    /// Where the document goes.
    pub document: String,
    /// Where the code goes.
    pub code: String,
    /// How often the code may be written.
    pub rounds: usize,
}

/// Runs the tests of what was made. What it runs was written by a model: it sees to it that this can do no
/// harm, and that it ends.
pub trait Bench {
    /// Builds and tests the newest code.
    ///
    /// # Errors
    /// It cannot be tried at all: no compiler, no disk. Code that does not build is no error but a failure.
    fn test(&self, artifacts: &Artifacts) -> Result<Tested, BenchError>;
}

/// Why nothing can be tested.
#[derive(Debug, thiserror::Error)]
#[error("the tests cannot be run: {0}")]
pub struct BenchError(pub String);

/// What came of the tests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// The names of those that passed.
    pub passed: Vec<String>,
    /// The names of those that failed; all of them where it does not build.
    pub failed: Vec<String>,
    /// What the compiler and the tests said.
    pub output: String,
}

impl Tested {
    /// Whether there are tests and all of them passed.
    pub fn is_good(&self) -> bool {
        self.failed.is_empty() && !self.passed.is_empty()
    }
}

/// One time that the code was written and judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// The version of the code.
    pub version: usize,
    /// What the reviewer noted; empty where it approved.
    pub notes: String,
    /// What came of the tests.
    pub tested: Tested,
}

/// What a company made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The rounds, in order.
    pub rounds: Vec<Round>,
}

impl Made {
    /// Whether the last version passed everything.
    pub fn is_good(&self) -> bool {
        self.rounds.last().is_some_and(|round| round.tested.is_good())
    }
}

/// The roles, and what they share.
pub struct Company {
    /// Writes what is to be built.
    pub doc_writer: Role,
    /// Writes it.
    pub code_writer: Role,
    /// Reads it.
    pub code_reviewer: Role,
    /// Reads what the tests said, and tells the writer.
    pub code_tester: Role,
    /// What they made, every version.
    pub artifacts: Artifacts,
    /// What they told each other.
    pub bus: Bus,
    /// Whether the writer is told what failed. Without it, a company is a model that is asked again:
    /// what the loop is worth is the difference.
    pub feedback: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Review {
    notes: String,
    approved: bool,
}

impl Company {
    /// The four roles with the instructions that they usually have.
    pub fn new(llm: &crate::Llm, artifacts: Artifacts) -> Company {
        let role = |name: &str, instructions: &str| Role::new(name, instructions, llm.clone());
        Company {
            doc_writer: role(
                DOC_WRITER,
                "You write the document from which a program is written and tested: its rules, each \
                 in a sentence that a test could check, and what happens at the edges. No code.",
            ),
            code_writer: role(
                CODE_WRITER,
                "You write one Rust file from a document and an interface. You give the whole file in \
                 one fenced block and nothing else. Where tests failed, you mend what they show and \
                 leave the rest as it is.",
            ),
            code_reviewer: role(
                CODE_REVIEWER,
                "You read Rust code against its document. You name what is wrong, rule by rule, in \
                 short sentences; where nothing is, you approve.",
            ),
            code_tester: role(
                CODE_TESTER,
                "You read what a compiler and tests said and tell the writer which rule is broken, \
                 what was expected and what came instead. You do not write code.",
            ),
            artifacts,
            bus: Bus::default(),
            feedback: true,
        }
    }

    /// Makes what a task asks for: a document, then code that is reviewed, tested and mended until all
    /// tests pass or there are no rounds left.
    ///
    /// # Errors
    /// A role cannot be asked, an artifact cannot be kept, or the bench cannot test at all. That tests
    /// fail to the end is no error: [`Made::is_good`] says it.
    pub fn make(&mut self, task: &Task, bench: &dyn Bench) -> Result<Made, Error> {
        let span = trace::workflow(&task.name);
        let _inside = span.enter();
        let document = self.doc_writer.work(&format!(
            "{}\n\nInterface:\n{}\n\nWrite the document.",
            task.wanted, task.interface
        ))?;
        self.artifacts.put(&task.document, &document, DOC_WRITER, "the task")?;
        self.bus.tell(DOC_WRITER, CODE_WRITER, format!("{} is written", task.document));

        let mut rounds: Vec<Round> = Vec::new();
        for round in 1..=task.rounds {
            let asked = self.writing(task, &document, rounds.last());
            let code = code_block(&self.code_writer.work(&asked)?);
            let reason = match round {
                1 => "the document",
                _ => "what failed",
            };
            let version = self.artifacts.put(&task.code, &code, CODE_WRITER, reason)?;
            self.bus.tell(CODE_WRITER, CODE_REVIEWER, format!("{}, version {version}", task.code));

            let notes = self.review(&document, &code)?;
            self.bus.tell(
                CODE_REVIEWER,
                CODE_TESTER,
                match notes.is_empty() {
                    true => "approved".to_owned(),
                    false => format!("not approved: {notes}"),
                },
            );
            let mut tested = bench.test(&self.artifacts)?;
            tested.output = shortened(&tested.output);
            let good = tested.is_good();
            if !good && self.feedback && round < task.rounds {
                let told = self.code_tester.work(&format!(
                    "{} of {} tests failed. What was said:\n{}",
                    tested.failed.len(),
                    tested.failed.len() + tested.passed.len(),
                    tested.output
                ))?;
                self.bus.tell(CODE_TESTER, CODE_WRITER, told);
            }
            rounds.push(Round { version, notes, tested });
            if good {
                break;
            }
        }
        Ok(Made { rounds })
    }

    /// What the writer is asked.
    fn writing(&mut self, task: &Task, document: &str, last: Option<&Round>) -> String {
        let mut asked = format!("Document:\n{document}\n\nInterface:\n{}\n", task.interface);
        let told = self.bus.inbox(CODE_WRITER);
        if let Some(round) = last
            && self.feedback
        {
            if let Some(code) = self.artifacts.get(&task.code) {
                asked +=
                    &format!("\nYour file, version {}:\n```rust\n{code}\n```\n", round.version);
            }
            if !round.notes.is_empty() {
                asked += &format!("\nThe reviewer's notes:\n{}\n", round.notes);
            }
            for note in told.iter().filter(|note| note.from == CODE_TESTER) {
                asked += &format!("\nThe tester says:\n{}\n", note.text);
            }
            asked += &format!("\nWhat the tests said:\n{}\n", round.tested.output);
        }
        asked + "\nWrite the whole file."
    }

    /// The reviewer's notes; nothing where it approves.
    fn review(&self, document: &str, code: &str) -> Result<String, Error> {
        let schema = json!({
            "type": "object",
            "properties": {
                "notes": { "type": "string", "maxLength": 1200 },
                "approved": { "type": "boolean" },
            },
            "required": ["notes", "approved"],
            "additionalProperties": false,
        });
        let asked = format!("Document:\n{document}\n\nCode:\n```rust\n{code}\n```\n\nReview it.");
        let text = self.code_reviewer.work_as(&asked, Format::Schema(schema))?;
        let review: Review = serde_json::from_str(text.trim()).map_err(|error| {
            ChatError::Internal(format!("a review that is none ({error}): {text:?}"))
        })?;
        Ok(if review.approved { String::new() } else { review.notes })
    }
}

/// The beginning and the end of what a bench said.
fn shortened(text: &str) -> String {
    if text.len() <= OUTPUT_BYTES_MAX {
        return text.to_owned();
    }
    let (mut head, mut tail) = (OUTPUT_BYTES_MAX / 2, text.len() - OUTPUT_BYTES_MAX / 2);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n[… {} bytes left out …]\n{}", &text[..head], tail - head, &text[tail..])
}
