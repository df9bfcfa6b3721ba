//! A folder of documents is searched, by words and by meaning, without any model:
//!
//! ```text
//! cargo run --release -p folder-search -- docs "what happens when a client goes away?"
//! ```

use std::path::Path;

use ondine::rag::{Embedder, Index, Query};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(folder), Some(question)) = (words.next(), words.next()) else {
        return Err("usage: folder-search FOLDER QUESTION [INDEX]".into());
    };
    let place = words.next().unwrap_or(".folder-search".into());
    let index = Index::create(Path::new(&place), Some(Embedder::table()))?;
    let report = index.add(Path::new(&folder), |_| true)?;
    eprintln!("{} new, {} changed, {} as before", report.added, report.changed, report.same);
    for found in index.search(&Query::new(question).k(3))? {
        let hit = found.hit;
        println!("{}:{}-{}\n{}\n", hit.path, hit.line_start, hit.line_end, hit.text);
    }
    Ok(())
}
