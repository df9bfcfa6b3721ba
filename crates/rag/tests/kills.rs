//! A process that is killed while it changes an index leaves a whole one behind.
//!
//! The test starts itself again as the process that is killed. 12 kills by default;
//! `ONDINE_RAG_KILLS=100 cargo test -p ondine-rag --test kills` for more.

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use ondine_rag::{Index, Mode, Query, RagError};
use support::{Folder, anywhere, embedder};

/// What tells the started process where to work.
const PLACE: &str = "ONDINE_RAG_KILLED_IN";

#[test]
fn the_one_that_is_killed() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let place = std::path::PathBuf::from(place);
    let index = Index::create(&place.join("index"), Some(embedder(0))).unwrap();
    loop {
        index.add(&place.join("docs"), |_| true).unwrap();
        let _ = index.remove(&["5.md"]);
    }
}

fn text(n: usize, version: usize) -> String {
    format!(
        "# Page {n}\n\nword{n} in version{version} of it. {}\n",
        "Some filling text. ".repeat(40)
    )
}

#[test]
fn an_index_is_whole_after_every_kill() {
    let kills: usize =
        std::env::var("ONDINE_RAG_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let folder = Folder::new("kills");
    let files = 40;
    for n in 0..files {
        folder.write(&format!("docs/{n}.md"), text(n, 0));
    }
    let mut states = std::collections::BTreeSet::new();
    let mut wait_ms = 7;
    for version in 1..=kills {
        for n in (version % 3..files).step_by(3) {
            folder.write(&format!("docs/{n}.md"), text(n, version));
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_one_that_is_killed", "--nocapture"])
            .env(PLACE, &folder.0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At another moment each time: 0 to 700 ms after it began.
        wait_ms = (wait_ms * 31 + 17) % 701;
        std::thread::sleep(Duration::from_millis(wait_ms));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let index = match Index::open(&folder.at("index"), Some(embedder(0))) {
            Ok(index) => index,
            // It was killed before it began.
            Err(RagError::None(_)) => continue,
            Err(error) => panic!("kill {version}: {error}"),
        };
        let listed = index.documents();
        states.insert(listed.len());
        assert!([0, files, files - 1].contains(&listed.len()), "kill {version}: {}", listed.len());
        for document in &listed {
            let n: usize = document.path.trim_end_matches(".md").parse().unwrap();
            let query = Query::new(format!("word{n}")).mode(Mode::Words).k(1);
            let found = &index.search(&query).unwrap()[0].hit;
            assert_eq!(found.path, document.path, "kill {version}");
            let begin = format!("# Page {n}\n\nword{n} in version");
            assert!(found.text.starts_with(&begin), "kill {version}: {}", found.text);
        }
    }
    // Whoever writes next ends with what is in the folder, and with nothing of what was.
    let place = folder.at("index");
    let index = Index::create(&place, Some(embedder(0))).unwrap();
    for n in 0..files {
        folder.write(&format!("docs/{n}.md"), text(n, 9_999));
    }
    index.add(&folder.at("docs"), |_| true).unwrap();
    assert_eq!(index.documents().len(), files);
    for version in 0..=kills {
        assert_eq!(anywhere(&place, &format!("version{version} of")), None);
    }
    println!("{kills} kills; states seen: {states:?}");
}
