//! An index over its life: documents come, change and go, questions are answered with their lines.

mod support;

use ondine_app::{Hit, Retrieve, RetrieveError};
use ondine_rag::{Index, Kind, Mode, Query, RagError, Report, Rerank, Unread};
use support::{Folder, anywhere, embedder};

fn documents(folder: &Folder) {
    folder.write("docs/tea.md", "# Tea\n\nGreen tea wants water of eighty degrees.\n\n## Black\n\nBlack tea wants it boiling.\n");
    folder.write("docs/zh/索引.md", "# 索引\n\n增量更新只处理改动过的文件。\n");
    folder.write("src/lib.rs", "//! Parser.\n\n/// Parses a header line.\npub fn parseHeaderLine(line: &str) -> Option<Header> {\n    None\n}\n");
    folder.write(
        "page.html",
        "<html><body><h1>Lamps</h1>\n<p>Dim the lamp slowly.</p></body></html>",
    );
}

fn paths(index: &Index, query: &Query) -> Vec<String> {
    index.search(query).unwrap().into_iter().map(|found| found.hit.path).collect()
}

#[test]
fn documents_come_change_and_go_and_only_what_changed_is_read() {
    let folder = Folder::new("life");
    documents(&folder);
    let place = folder.at("index");
    let index = Index::create(&place, Some(embedder(0))).unwrap();
    let docs = folder.at("docs");
    let report = index.add(&docs, |_| true).unwrap();
    assert_eq!((report.added, report.changed, report.same, report.removed), (2, 0, 0, 0));
    assert!(report.skipped.is_empty() && report.chunks >= 2);

    let again = index.add(&docs, |_| true).unwrap();
    assert_eq!(again, Report { same: 2, ..Report::default() });

    let found = index.search(&Query::new("how hot should the water for green tea be")).unwrap();
    let first = &found[0];
    assert_eq!(
        (first.hit.path.as_str(), first.hit.line_start, first.hit.line_end),
        ("tea.md", 1, 7)
    );
    assert!(first.hit.text.contains("eighty degrees"));
    assert_eq!(first.heading, "Tea");
    assert_eq!(paths(&index, &Query::new("增量更新怎么做？").k(1)), ["zh/索引.md"]);

    folder.write("docs/tea.md", "# Tea\n\nWhite tea wants seventy.\n");
    folder.write("docs/new.txt", "A note about coffee beans.\n");
    std::fs::remove_file(folder.at("docs/zh/索引.md")).unwrap();
    let report = index.add(&docs, |_| true).unwrap();
    assert_eq!((report.added, report.changed, report.same, report.removed), (1, 1, 0, 1));
    let listed: Vec<_> =
        index.documents().into_iter().map(|d| (d.path, d.kind, d.chunks)).collect();
    assert_eq!(listed, [("new.txt".into(), Kind::Text, 1), ("tea.md".into(), Kind::Markdown, 1)]);
    for gone in ["eighty degrees", "增量更新", "boiling"] {
        assert_eq!(anywhere(&place, gone), None, "{gone}");
    }
    assert!(paths(&index, &Query::new("增量更新").mode(Mode::Words)).is_empty());

    // Another process that opens it sees the same.
    let reader = Index::open(&place, Some(embedder(0))).unwrap();
    assert_eq!(reader.documents(), index.documents());
    assert_eq!(index.remove(&["new.txt"]).unwrap(), 1);
    assert_eq!(anywhere(&place, "coffee"), None);
    // What somebody else removed is not given out any more.
    assert_eq!(reader.len(), 2, "until it is asked");
    let coffee = Query::new("coffee beans");
    assert!(!paths(&reader, &coffee).contains(&"new.txt".to_string()));
    assert_eq!(reader.len(), 1);
    assert!(matches!(index.remove(&["tea.md", "nobody"]), Err(RagError::Unknown(_))));
    assert_eq!(index.len(), 1, "all or none");
    for nothing in ["", " ", "/", "./", "."] {
        assert!(index.remove(&[nothing]).is_err(), "{nothing:?}");
    }
    let lies = index.documents()[0].file.clone();
    assert_eq!(lies, std::fs::canonicalize(docs.join("tea.md")).unwrap());
    // By its place on the disk, where it is no more.
    std::fs::remove_dir_all(&docs).unwrap();
    assert_eq!(index.remove(&[docs.to_str().unwrap()]).unwrap(), 1);
    assert_eq!(index.len(), 0);
    assert!(matches!(index.remove(&["new.txt"]), Err(RagError::Unknown(_))));
}

