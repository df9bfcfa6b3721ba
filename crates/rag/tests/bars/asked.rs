//! The frozen questions and the documents they are asked about, and what counts as an answer
//! (`tests/questions/README.md`). It knows nothing of how passages are found.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// A question and where its answer stands.
#[derive(Deserialize)]
pub(crate) struct Question {
    pub(crate) id: String,
    pub(crate) question: String,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    path: String,
    anchor: String,
}

/// Documents by their path in the index.
pub(crate) type Documents = BTreeMap<String, String>;

/// A passage that was found: path, first line, last line.
pub(crate) type Place = (String, usize, usize);

pub(crate) fn questions(name: &str) -> Vec<Question> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/questions/{name}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// The documents in English and in Chinese, or why there are none.
pub(crate) fn documents() -> Result<[Documents; 2], String> {
    #[derive(Deserialize)]
    struct Held {
        #[serde(rename = "use")]
        for_what: String,
        source: String,
        path: String,
        #[serde(rename = "as")]
        name: String,
    }
    #[derive(Deserialize)]
    struct Row {
        text: String,
        path: String,
        source: String,
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = std::fs::read_to_string(here.join("tests/questions/held-out.jsonl")).unwrap();
    let held: Vec<Held> = listed.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mut out = [Documents::new(), Documents::new()];
    for name in ["general-en", "general-zh"] {
        let path = here.join("../../../shared/data/text").join(format!("{name}.jsonl.gz"));
        let file = std::fs::File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let unpacked = BufReader::new(flate2::read::GzDecoder::new(BufReader::new(file)));
        for line in unpacked.lines() {
            let row: Row = serde_json::from_str(&line.unwrap()).unwrap();
            let held = held.iter().find(|h| h.path == row.path && h.source == row.source);
            match held.map(|h| (h.for_what.as_str(), &h.name)) {
                Some(("en", name)) => out[0].insert(name.clone(), row.text),
                Some(("zh", name)) => out[1].insert(name.clone(), row.text),
                _ => None,
            };
        }
    }
    let wanted = |what| held.iter().filter(|h| h.for_what == what).count();
    assert_eq!([out[0].len(), out[1].len()], [wanted("en"), wanted("zh")]);
    Ok(out)
}

/// The sources of the two crates that the workspace pins to the last digit, found by cargo.
pub(crate) fn code() -> Result<Documents, String> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        manifest_path: PathBuf,
    }
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|e| e.to_string())?;
    if !asked.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&asked.stderr)));
    }
    let metadata: Metadata = serde_json::from_slice(&asked.stdout).unwrap();
    let mut out = Documents::new();
    for (name, version) in [("minijinja", "3.0.5"), ("ureq", "3.5.2")] {
        let package = metadata.packages.iter().find(|p| p.name == name && p.version == version);
        let package = package.ok_or_else(|| format!("there is no {name} {version}"))?;
        let root = package.manifest_path.parent().unwrap();
        let mut folders = vec![root.join("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") {
                    let inside = path.strip_prefix(root).unwrap().to_str().unwrap();
                    let inside = inside.replace('\\', "/");
                    out.insert(format!("{name}/{inside}"), std::fs::read_to_string(&path).unwrap());
                }
            }
        }
    }
    Ok(out)
}

impl Question {
    /// Where its answers stand. Fails where an anchor is not found: the corpus is another one.
    pub(crate) fn places(&self, documents: &Documents) -> Vec<Place> {
        let mut out = Vec::new();
        for answer in &self.answers {
            let text = documents.get(&answer.path).unwrap_or_else(|| panic!("no {}", answer.path));
            let before = out.len();
            let spans = match answer.anchor.starts_with('#') {
                true => sections(text, &answer.anchor),
                false => lines(text, &answer.anchor),
            };
            out.extend(spans.into_iter().map(|(from, to)| (answer.path.clone(), from, to)));
            assert!(out.len() > before, "{}: no {:?} in {}", self.id, answer.anchor, answer.path);
        }
        out
    }
}

fn lines(text: &str, anchor: &str) -> Vec<(usize, usize)> {
    let found = text.lines().zip(1..).filter(|(line, _)| line.contains(anchor));
    found.map(|(_, at)| (at, at)).collect()
}

/// From a heading to the next one, whatever its level.
fn sections(text: &str, anchor: &str) -> Vec<(usize, usize)> {
    let (mut heads, mut fence, mut last) = (Vec::new(), false, 0);
    for (line, at) in text.lines().zip(1..) {
        last = at;
        if line.trim_start().starts_with("```") {
            fence = !fence;
        }
        let hashes = line.len() - line.trim_start_matches('#').len();
        if !fence && (1..=6).contains(&hashes) && line[hashes..].starts_with(' ') {
            heads.push((at, line));
        }
    }
    let ends = heads.iter().skip(1).map(|h| h.0 - 1).chain([last]);
    let spans = heads.iter().zip(ends);
    // `## Title {#name}` and `## Title {/*name*/}` are written so for their anchors.
    let named = |line: &str| line == anchor || line.starts_with(&format!("{anchor} {{"));
    spans.filter(|((_, line), _)| named(line)).map(|(h, end)| (h.0, end)).collect()
}

/// recall@5, recall@1 and MRR of the orders that questions were answered in.
pub(crate) fn metrics<'a>(
    asked: impl Iterator<Item = (&'a Vec<Place>, &'a Vec<Place>)>,
) -> [f64; 3] {
    let (mut n, mut sums) = (0.0, [0.0; 3]);
    for (answers, found) in asked {
        n += 1.0;
        let right = |f: &Place| answers.iter().any(|a| a.0 == f.0 && a.1 <= f.2 && f.1 <= a.2);
        if let Some(rank) = found.iter().take(20).position(right) {
            sums[0] += f64::from(rank < 5);
            sums[1] += f64::from(rank < 1);
            sums[2] += 1.0 / (rank + 1) as f64;
        }
    }
    sums.map(|s| s / n)
}
