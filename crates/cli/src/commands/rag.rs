//! `ondine rag add|search|ask|ls|rm`: folders of documents, and what is found in them.

mod ask;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ondine_app::trace;
use ondine_chat::{ChatError, Embed, Embedded};
use ondine_engine::{EmbedOptions, Overlong};
use ondine_rag::{Embedder, Found, Index, Query, RagError, Report};
use serde_json::{Value, json};

use crate::commands;
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::model;
use crate::output::{self, Answer, Shown};
use crate::progress::{self, Progress};

/// How many documents that were not read are named on a terminal.
const NAMED_MAX: usize = 20;

/// Does what is asked.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let action = arguments.text("action").unwrap_or_default();
    let words = arguments.texts("words");
    if arguments.on("anew") && action != "add" {
        return Err(Failure::usage("--anew goes with `ondine rag add`"));
    }
    // Before the file is made: what is refused leaves nothing behind.
    if arguments.typed("trace") && !["search", "ask"].contains(&action.as_str()) {
        return Err(Failure::usage("--trace goes with `ondine rag search` and `ondine rag ask`"));
    }
    let Some(trace) = commands::trace::file(arguments, "full")? else {
        return act(arguments, &action, &words);
    };
    let done = trace.listen(|| act(arguments, &action, &words));
    trace.flushed().map_err(|error| Failure::from_error(&error))?;
    done
}

fn act(arguments: &Arguments<'_>, action: &str, words: &[String]) -> Result<(), Failure> {
    match (action, words) {
        ("add", [folder]) => add(arguments, Some(Path::new(folder))),
        ("add", []) if arguments.on("anew") => add(arguments, None),
        ("add", _) => Err(Failure::usage("`ondine rag add` needs one FOLDER")),
        ("search" | "ask", words) if words.iter().all(|word| word.trim().is_empty()) => {
            Err(Failure::usage(format!("`ondine rag {action}` needs a question")))
        }
        ("search", words) => search(arguments, &words.join(" ")),
        ("ask", words) => ask::run(arguments, &words.join(" ")),
        ("ls", []) => list(arguments),
        ("ls", _) => Err(Failure::usage("`ondine rag ls` takes no words")),
        ("rm", paths) if paths.iter().any(|path| path.trim().is_empty()) || paths.is_empty() => {
            Err(Failure::usage("`ondine rag rm` needs paths, as `ondine rag ls` shows them"))
        }
        ("rm", paths) => remove(arguments, paths),
        (other, _) => {
            Err(Failure::usage(format!("`ondine rag {other}`: it is add, search, ask, ls or rm")))
        }
    }
}

/// An index's error with what to do about it.
fn failed(error: RagError) -> Failure {
    let hint = match &error {
        RagError::Stopped => {
            output::note("interrupted: the index is as it was");
            return Failure::interrupt();
        }
        RagError::None(_) => "`ondine rag add FOLDER` makes one; --index names another place",
        RagError::Foreign(_) => "--index names a folder of its own, which need not be there yet",
        RagError::Busy(_) => "wait for the other `ondine rag`, then try again",
        RagError::OtherEmbedder { .. } => {
            "give the same --embedder as before, or embed the index anew: `ondine rag add --anew`"
        }
        RagError::NoFolder(_) => "give the folder that holds the documents",
        RagError::Unknown(_) => "`ondine rag ls` lists what is in it",
        RagError::Damaged { .. } | RagError::Keywords(_) => {
            "remove the index's folder, and add the documents again"
        }
        _ => return Failure::from_error(&error),
    };
    Failure::from_error(&error).hint(hint)
}

/// What is indexed in a folder, to be looked up by others: with the table's vectors.
pub(crate) fn retriever(place: &Path) -> Result<Index, Failure> {
    Index::open(place, Some(Embedder::table())).map_err(failed)
}

/// Where the index is.
fn place<'a>(arguments: &Arguments<'a>) -> Result<&'a Path, Failure> {
    arguments.path_needed("index")
}

