//! The index of a folder of documents: opened, asked, listed. How it changes stands in `change`.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ondine_app::{Hit, Retrieve, RetrieveError, trace};

use crate::embedder::{Embedder, Mark};
use crate::error::{RagError, at};
use crate::keywords::generation;
use crate::read::Kind;
use crate::vectors::Question;
use crate::view::{View, WORDS, document_of};
use crate::walk::CACHE_TAG;

/// The file that says that a folder is an index, and what is in it.
const SIGN: (&str, &str) = ("ondine-rag", "an index of passages, version 1\n");
/// Up to so many passages the search by vectors looks at all of them.
const EXACT_MAX: usize = 100_000;
/// How many near ones a walk through the graph keeps.
pub(crate) const SEARCH: usize = 160;
/// How many passages each search gives to the fusion, at least.
const DEPTH: usize = 100;
/// More passages than this are not given at once.
const K_MAX: usize = 10_000;

/// Passages of documents on disk, found by their words and by their meaning.
///
/// Reading and changing may happen at the same time, in several processes: a reader sees the state that
/// was committed last when it opened or [refreshed](Index::refresh), and one writer changes at a time.
pub struct Index {
    pub(crate) folder: PathBuf,
    pub(crate) embedder: Option<Embedder>,
    pub(crate) exact_max: usize,
    view: RwLock<Arc<View>>,
}

/// What is looked for, and how.
#[derive(Clone, Debug)]
pub struct Query {
    /// The question.
    pub text: String,
    /// How many passages are wanted at most.
    pub k: usize,
    /// Which searches take part.
    pub mode: Mode,
    /// Documents of this folder, or this document alone: parts of a path with `/` between them.
    pub below: Option<String>,
    /// How much a place in each list counts in the fusion.
    pub fusion: Fusion,
}

/// Reciprocal rank fusion (Cormack, Clarke and Büttcher, 2009): a passage gets, from each list that it
/// stands in, `weight / (rank + place)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fusion {
    /// What is added to every place, counted from 1: the more, the less the first places count.
    pub rank: f64,
    /// The weight of the search by words.
    pub words: f64,
    /// The weight of the search by meaning.
    pub meaning: f64,
}

impl Default for Fusion {
    fn default() -> Fusion {
        // The constant of 60 is for many long lists. Of two lists it lets what both have far down beat
        // what one has first, which is where answers in another language are (decision 23).
        Fusion { rank: 10.0, words: 1.0, meaning: 0.8 }
    }
}

/// Which searches take part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Both, fused by reciprocal rank.
    #[default]
    Fused,
    /// By words alone: BM25.
    Words,
    /// By meaning alone: the cosine of vectors.
    Meaning,
}

impl Query {
    /// Five passages, by words and by meaning.
    pub fn new(text: impl Into<String>) -> Query {
        Query { text: text.into(), k: 5, mode: Mode::Fused, below: None, fusion: Fusion::default() }
    }

    /// So many passages.
    pub fn k(mut self, k: usize) -> Query {
        self.k = k;
        self
    }

    /// Which searches take part.
    pub fn mode(mut self, mode: Mode) -> Query {
        self.mode = mode;
        self
    }

    /// Only documents of a folder of the index, or one document.
    pub fn below(mut self, path: impl Into<String>) -> Query {
        self.below = Some(path.into());
        self
    }
}

/// A passage that was found, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The passage.
    pub hit: Hit,
    /// Where its document lies on the disk, or lay when it was read.
    pub file: PathBuf,
    /// The headings it stands under, or the signatures of code.
    pub heading: String,
    /// The page it begins on, where there are pages.
    pub page: Option<u32>,
}

/// Whoever looks at passages once more, with more patience than a search has.
pub trait Rerank: Send + Sync {
    /// A score for each passage: more is better.
    ///
    /// # Errors
    /// It cannot say.
    fn rerank(&self, question: &str, passages: &[Hit]) -> Result<Vec<f64>, RetrieveError>;
}

