//! Passages by their words: tantivy's inverted index, ranked by BM25, with our own terms.
//!
//! It keeps terms and numbers; texts are kept in `segment` alone. Its commit carries the number of the
//! state that it belongs to, so that both change in one step.

use std::path::Path;

use tantivy::collector::{FilterCollector, TopDocs};
use tantivy::directory::MmapDirectory;
use tantivy::indexer::NoMergePolicy;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};
use tantivy::{
    Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term,
};

use crate::chunk::Chunk;
use crate::error::{RagError, at};
use crate::words::Words;

/// The name of our terms in the schema.
const TERMS: &str = "ondine";
/// Memory that new passages may take before they are written.
const HEAP_BYTES: usize = 48 << 20;
/// More parts than this are merged.
const PARTS_MAX: usize = 8;
/// How much a word of a heading or a path counts, beside one of the text.
const ABOUT: f32 = 0.6;
/// Terms of a question beyond these are not looked for.
const TERMS_MAX: usize = 256;

#[derive(Clone, Copy)]
struct Fields {
    text: Field,
    about: Field,
    document: Field,
    chunk: Field,
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TERMS)
        .set_index_option(IndexRecordOption::WithFreqs);
    let options = TextOptions::default().set_indexing_options(indexing);
    let fields = Fields {
        text: schema.add_text_field("text", options.clone()),
        about: schema.add_text_field("about", options),
        document: schema.add_u64_field("document", INDEXED | FAST),
        chunk: schema.add_u64_field("chunk", FAST),
    };
    (schema.build(), fields)
}

/// The inverted index, as it was when it was opened.
pub(crate) struct Keywords {
    searcher: Searcher,
    fields: Fields,
}

/// Opens it, or begins one.
fn open(folder: &Path) -> Result<(Index, Fields), RagError> {
    let (schema, fields) = schema();
    std::fs::create_dir_all(folder).map_err(at(folder, "create the folder"))?;
    let directory =
        MmapDirectory::open(folder).map_err(|error| RagError::Keywords(error.to_string()))?;
    let index =
        if Index::exists(&directory).map_err(|error| RagError::Keywords(error.to_string()))? {
            Index::open(directory)?
        } else {
            Index::create(directory, schema.clone(), IndexSettings::default())?
        };
    if index.schema() != schema {
        return Err(RagError::damaged(folder, "its schema is another one"));
    }
    index.tokenizers().register(TERMS, Terms);
    Ok((index, fields))
}

/// The number of the state that was committed last; `None` before the first.
fn committed(index: &Index) -> Result<Option<u64>, RagError> {
    Ok(index.load_metas()?.payload.and_then(|payload| payload.parse().ok()))
}

/// The number of the state that was committed last, without opening the index: what a reader compares
/// with its own. `None` where it cannot be told; opening it then says why.
pub(crate) fn generation(folder: &Path) -> Option<u64> {
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("meta.json")).ok()?).ok()?;
    meta["payload"].as_str()?.parse().ok()
}

impl Keywords {
    /// What was committed last, and the number of its state.
    pub(crate) fn open(folder: &Path) -> Result<Option<(Keywords, u64)>, RagError> {
        if !folder.join("meta.json").is_file() {
            return Ok(None);
        }
        let (index, fields) = open(folder)?;
        loop {
            let Some(before) = committed(&index)? else { return Ok(None) };
            let reader: IndexReader =
                index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
            // Somebody may have committed in between; then it is looked at again.
            if committed(&index)? == Some(before) {
                return Ok(Some((Keywords { searcher: reader.searcher(), fields }, before)));
            }
        }
    }

    /// The `k` best passages of documents that are accepted, with their scores, best first.
    pub(crate) fn search(
        &self,
        question: &str,
        k: usize,
        accept: impl Fn(u64) -> bool + Clone + Send + Sync + 'static,
    ) -> Result<Vec<(u64, f32)>, RagError> {
        let terms = Words::new().of_question(question);
        if terms.is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for term in terms.iter().take(TERMS_MAX) {
            let of = |field| {
                let term = Term::from_field_text(field, term);
                Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
            };
            clauses.push((Occur::Should, of(self.fields.text)));
            clauses.push((Occur::Should, Box::new(BoostQuery::new(of(self.fields.about), ABOUT))));
        }
        let best = TopDocs::with_limit(k).order_by_score();
        let collector = FilterCollector::new("document".to_string(), accept, best);
        let found = self.searcher.search(&BooleanQuery::new(clauses), &collector)?;
        let mut hits = Vec::with_capacity(found.len());
        for (score, address) in found {
            let columns = self.searcher.segment_reader(address.segment_ord).fast_fields();
            if let Some(chunk) = columns.u64("chunk")?.first(address.doc_id) {
                hits.push((chunk, score));
            }
        }
        Ok(hits)
    }

    /// How many passages are in it.
    pub(crate) fn len(&self) -> u64 {
        self.searcher.num_docs()
    }
}

/// Changes to the inverted index, which nobody sees before the commit.
pub(crate) struct KeywordWriter {
    index: Index,
    writer: IndexWriter,
    fields: Fields,
}

impl KeywordWriter {
    pub(crate) fn open(folder: &Path) -> Result<KeywordWriter, RagError> {
        let (index, fields) = open(folder)?;
        let writer = index.writer_with_num_threads(1, HEAP_BYTES)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok(KeywordWriter { index, writer, fields })
    }