#[test]
fn several_folders_have_their_names_and_filters_keep_to_paths() {
    let folder = Folder::new("folders");
    documents(&folder);
    let index = Index::create(&folder.at("index"), Some(embedder(0))).unwrap();
    index.add(&folder.at("docs"), |_| true).unwrap();
    index.add(&folder.at("src"), |_| true).unwrap();
    let all: Vec<String> = index.documents().into_iter().map(|listed| listed.path).collect();
    assert_eq!(all, ["src/lib.rs", "tea.md", "zh/索引.md"]);
    assert_eq!(paths(&index, &Query::new("parse the header").k(1)), ["src/lib.rs"]);
    assert_eq!(paths(&index, &Query::new("parseHeaderLine").mode(Mode::Words)), ["src/lib.rs"]);
    for (below, expected) in
        [("src", true), ("src/", true), ("./src/lib.rs", true), ("sr", false), ("zh", false)]
    {
        for mode in [Mode::Fused, Mode::Words, Mode::Meaning] {
            let query = Query::new("parse a header line").mode(mode).below(below);
            assert_eq!(
                paths(&index, &query).contains(&"src/lib.rs".to_string()),
                expected,
                "{below} {mode:?}"
            );
        }
    }
    // The whole folder holds the index and what other folders have: neither comes twice.
    let report = index.add(&folder.0, |_| true).unwrap();
    assert_eq!(report.added, 4);
    assert!(index.documents().iter().all(|listed| !listed.path.contains("index")));
    assert_eq!(index.remove(&["src"]).unwrap(), 1);
    let hits: Vec<Hit> = index.retrieve("dim the lamp", 1).unwrap();
    assert!(hits[0].path.ends_with("page.html") && hits[0].text.contains("slowly"));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_indexed() {
    let folder = Folder::new("unread");
    folder.write("good.txt", "words that are read");
    folder.write("torn.pdf", b"%PDF-1.7\nnothing of it");
    folder.write("torn.docx", b"PK\x03\x04nothing");
    folder.write("picture.png", b"\x89PNG\r\n\x1a\n");
    folder.write("binary.bin", [0u8, 1, 2, 3]);
    folder.write("empty.txt", "");
    folder.write(".hidden.txt", "not looked at");
    folder.write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
    folder.write("cache/x.txt", "not looked at");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/hostname", folder.at("link.txt")).unwrap();
    let index = Index::create(&folder.at("index"), None).unwrap();
    let report = index.add(&folder.0, |_| true).unwrap();
    assert_eq!(report.added, 1);
    let skipped: Vec<_> =
        report.skipped.iter().map(|(path, why)| (path.as_str(), why.is_failure())).collect();
    let expected = [
        ("binary.bin", false),
        ("empty.txt", false),
        ("picture.png", false),
        ("torn.docx", false),
        ("torn.pdf", true),
    ];
    assert_eq!(skipped, expected);
    // A document that was whole and is torn now says nothing old any more.
    folder.write("good.txt", [b'a', 0, b'b']);
    let report = index.add(&folder.0, |_| true).unwrap();
    assert_eq!((report.removed, index.len()), (1, 0));
    assert!(
        report
            .skipped
            .iter()
            .any(|(path, why)| path == "good.txt" && matches!(why, Unread::NotDocument(_)))
    );
    assert!(matches!(index.add(&folder.at("none"), |_| true), Err(RagError::NoFolder(_))));
}

#[test]
fn an_index_wants_its_own_folder_its_own_embedder_and_one_writer() {
    let folder = Folder::new("own");
    documents(&folder);
    assert!(matches!(Index::open(&folder.at("index"), None), Err(RagError::None(_))));
    assert!(matches!(Index::create(&folder.0, None), Err(RagError::Foreign(_))));
    let place = folder.at("index");
    let index = Index::create(&place, Some(embedder(0))).unwrap();
    let mut steps = 0;
    index
        .add(&folder.at("docs"), |step| {
            steps = step.done;
            let other = Index::open(&place, Some(embedder(0))).unwrap();
            assert!(matches!(other.add(&folder.at("docs"), |_| true), Err(RagError::Busy(_))));
            assert!(matches!(other.remove(&["tea.md"]), Err(RagError::Busy(_))));
            true
        })
        .unwrap();
    assert_eq!(steps, 2);
    // Stopped, it is as it was, and nothing of the new is left when the next writer is done.
    folder.write("docs/tea.md", "changed: persimmon");
    assert!(matches!(index.add(&folder.at("docs"), |_| false), Err(RagError::Stopped)));
    assert_eq!(index.len(), 2);
    assert!(index.search(&Query::new("boiling")).unwrap()[0].hit.text.contains("boiling"));

    let other = Index::open(&place, Some(embedder(5)));
    assert!(
        matches!(&other, Err(RagError::OtherEmbedder { had, given }) if had == "hashing-0" && given == "hashing-5")
    );
    let by_words = Index::open(&place, None).unwrap();
    assert!(matches!(
        by_words.add(&folder.at("docs"), |_| true),
        Err(RagError::OtherEmbedder { .. })
    ));
    assert_eq!(by_words.search(&Query::new("boiling tea").k(1)).unwrap()[0].hit.path, "tea.md");

    let anew = Index::open_for_another(&place, embedder(5)).unwrap();
    let mut heard = 0;
    anew.reembed(|done| {
        heard = done;
        true
    })
    .unwrap();
    assert_eq!(heard, 2);
    let index = Index::open(&place, Some(embedder(5))).unwrap();
    assert_eq!(index.embedder_name().as_deref(), Some("hashing-5"));
    let query = Query::new("black tea boiling").mode(Mode::Meaning).k(1);
    assert_eq!(paths(&index, &query), ["tea.md"]);
    assert!(index.add(&folder.at("docs"), |_| true).unwrap().changed == 1);
}

#[test]
fn a_damaged_index_is_refused_by_name() {
    let folder = Folder::new("damaged");
    documents(&folder);
    let place = folder.at("index");
    Index::create(&place, Some(embedder(0))).unwrap().add(&folder.at("docs"), |_| true).unwrap();
    for name in std::fs::read_dir(&place).unwrap().flatten().map(|entry| entry.path()) {
        let file = name.file_name().unwrap().to_string_lossy().into_owned();
        if !name.is_file()
            || !["p-", "state-", "ondine"].iter().any(|begin| file.starts_with(begin))
        {
            continue;
        }
        let whole = std::fs::read(&name).unwrap();
        let mut torn = whole.clone();
        torn[20] ^= 1;
        std::fs::write(&name, torn).unwrap();
        let error = Index::open(&place, None).err().expect(&file).to_string();
        assert!(error.contains(&file), "{error}");
        std::fs::write(&name, whole).unwrap();
    }
    Index::open(&place, None).unwrap();
}

#[test]
fn beyond_the_exact_the_graph_finds_the_same() {
    let folder = Folder::new("graph");
    for n in 0..400 {
        let text = format!("subject{} detail{n} and subject{}", n % 20, n % 7);
        folder.write(&format!("docs/{n}.txt"), text);
    }
    let docs = folder.at("docs");
    let exact = Index::create(&folder.at("exact"), Some(embedder(0))).unwrap();
    exact.add(&docs, |_| true).unwrap();
    let index = Index::create(&folder.at("graph"), Some(embedder(0))).unwrap().exact_to(100);
    index.add(&docs, |_| true).unwrap();
    let has_graph = |index: &str| {
        let names = std::fs::read_dir(folder.at(index)).unwrap().flatten();
        names.filter(|entry| entry.file_name().to_string_lossy().starts_with("g-")).count()
    };
    assert_eq!((has_graph("exact"), has_graph("graph")), (0, 1));
    let same = || {
        let mut right = 0;
        for n in 0..50 {
            let query = Query::new(format!("detail{n} subject{}", n % 20)).mode(Mode::Meaning).k(1);
            right += usize::from(paths(&exact, &query) == paths(&index, &query));
        }
        right
    };
    assert!(same() >= 48, "{}", same());
    for n in (0..400).step_by(2) {
        std::fs::remove_file(docs.join(format!("{n}.txt"))).unwrap();
    }
    folder.write("docs/more.txt", "subject3 more");
    exact.add(&docs, |_| true).unwrap();
    index.add(&docs, |_| true).unwrap();
    assert_eq!((index.len(), has_graph("graph")), (201, 1));
    assert!(same() >= 48, "{}", same());
}

#[test]
fn a_reranker_has_the_last_word() {
    struct Shortest;
    impl Rerank for Shortest {
        fn rerank(&self, _: &str, passages: &[Hit]) -> Result<Vec<f64>, RetrieveError> {
            Ok(passages.iter().map(|hit| -(hit.text.len() as f64)).collect())
        }
    }
    struct Wrong;
    impl Rerank for Wrong {
        fn rerank(&self, _: &str, _: &[Hit]) -> Result<Vec<f64>, RetrieveError> {
            Ok(vec![f64::NAN])
        }
    }
    let folder = Folder::new("rerank");
    folder.write("docs/a.txt", "tea tea tea and much more about tea");
    folder.write("docs/b.txt", "tea");
    let index = Index::create(&folder.at("index"), None).unwrap();
    index.add(&folder.at("docs"), |_| true).unwrap();
    let query = Query::new("tea").k(1);
    let best = index.search_again(&query, 10, &Shortest).unwrap();
    assert_eq!((best.len(), best[0].hit.path.as_str()), (1, "b.txt"));
    assert!(matches!(index.search_again(&query, 10, &Wrong), Err(RagError::Rerank(_))));
}

#[test]
fn an_index_without_its_words_is_damaged_and_not_empty() {
    let folder = Folder::new("wordless");
    documents(&folder);
    let place = folder.at("index");
    let index = Index::create(&place, Some(embedder(0))).unwrap();
    index.add(&folder.at("docs"), |_| true).unwrap();
    let state = std::fs::read_dir(&place).unwrap().flatten().map(|entry| entry.path());
    let state = state.into_iter().find(|path| path.to_string_lossy().contains("state-")).unwrap();
    let bytes = std::fs::read(&state).unwrap();
    std::fs::write(&state, b"\xff\xfe\n{}").unwrap();
    let opened = || Index::open(&place, Some(embedder(0))).map(|_| ());
    assert!(matches!(opened(), Err(RagError::Damaged { .. })), "{:?}", opened());
    std::fs::remove_file(&state).unwrap();
    assert!(matches!(opened(), Err(RagError::Damaged { .. })), "{:?}", opened());
    std::fs::write(&state, bytes).unwrap();
    std::fs::remove_dir_all(place.join("words")).unwrap();
    assert!(matches!(opened(), Err(RagError::Damaged { .. })), "{:?}", opened());
    let searched = index.search(&Query::new("tea"));
    assert!(matches!(searched, Err(RagError::Damaged { .. })), "{searched:?}");
    assert!(matches!(index.add(&folder.at("docs"), |_| true), Err(RagError::Damaged { .. })));
    std::fs::remove_dir_all(&place).unwrap();
    let searched = index.search(&Query::new("tea"));
    assert!(matches!(searched, Err(RagError::None(_))), "{searched:?}");
}