/// Who makes vectors: what --embedder names, else the table.
fn embedder(arguments: &Arguments<'_>) -> Result<Embedder, Failure> {
    let Some(path) = arguments.path("embedder") else { return Ok(Embedder::table()) };
    let opened = model::open(path)?;
    let encoder = opened.embedder(opened.options(arguments))?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    Ok(Embedder::new(name, Arc::new(Encoder(Mutex::new(encoder)))))
}

/// An encoder of the engine, which computes one text at a time with all its threads.
struct Encoder(Mutex<ondine_engine::Embedder>);

impl Embed for Encoder {
    fn embed(&self, _model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        // An encoder never changes: whoever failed while it was held left it whole.
        let encoder = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is longer than the model reads is known by its beginning.
        let options = EmbedOptions { pooling: None, normalise: true, overlong: Overlong::Cut };
        let mut all = Embedded::default();
        for text in texts {
            let embedding = encoder
                .embed(text, options)
                .map_err(|error| ChatError::Internal(error.to_string()))?;
            all.tokens += embedding.tokens;
            all.vectors.push(embedding.vector);
        }
        Ok(all)
    }
}

fn add(arguments: &Arguments<'_>, folder: Option<&Path>) -> Result<(), Failure> {
    let (place, embedder) = (place(arguments)?, embedder(arguments)?);
    let watch = Watch::new();
    let index = if arguments.on("anew") {
        let index = Index::open_for_another(place, embedder).map_err(failed)?;
        let progress = Progress::new("passages", index.len() as u64);
        let reembed = index.reembed(|done| {
            progress.done(done as u64);
            !watch.interrupted()
        });
        reembed.map_err(failed)?;
        index
    } else {
        Index::create(place, Some(embedder)).map_err(failed)?
    };
    let Some(folder) = folder else { return Ok(()) };
    let mut progress: Option<Progress> = None;
    let report = index.add(folder, |step| {
        let progress =
            progress.get_or_insert_with(|| Progress::new("documents", step.total as u64));
        progress.done(step.done as u64);
        !watch.interrupted()
    });
    drop(progress);
    let report = report.map_err(failed)?;
    if arguments.on("json") {
        Answer::new().line(as_json(&report))?;
    } else {
        let Report { added, changed, same, removed, chunks, .. } = report;
        Answer::new().line(format_args!(
            "{added} added, {changed} changed, {same} as before, {removed} removed: {chunks} new passages, {} in all",
            index.len()
        ))?;
        name_skipped(&report);
    }
    let failures = report.skipped.iter().filter(|(_, why)| why.is_failure()).count();
    match failures {
        0 => Ok(()),
        _ => Err(Failure::new(format!("{failures} documents could not be read"))
            .at(folder.display())
            .hint("all others are in the index")),
    }
}

fn as_json(report: &Report) -> Value {
    let skipped: Vec<Value> = report
        .skipped
        .iter()
        .map(|(path, why)| json!({ "path": path, "reason": why.to_string(), "failure": why.is_failure() }))
        .collect();
    json!({
        "added": report.added,
        "changed": report.changed,
        "same": report.same,
        "removed": report.removed,
        "chunks": report.chunks,
        "skipped": skipped,
    })
}

/// Names what should have been read, and counts what is no document.
fn name_skipped(report: &Report) {
    let (failures, others): (Vec<_>, Vec<_>) =
        report.skipped.iter().partition(|(_, why)| why.is_failure());
    for (path, why) in failures.iter().take(NAMED_MAX) {
        output::note(format_args!("not read: {}: {}", Shown(path), Shown(&why.to_string())));
    }
    if failures.len() > NAMED_MAX {
        output::note(format_args!("not read: {} more", failures.len() - NAMED_MAX));
    }
    if !others.is_empty() {
        output::remark(format_args!("{} files are no documents, or empty", others.len()));
    }
}