/// A document of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What hits call it.
    pub path: String,
    /// Where it lies on the disk, or lay when it was read.
    pub file: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its bytes when it was read.
    pub bytes: u64,
    /// Its passages.
    pub chunks: usize,
}

impl Index {
    /// Opens an index. Without an embedder it is asked by words alone.
    ///
    /// # Errors
    /// There is none, it is damaged, or its vectors are of another embedder.
    pub fn open(folder: &Path, embedder: Option<Embedder>) -> Result<Index, RagError> {
        signed(folder)?;
        let view = RwLock::new(Arc::new(View::open(folder)?));
        let index = Index { folder: folder.to_path_buf(), embedder, exact_max: EXACT_MAX, view };
        let view = index.view();
        if let (Some(embedder), Some(had)) = (&index.embedder, &view.manifest.embedder) {
            index.same(had, embedder)?;
        }
        Ok(index)
    }

    /// Opens an index, or begins one in a folder that is empty or is not there.
    ///
    /// # Errors
    /// Those of [`Index::open`]; the folder holds something else, or cannot be made.
    pub fn create(folder: &Path, embedder: Option<Embedder>) -> Result<Index, RagError> {
        begin(folder)?;
        Index::open(folder, embedder)
    }

    /// Opens an index to have all its passages [embedded anew](Index::reembed).
    ///
    /// # Errors
    /// Those of [`Index::open`], but for the other embedder.
    pub fn open_for_another(folder: &Path, embedder: Embedder) -> Result<Index, RagError> {
        Ok(Index { embedder: Some(embedder), ..Index::open(folder, None)? })
    }

    /// Up to so many passages the search by vectors looks at all of them, instead of 100,000; beyond, it
    /// walks through a graph that is made when documents are added.
    pub fn exact_to(mut self, passages: usize) -> Index {
        self.exact_max = passages;
        self
    }

