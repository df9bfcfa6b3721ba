//! How fast passages come into an index and are found again.
//!
//! ```text
//! cargo run --release -p ondine-rag --example speed -- FOLDER [PASSAGES]
//! ```
//!
//! Copies FOLDER's documents until there are so many passages (10,000), in a scratch folder.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ondine_rag::{Embedder, Index, Mode, Query, RagError};

const QUESTIONS: [&str; 8] = [
    "how is a conversation kept on the disk",
    "什么时候会拒绝一个模型文件",
    "which floor may open connections",
    "chunk the text of a document",
    "parse_header_line",
    "what happens when a client goes away",
    "grammar that constrains the answer",
    "memory of keys and values",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("usage: speed FOLDER [PASSAGES]")?);
    let wanted: usize = arguments.next().map_or(Ok(10_000), |count| count.parse())?;
    let scratch = std::env::temp_dir().join(format!("ondine-rag-speed-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&scratch);
    std::fs::create_dir_all(&scratch)?;
    let done = measure(&folder, &scratch, wanted);
    std::fs::remove_dir_all(&scratch)?;
    Ok(done?)
}

fn measure(folder: &Path, scratch: &Path, wanted: usize) -> Result<(), RagError> {
    // Once, to know how many copies make so many passages.
    let once = Index::create(&scratch.join("once"), None)?;
    once.add(folder, |_| true)?;
    let copies = wanted.div_ceil(once.len().max(1));
    let documents = scratch.join("documents");
    for copy in 0..copies {
        for listed in once.documents() {
            let to = documents.join(copy.to_string()).join(&listed.path);
            let put = to.parent().map_or(Ok(()), std::fs::create_dir_all);
            // What cannot be copied is not measured.
            let _ = put.and_then(|()| std::fs::copy(folder.join(&listed.path), &to));
        }
    }

    let place = scratch.join("index");
    let begun = Instant::now();
    let index = Index::create(&place, Some(Embedder::table()))?;
    let report = index.add(&documents, |_| true)?;
    let took = begun.elapsed().as_secs_f64();
    let (passages, rate) = (report.chunks, report.chunks as f64 / took);
    let mib = size(&place) as f64 / f64::from(1 << 20);
    println!(
        "indexed   {passages} passages of {} documents in {took:.2} s: {rate:.0} passages/s",
        report.added
    );
    println!("on disk   {mib:.1} MiB");

    let begun = Instant::now();
    let again = index.add(&documents, |_| true)?;
    println!("again     {} as before in {:.3} s", again.same, begun.elapsed().as_secs_f64());

    let mut opened = Vec::new();
    for question in QUESTIONS {
        let begun = Instant::now();
        let index = Index::open(&place, Some(Embedder::table()))?;
        index.search(&Query::new(question))?;
        opened.push(begun.elapsed());
    }
    println!("query     {} with the index opened for it", shown(opened));
    for mode in [Mode::Words, Mode::Meaning, Mode::Fused] {
        let mut asked = Vec::new();
        for question in QUESTIONS.iter().cycle().take(80) {
            let begun = Instant::now();
            index.search(&Query::new(*question).mode(mode))?;
            asked.push(begun.elapsed());
        }
        println!("query     {} {mode:?}", shown(asked));
    }
    Ok(())
}

fn shown(mut times: Vec<Duration>) -> String {
    times.sort();
    let last = times.len() - 1;
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    let (middle, most, worst) = (ms(last / 2), ms(last * 95 / 100), ms(last));
    format!("median {middle:.2} ms, 95 % {most:.2} ms, worst {worst:.2} ms")
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.path().is_dir() {
        true => size(&entry.path()),
        false => entry.metadata().map_or(0, |meta| meta.len()),
    });
    bytes.sum()
}
