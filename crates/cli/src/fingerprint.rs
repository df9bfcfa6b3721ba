//! What tells a model's file from all others: its SHA-256. A model of the store has it in its name, and
//! droplet is small; any other file is read once, beside the service, and what came of it is kept.
//!
//! ```text
//! ONDINE_HOME/fingerprints.json   [{"file": {"path": …, "bytes": …, …}, "sha256": …}, …]
//! ```
//!
//! A file is the same one as long as its path, length, times and number in the file system are. Whoever
//! can set all of these to what they were can also write what this program reads.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ondine_runtime::Fingerprint;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::model::{self, Opened};
use crate::{apps, own, store};

/// The list, inside the home folder.
const FILE: &str = "fingerprints.json";
/// Files that it knows; the oldest go.
const KNOWN_MAX: usize = 256;
/// Bytes of the list at most: of paths as long as any.
const LIST_BYTES_MAX: u64 = 4 << 20;
/// Bytes of a model that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// A plain file as it was before it was opened as a model; `None` for what is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen(Option<(PathBuf, Value)>);

impl Seen {
    /// Looks at what the user named.
    pub(crate) fn at(path: &Path) -> Seen {
        let look = || {
            let meta = fs::metadata(path).ok().filter(Metadata::is_file)?;
            let path = fs::canonicalize(path).ok()?;
            let file = identity(&path, &meta)?;
            Some((path, file))
        };
        Seen(look())
    }
}

/// All that is seen of a file without reading it.
fn identity(path: &Path, meta: &Metadata) -> Option<Value> {
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    #[cfg(unix)]
    let (node, changed) = {
        use std::os::unix::fs::MetadataExt;
        ((meta.dev(), meta.ino()), (meta.ctime(), meta.ctime_nsec()))
    };
    #[cfg(not(unix))]
    let (node, changed) = ((), ());
    Some(json!({
        "path": path.to_str()?,
        "bytes": meta.len(),
        "modified": [since.as_secs(), since.subsec_nanos()],
        "changed": changed,
        "node": node,
    }))
}

/// The fingerprint of a model that was opened after its file was `seen`. Where the file has to be read
/// for it, it becomes known later.
pub(crate) fn of(opened: &Opened, path: &Path, seen: Seen) -> Fingerprint {
    if let Some(sha256) = opened.sha256() {
        return Fingerprint::of_hex(&sha256);
    }
    let fingerprint = Fingerprint::default();
    let later = fingerprint.clone();
    if model::is_droplet(path) {
        std::thread::spawn(move || later.set(Sha256::digest(&*ondine_droplet::bytes()).into()));
    } else if let Seen(Some((path, file))) = seen
        && let Ok(home) = store::home()
    {
        std::thread::spawn(move || {
            // A file that cannot be read, or changes meanwhile, has no fingerprint: then its
            // conversations are computed again, and nothing else is lost.
            if let Ok(Some(sha256)) = find(&home.join(FILE), &path, &file) {
                later.set(sha256);
            }
        });
    }
    fingerprint
}

/// The SHA-256 of a file that is still the one that was seen.
fn find(list: &Path, path: &Path, file: &Value) -> io::Result<Option<[u8; 32]>> {
    let mut known = read(list);
    let entry = known.iter().find(|entry| entry["file"] == *file);
    if let Some(sha256) = entry.and_then(|entry| entry["sha256"].as_str()) {
        return Ok(Fingerprint::of_hex(sha256).get());
    }
    let mut source = File::open(path)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match source.read(&mut piece)? {
            0 => break,
            read => hash.update(&piece[..read]),
        }
    }
    let sha256: [u8; 32] = hash.finalize().into();
    let unchanged = |meta: Metadata| identity(path, &meta).as_ref() == Some(file);
    if !unchanged(source.metadata()?) || !unchanged(fs::metadata(path)?) {
        return Ok(None);
    }
    known.retain(|entry| entry["file"]["path"] != file["path"]);
    known.drain(..known.len().saturating_sub(KNOWN_MAX - 1));
    known.push(json!({ "file": file, "sha256": apps::hex(&sha256) }));
    write(list, &known)?;
    Ok(Some(sha256))
}

/// The list. One that cannot be read is as good as none: it is made anew.
fn read(list: &Path) -> Vec<Value> {
    let text = || {
        let mut text = String::new();
        File::open(list)?.take(LIST_BYTES_MAX).read_to_string(&mut text)?;
        io::Result::Ok(text)
    };
    text().ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn write(list: &Path, known: &[Value]) -> io::Result<()> {
    let beside = list.with_extension("next");
    let _ = fs::remove_file(&beside);
    let mut file = own::own_file(&beside)?;
    serde_json::to_writer(&mut file, known)?;
    drop(file);
    fs::rename(&beside, list)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Temp(PathBuf);

    impl Temp {
        fn new(name: &str) -> Temp {
            let name = format!("ondine-fingerprint-{name}-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            fs::create_dir_all(&folder).unwrap();
            Temp(folder.canonicalize().unwrap())
        }
    }

    impl Drop for Temp {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_is_read_once_and_again_when_it_changed() {
        let temp = Temp::new("once");
        let (list, model) = (temp.0.join(FILE), temp.0.join("m.gguf"));
        let found = |seen: &Seen| {
            let Seen(Some((path, file))) = seen else { panic!("a file") };
            find(&list, path, file).unwrap()
        };
        fs::write(&model, "weights").unwrap();
        let seen = Seen::at(&model);
        let sha256: [u8; 32] = Sha256::digest("weights").into();
        assert_eq!(found(&seen), Some(sha256));
        // From the list, which is believed as long as the file is the same one.
        let text = fs::read_to_string(&list).unwrap();
        let other = "ab".repeat(32);
        fs::write(&list, text.replace(&apps::hex(&sha256), &other)).unwrap();
        assert_eq!(found(&Seen::at(&model)), Some([0xab; 32]));
        // Another content of the same length: the list does not know it, and what was seen is gone.
        fs::rename(&model, temp.0.join("old")).unwrap();
        fs::write(&model, "WEIGHTS").unwrap();
        assert_eq!(found(&Seen::at(&model)), Some(Sha256::digest("WEIGHTS").into()));
        assert_eq!(read(&list).len(), 1, "a path has one entry");
        fs::write(&model, "weights and more").unwrap();
        assert_eq!(found(&seen), None, "what is there now was not seen before it was opened");
        fs::write(&list, "no list").unwrap();
        assert!(found(&Seen::at(&model)).is_some());
        assert_eq!(Seen::at(&temp.0), Seen(None), "a folder");
        assert_eq!(Seen::at(&temp.0.join("none")), Seen(None));
    }
}