    fn same(&self, had: &Mark, embedder: &Embedder) -> Result<(), RagError> {
        if had.is(&embedder.mark()?) {
            return Ok(());
        }
        let given = embedder.name().to_string();
        Err(RagError::OtherEmbedder { had: had.name.clone(), given })
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the state that was committed last, also by somebody else.
    ///
    /// # Errors
    /// It is damaged.
    pub fn refresh(&self) -> Result<(), RagError> {
        let view = Arc::new(View::open(&self.folder)?);
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        Ok(())
    }

    /// Reads the state that somebody else committed meanwhile: what they removed is not given out any more.
    fn follow(&self) -> Result<(), RagError> {
        let committed = generation(&self.folder.join(WORDS));
        if committed.is_some() && committed == Some(self.view().manifest.generation) {
            return Ok(());
        }
        signed(&self.folder)?;
        self.refresh()
    }

    /// Whether there is a document of this path, or one in a folder of it.
    pub fn knows(&self, path: &str) -> bool {
        self.view().paths.keys().any(|shown| is_below(shown, path))
    }

    /// Its documents, in the order of their paths.
    pub fn documents(&self) -> Vec<Listed> {
        let view = self.view();
        let listed = view.paths.iter().filter_map(|(path, id)| {
            let document = view.passages.document(*id)?;
            let (kind, bytes, chunks) = (document.kind, document.bytes, document.chunks as usize);
            Some(Listed { path: path.clone(), file: view.file(document), kind, bytes, chunks })
        });
        listed.collect()
    }

    /// How many passages it has.
    pub fn len(&self) -> usize {
        self.view().passages.keys.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the embedder of its vectors is called; `None` where it has no vectors.
    pub fn embedder_name(&self) -> Option<String> {
        self.view().manifest.embedder.as_ref().map(|mark| mark.name.clone())
    }

    /// The passages that fit a question best, best first.
    ///
    /// # Errors
    /// The index is damaged, or the embedder fails.
    pub fn search(&self, query: &Query) -> Result<Vec<Found>, RagError> {
        self.follow()?;
        let view = self.view();
        let k = query.k.min(K_MAX);
        if k == 0 || query.text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let depth = k.max(DEPTH);
        let below = query.below.as_ref().map(|path| documents_below(&view, path));
        let words = match query.mode {
            Mode::Meaning => Vec::new(),
            _ => by_words(&view, query, depth, below.clone())?,
        };
        let meaning = match query.mode {
            Mode::Words => Vec::new(),
            _ => self.by_meaning(&view, query, depth, below.as_ref().map(Arc::as_ref))?,
        };
        let ranked = match query.mode {
            Mode::Words => words,
            Mode::Meaning => meaning,
            Mode::Fused => fuse(&words, &meaning, query.fusion),
        };
        ranked.into_iter().take(k).map(|(key, score)| found(&view, key, score)).collect()
    }

    /// [`Index::search`], with the first `pool` passages put into another's order.
    ///
    /// # Errors
    /// Those of [`Index::search`], and of whoever reranks.
    pub fn search_again(
        &self,
        query: &Query,
        pool: usize,
        rerank: &dyn Rerank,
    ) -> Result<Vec<Found>, RagError> {
        let mut passages = self.search(&query.clone().k(pool.max(query.k)))?;
        let hits: Vec<Hit> = passages.iter().map(|found| found.hit.clone()).collect();
        let scores = rerank.rerank(&query.text, &hits).map_err(RagError::Rerank)?;
        if scores.len() != hits.len() {
            let what = format!("{} scores for {} passages", scores.len(), hits.len());
            return Err(RagError::Rerank(RetrieveError(what)));
        }
        for (passage, score) in passages.iter_mut().zip(scores) {
            passage.hit.score = score;
        }
        passages.sort_by(|a, b| b.hit.score.total_cmp(&a.hit.score));
        passages.truncate(query.k);
        Ok(passages)
    }

    fn by_meaning(
        &self,
        view: &View,
        query: &Query,
        depth: usize,
        below: Option<&HashSet<u64>>,
    ) -> Result<Vec<(u64, f64)>, RagError> {
        let (Some(embedder), Some(mark)) = (&self.embedder, &view.manifest.embedder) else {
            return Ok(Vec::new());
        };
        let vectors = embedder.vectors(std::slice::from_ref(&query.text))?;
        let Some(vector) = vectors.first().filter(|vector| vector.len() == mark.width) else {
            return Err(RagError::BadVectors(format!("a vector that is not {} wide", mark.width)));
        };
        // A question without a known word has no direction, and everything is as near as anything.
        if vector.iter().all(|x| *x == 0.0) {
            return Ok(Vec::new());
        }
        let question = Question::new(vector);
        let passages = &view.passages;
        let accept = |row: u32| {
            below.is_none_or(|below| {
                below.contains(&document_of(passages.keys[row as usize]).into())
            })
        };
        let near = match &view.graph {
            // A filter leaves few: these can be looked at one by one.
            Some(graph) if below.is_none() => {
                graph.nearest(&passages.vectors, &question, depth, SEARCH.max(depth), accept)
            }
            _ => passages.vectors.nearest(&question, depth, accept),
        };
        let scored = near.into_iter().filter(|near| near.similarity > 0.0);
        let mut scored: Vec<(u64, f64)> =
            scored.map(|near| (passages.keys[near.row as usize], near.similarity.into())).collect();
        scored.sort_by(best_first);
        Ok(scored)
    }
}

impl Retrieve for Index {
    fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError> {
        let span = trace::retrieval("rag", question, k);
        let found = span.in_scope(|| self.search(&Query::new(question).k(k)))?;
        let hits: Vec<Hit> = found.into_iter().map(|found| found.hit).collect();
        trace::found(&span, &hits);
        Ok(hits)
    }
}

/// Numbers of the documents at a path or below it.
fn documents_below(view: &View, path: &str) -> Arc<HashSet<u64>> {
    let inside = |shown: &str| is_below(shown, path);
    let all = view.paths.iter().filter(|(shown, _)| inside(shown));
    Arc::new(all.map(|(_, id)| u64::from(*id)).collect())
}

/// Whether a path is another one or lies below it.
/// Makes sure that a folder is an index of ours.
fn signed(folder: &Path) -> Result<(), RagError> {
    let sign = folder.join(SIGN.0);
    match fs::read(&sign) {
        Ok(text) if text == SIGN.1.as_bytes() => Ok(()),
        Ok(_) => Err(RagError::damaged(&sign, "it is of another version")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(RagError::None(folder.to_path_buf()))
        }
        Err(error) => Err(at(&sign, "read")(error)),
    }
}

pub(crate) fn is_below(path: &str, other: &str) -> bool {
    let other = other.trim_start_matches("./").trim_end_matches('/');
    other.is_empty()
        || other == "."
        || path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn by_words(
    view: &View,
    query: &Query,
    depth: usize,
    below: Option<Arc<HashSet<u64>>>,
) -> Result<Vec<(u64, f64)>, RagError> {
    let Some(keywords) = &view.keywords else { return Ok(Vec::new()) };
    let accept = move |document: u64| below.as_ref().is_none_or(|below| below.contains(&document));
    let found = keywords.search(&query.text, depth, accept)?;
    Ok(found.into_iter().map(|(key, score)| (key, f64::from(score))).collect())
}

/// Both lists as one, best first.
fn fuse(words: &[(u64, f64)], meaning: &[(u64, f64)], fusion: Fusion) -> Vec<(u64, f64)> {
    let mut scores: HashMap<u64, f64> = HashMap::new();
    for (list, weight) in [(words, fusion.words), (meaning, fusion.meaning)] {
        for (place, (key, _)) in (1..).zip(list) {
            *scores.entry(*key).or_default() += weight / (fusion.rank + f64::from(place));
        }
    }
    let mut all: Vec<(u64, f64)> = scores.into_iter().collect();
    all.sort_by(best_first);
    all
}

/// Of equals the earlier document, so that the same question has the same answer.
fn best_first(a: &(u64, f64), b: &(u64, f64)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

fn found(view: &View, key: u64, score: f64) -> Result<Found, RagError> {
    let missing = || RagError::damaged(Path::new("words"), "a passage that has no text");
    let (segment, row) = view.passages.find(key).ok_or_else(missing)?;
    let document = view.passages.document(document_of(key)).ok_or_else(missing)?;
    let chunk = segment.chunk(row)?;
    let hit = Hit {
        path: view.shown(document),
        line_start: chunk.line_start,
        line_end: chunk.line_end,
        score,
        text: chunk.text,
    };
    let file = view.file(document);
    Ok(Found { hit, file, heading: chunk.heading, page: chunk.page })
}

/// Makes a folder an index without anything in it.
fn begin(folder: &Path) -> Result<(), RagError> {
    let sign = folder.join(SIGN.0);
    // The sign comes whole or not at all; its draft is all that a killed beginning leaves.
    let draft = folder.join(format!("{}.new", SIGN.0));
    if !sign.exists() {
        fs::create_dir_all(folder).map_err(at(folder, "create the folder"))?;
        let entries = fs::read_dir(folder).map_err(at(folder, "list the folder"))?;
        if entries.flatten().any(|entry| entry.path() != draft) {
            return Err(RagError::Foreign(folder.to_path_buf()));
        }
        fs::write(&draft, SIGN.1).map_err(at(&draft, "write"))?;
        fs::rename(&draft, &sign).map_err(at(&sign, "write"))?;
    }
    let tag = format!("{}\n# An index of `ondine rag`: it can be made again.\n", CACHE_TAG.1);
    for (name, text) in [(CACHE_TAG.0, tag.as_str()), (".gitignore", "*\n")] {
        let path = folder.join(name);
        if !path.exists() {
            fs::write(&path, text).map_err(at(&path, "write"))?;
        }
    }
    Ok(())
}