    pub(crate) fn add(
        &self,
        document: u32,
        key: u64,
        path: &str,
        chunk: &Chunk,
    ) -> Result<(), RagError> {
        let mut row = TantivyDocument::new();
        row.add_text(self.fields.text, &chunk.text);
        row.add_text(self.fields.about, format!("{path} {}", chunk.heading));
        row.add_u64(self.fields.document, document.into());
        row.add_u64(self.fields.chunk, key);
        self.writer.add_document(row)?;
        Ok(())
    }

    pub(crate) fn remove(&self, document: u32) {
        self.writer.delete_term(Term::from_field_u64(self.fields.document, document.into()));
    }

    /// Makes everything that was said so far the current state, in one step.
    pub(crate) fn commit(&mut self, generation: u64) -> Result<(), RagError> {
        let mut commit = self.writer.prepare_commit()?;
        commit.set_payload(&generation.to_string());
        commit.commit()?;
        Ok(())
    }

    /// Takes what was removed off the disk: terms of removed passages stand in their parts until these
    /// are written anew.
    pub(crate) fn clean(mut self) -> Result<(), RagError> {
        let parts = self.index.searchable_segment_metas()?;
        let many = parts.len() > PARTS_MAX;
        let largest = parts.iter().map(|part| part.num_docs()).max().unwrap_or(0);
        let stale: Vec<_> = parts
            .iter()
            .filter(|part| part.has_deletes() || (many && part.num_docs() * 2 <= largest.max(2)))
            .map(|part| part.id())
            .collect();
        // Whoever holds a part's description keeps its files.
        drop(parts);
        if !stale.is_empty() {
            self.writer.merge(&stale).wait()?;
        }
        self.writer.garbage_collect_files().wait()?;
        self.writer.wait_merging_threads()?;
        Ok(())
    }
}

/// Our terms, as tantivy asks for them.
#[derive(Clone)]
struct Terms;

impl Tokenizer for Terms {
    type TokenStream<'a> = Stream;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream {
        let (mut terms, mut ends) = (String::new(), Vec::new());
        Words::new().of(text, |term| {
            terms.push_str(term);
            ends.push(terms.len());
        });
        Stream { terms, ends, next: 0, token: Token::default() }
    }
}

/// The terms of one text.
struct Stream {
    terms: String,
    ends: Vec<usize>,
    next: usize,
    token: Token,
}

impl TokenStream for Stream {
    fn advance(&mut self) -> bool {
        let Some(end) = self.ends.get(self.next) else { return false };
        let start = self.next.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.token.text.clear();
        self.token.text.push_str(&self.terms[start..*end]);
        self.token.position = self.next;
        self.next += 1;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(text: &str) -> Chunk {
        let text = text.to_string();
        Chunk { text, heading: "Head".into(), line_start: 1, line_end: 1, page: None }
    }

    fn keys(found: &[(u64, f32)]) -> Vec<u64> {
        found.iter().map(|row| row.0).collect()
    }

    #[test]
    fn no_term_of_a_removed_document_stays_on_the_disk() {
        let folder = crate::tests::folder("keywords");
        let mut writer = KeywordWriter::open(&folder).unwrap();
        assert!(Keywords::open(&folder).unwrap().is_none(), "nothing was committed");
        writer.add(1, 10, "a.md", &chunk("common words and zebrafish")).unwrap();
        writer.add(2, 20, "secret/b.md", &chunk("common words and xylophones 索引")).unwrap();
        writer.commit(1).unwrap();
        writer.clean().unwrap();
        let (words, generation) = Keywords::open(&folder).unwrap().unwrap();
        assert_eq!(generation, 1);
        assert_eq!(keys(&words.search("xylophone", 9, |_| true).unwrap()), [20]);
        assert_eq!(keys(&words.search("索引", 9, |_| true).unwrap()), [20]);
        assert_eq!(keys(&words.search("common", 9, |id| id == 1).unwrap()), [10]);
        assert_eq!(keys(&words.search("secret", 9, |_| true).unwrap()), [20]);
        let mut writer = KeywordWriter::open(&folder).unwrap();
        writer.remove(2);
        writer.commit(2).unwrap();
        writer.clean().unwrap();
        // The reader from before still sees its own state, a new one the new state.
        assert_eq!(words.len(), 2);
        drop(words);
        let (words, generation) = Keywords::open(&folder).unwrap().unwrap();
        assert_eq!((words.len(), generation), (1, 2));
        for part in words.searcher.segment_readers() {
            for field in [words.fields.text, words.fields.about] {
                let index = part.inverted_index(field).unwrap();
                let mut terms = index.terms().stream().unwrap();
                while let Some((term, _)) = terms.next() {
                    let term = String::from_utf8_lossy(term).into_owned();
                    assert!(
                        !["xylophon", "索", "索引", "secret", "b"].contains(&term.as_str()),
                        "{term}"
                    );
                }
            }
        }
        let parts = std::fs::read_dir(&folder).unwrap().flatten();
        let parts: Vec<_> =
            parts.filter(|e| e.path().extension().is_some_and(|x| x == "term")).collect();
        assert_eq!(parts.len(), 1, "{parts:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn questions_of_marks_or_of_a_million_words_do_no_harm() {
        let folder = crate::tests::folder("questions");
        let mut writer = KeywordWriter::open(&folder).unwrap();
        writer.add(1, 10, "a.md", &chunk("text")).unwrap();
        writer.commit(1).unwrap();
        writer.clean().unwrap();
        let (words, _) = Keywords::open(&folder).unwrap().unwrap();
        let many = (0..100_000).map(|n| format!("w{n} ")).collect::<String>();
        for question in ["", "()[]{}\":*?~^ AND OR NOT", "\u{0}", &many] {
            assert!(words.search(question, 5, |_| true).unwrap().is_empty());
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