/// The passages that fit a question.
fn found(arguments: &Arguments<'_>, question: &str) -> Result<Vec<Found>, Failure> {
    let embedder = embedder(arguments)?;
    let index = progress::during("opening the index", || {
        Index::open(place(arguments)?, Some(embedder)).map_err(failed)
    })?;
    let mut query = Query::new(question).k(arguments.count_or("passages", 5));
    query.below = arguments.text("below");
    if let Some(below) = query.below.as_deref().filter(|below| !index.knows(below)) {
        return Err(failed(RagError::Unknown(below.to_owned())));
    }
    let span = trace::retrieval("rag", question, query.k);
    let found = span.in_scope(|| index.search(&query)).map_err(failed)?;
    trace::found(&span, &found.iter().map(|found| found.hit.clone()).collect::<Vec<_>>());
    Ok(found)
}

fn hit_json(found: &Found) -> Value {
    let mut hit = json!({
        "path": found.hit.path,
        "line_start": found.hit.line_start,
        "line_end": found.hit.line_end,
        "score": found.hit.score,
        "text": found.hit.text,
        "file": found.file.display().to_string(),
    });
    if !found.heading.is_empty() {
        hit["heading"] = json!(found.heading);
    }
    if let Some(page) = found.page {
        hit["page"] = json!(page);
    }
    hit
}

fn search(arguments: &Arguments<'_>, question: &str) -> Result<(), Failure> {
    let found = found(arguments, question)?;
    let mut answer = Answer::new();
    if arguments.on("json") {
        let hits: Vec<Value> = found.iter().map(hit_json).collect();
        return answer.line(json!({ "hits": hits }));
    }
    if found.is_empty() {
        output::remark("nothing was found");
    }
    for (at, found) in found.iter().enumerate() {
        if at > 0 {
            answer.row("")?;
        }
        answer.row(place_of(found))?;
        for line in found.hit.text.lines() {
            answer.row(format_args!("  {}", Shown(&line.replace('\t', "    "))))?;
        }
    }
    answer.done()
}

/// `path:first-last`, and what is known of the place.
fn place_of(found: &Found) -> String {
    let hit = &found.hit;
    let mut place = format!("{}:{}-{}", Shown(&hit.path), hit.line_start, hit.line_end);
    if let Some(page) = found.page {
        place.push_str(&format!("  page {page}"));
    }
    if !found.heading.is_empty() {
        place.push_str(&format!("  ({})", Shown(&found.heading)));
    }
    place
}

fn list(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let index = Index::open(place(arguments)?, None).map_err(failed)?;
    let documents = index.documents();
    let mut answer = Answer::new();
    if arguments.on("json") {
        let row = |document: &ondine_rag::Listed| {
            json!({
                "path": document.path,
                "file": document.file.display().to_string(),
                "kind": document.kind.name(),
                "bytes": document.bytes,
                "passages": document.chunks,
            })
        };
        return answer.line(Value::from(documents.iter().map(row).collect::<Vec<_>>()));
    }
    for document in &documents {
        answer.row(format_args!(
            "{:<8}  {:>10}  {:>6}  {}",
            document.kind.name(),
            output::bytes(document.bytes),
            document.chunks,
            Shown(&document.path)
        ))?;
    }
    answer.done()?;
    let by = index.embedder_name().unwrap_or("nobody".to_string());
    let (documents, passages) = (documents.len(), index.len());
    output::remark(format_args!(
        "{documents} documents, {passages} passages, vectors by {}",
        Shown(&by)
    ));
    Ok(())
}

fn remove(arguments: &Arguments<'_>, paths: &[String]) -> Result<(), Failure> {
    let index = Index::open(place(arguments)?, None).map_err(failed)?;
    let removed = index.remove(paths).map_err(failed)?;
    let left = index.documents().len();
    if arguments.on("json") {
        return Answer::new().line(json!({ "removed": removed, "left": left }));
    }
    Answer::new().line(format_args!("{removed} removed, {left} left"))
}
