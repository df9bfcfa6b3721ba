//! Which files there are, how many bytes they may have, and who goes first.
//!
//! ```text
//! kv/
//! ├── <32 digits>.kv            a timeline, whole; its name is made from its key, session and tokens
//! └── <32 digits>.part          one that is being written
//! ```
//!
//! A file is written beside its place and renamed, so that it is whole or not there, as far as the
//! process goes. The disk may still lose or tear it when the power goes; that is seen when it is read.
//! What the files hold is in memory as far as looking for a prompt needs it: four bytes a token, of
//! thousands on the disk.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use ondine_cache::Cache;
use xxhash_rust::xxh3::Xxh3;

use crate::error::{SpillError, io_at};
use crate::file::{self, Head, Refused, TOKENS_MAX};
use crate::key::{self, Key, Mark};

/// The ending of a file that is whole.
const WHOLE: &str = "kv";
/// The ending of a file that is being written.
const PART: &str = "part";
/// Files in a folder: more take longer to look through than they save.
pub const FILES_MAX: usize = 4096;
/// Forgotten sessions that are remembered, so that what is still on its way of them is not written.
const FORGOTTEN_MAX: usize = 4096;

/// What a folder may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes that stay free on the disk for others.
    pub keep_free: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { bytes: 4 << 30, keep_free: 1 << 30 }
    }
}

/// What a folder holds, and what it did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Timelines written.
    pub written: u64,
    /// Timelines brought back.
    pub restored: u64,
    /// Files that were not what had been written, and were removed.
    pub damaged: u64,
}

/// A folder of timelines. Several threads may use it; several processes may too, and then each may lose
/// what another removes.
pub struct Folder {
    path: PathBuf,
    limits: Limits,
    index: Mutex<Index>,
    /// Held by who writes: what is planned for one file must not be planned for another.
    writing: Mutex<()>,
}

#[derive(Default)]
struct Index {
    /// The least recently used first.
    entries: Vec<Entry>,
    forgotten: HashSet<(Mark, Mark)>,
    counts: Counts,
}

struct Entry {
    name: String,
    head: Head,
    bytes: u64,
}

/// Part of a prompt that a file knows.
#[derive(Clone, Debug)]
pub struct Found {
    name: String,
    key: Key,
    tokens: Vec<u32>,
    /// Bytes that are read for it.
    pub bytes: u64,
}

impl Found {
    /// The prompt's tokens that are known.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }
}

impl Folder {
    /// Opens a folder and makes it where it is missing, for its owner alone. Files in it that are no
    /// whole timelines are removed; files with other names are not touched.
    ///
    /// # Errors
    /// The folder cannot be made or listed.
    pub fn open(path: &Path, limits: Limits) -> Result<Folder, SpillError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(io_at(path, "make the folder"))?;
        let folder = Folder {
            path: path.to_owned(),
            limits,
            index: Mutex::default(),
            writing: Mutex::default(),
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(io_at(path, "list the folder"))? {
            let entry = entry.map_err(io_at(path, "list the folder"))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let own = |stem: &str| stem.len() == 32 && stem.bytes().all(|b| b.is_ascii_hexdigit());
            let parts = name.rsplit_once('.').filter(|(stem, _)| own(stem));
            match parts.map(|(_, ending)| ending) {
                Some(PART) => _ = fs::remove_file(entry.path()),
                Some(WHOLE) => match open_whole(&entry.path()) {
                    Ok((_, head, _, bytes, time)) => {
                        found.push((time, Entry { name, head, bytes }));
                    }
                    // A moment without descriptors or rights does not make it a bad one.
                    Err(Refused::Io(_)) => {}
                    Err(_) => {
                        folder.lock().counts.damaged += 1;
                        _ = fs::remove_file(entry.path());
                    }
                },
                _ => {}
            }
        }
        found.sort_by_key(|(time, _)| *time);
        {
            let mut index = folder.lock();
            index.counts.bytes = found.iter().map(|(_, entry)| entry.bytes).sum();
            index.entries = found.into_iter().map(|(_, entry)| entry).collect();
            // The limits may be others than those it was filled under.
            while index.counts.bytes > limits.bytes || index.entries.len() > FILES_MAX {
                folder.remove(&mut index, 0);
            }
        }
        Ok(folder)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it holds and did.
    pub fn counts(&self) -> Counts {
        let index = self.lock();
        Counts { files: index.entries.len(), ..index.counts }
    }

    /// Keeps a timeline: `tokens`, and the keys and values that came of them. One that a file knows
    /// already is not written again. A file that it [replaces] goes, and those that were used
    /// longest ago go where there is no room.
    ///
    /// # Errors
    /// No room, or the disk; nothing is kept then. No tokens, or too many.
    ///
    /// # Panics
    /// Where there are not as many tokens as positions.
    pub fn put(
        &self,
        key: &Key,
        session: Option<&str>,
        tokens: &[u32],
        cache: &Cache,
    ) -> Result<(), SpillError> {
        assert_eq!(tokens.len(), cache.len(), "tokens and positions");
        if tokens.is_empty() || tokens.len() > TOKENS_MAX {
            return Err(SpillError::Tokens { tokens: tokens.len() });
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let head = Head {
            key: *key,
            session: session.map_or([0; 32], key::mark),
            page_bytes: cache.shape().bytes_per_page().unwrap_or(0) as u64,
            tokens: tokens.to_vec(),
        };
        let bytes = head.length().unwrap_or(u64::MAX);
        {
            let mut index = self.lock();
            if index.is_forgotten(&head) {
                return Err(SpillError::Gone);
            }
            let knows = |e: &Entry| e.head.key == *key && e.head.tokens.starts_with(tokens);
            if let Some(place) = index.entries.iter().position(knows) {
                self.used(&mut index, place);
                return Ok(());
            }
            self.make_room(&mut index, bytes)?;
        }
        let name = format!("{}.{WHOLE}", name_of(&head));
        let place = self.path.join(&name);
        let part = place.with_extension(PART);
        if let Err(error) = write(&part, &head, cache) {
            _ = fs::remove_file(&part);
            return Err(io_at(&part, "write")(error));
        }
        let mut index = self.lock();
        if index.is_forgotten(&head) {
            _ = fs::remove_file(&part);
            return Err(SpillError::Gone);
        }
        if let Err(error) = fs::rename(&part, &place) {
            _ = fs::remove_file(&part);
            return Err(io_at(&place, "put the file there")(error));
        }
        let of_session = head.session != [0; 32];
        let grown = |e: &Entry| {
            (e.head.key, e.head.session) == (head.key, head.session)
                && replaces(tokens, &e.head.tokens, of_session)
        };
        while let Some(old) = index.entries.iter().position(grown) {
            self.remove(&mut index, old);
        }
        index.counts.bytes += bytes;
        index.counts.written += 1;
        index.entries.push(Entry { name, head, bytes });
        Ok(())
    }

    /// How many of `tokens`, from the first on, an app's files know.
    pub fn knows(&self, key: &Key, tokens: &[u32]) -> usize {
        self.lock().longest(key, tokens).map_or(0, |(_, shared)| shared)
    }

    /// What is known of the beginning of a prompt, if anything is.
    pub fn find(&self, key: &Key, prompt: &[u32]) -> Option<Found> {
        let index = self.lock();
        let (place, shared) = index.longest(key, prompt)?;
        let Entry { name, head, .. } = &index.entries[place];
        let bytes = file::length(shared, head.page_bytes)?;
        Some(Found { name: name.clone(), key: *key, tokens: prompt[..shared].to_vec(), bytes })
    }

    /// Fills an empty cache with what was found.
    ///
    /// # Errors
    /// The file is gone or was not what had been written; it is removed then. No memory. The cache is
    /// empty in each case.
    pub fn read(&self, found: &Found, cache: &mut Cache) -> Result<(), SpillError> {
        let path = self.path.join(&found.name);
        let mut read = || {
            let (mut file, head, check, ..) = open_whole(&path)?;
            let page_bytes = cache.shape().bytes_per_page().unwrap_or(0) as u64;
            if head.key != found.key
                || head.page_bytes != page_bytes
                || !head.tokens.starts_with(&found.tokens)
            {
                return Err(Refused::Damaged("it is not the timeline that was looked for"));
            }
            file::read_pages(&mut file, check, found.tokens.len(), cache)
        };
        let refused = read().err();
        let mut index = self.lock();
        let place = index.entries.iter().position(|entry| entry.name == found.name);
        let Some(refused) = refused else {
            index.counts.restored += 1;
            if let Some(place) = place {
                self.used(&mut index, place);
            }
            return Ok(());
        };
        match refused {
            Refused::Cache(error) => return Err(error.into()),
            Refused::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(place) = place {
                    self.remove(&mut index, place);
                }
                return Err(SpillError::Gone);
            }
            Refused::Io(error) => return Err(io_at(&path, "read")(error)),
            Refused::Damaged(_) => {}
        }
        index.counts.damaged += 1;
        match place {
            Some(place) => self.remove(&mut index, place),
            None => _ = fs::remove_file(&path),
        }
        let Refused::Damaged(what) = refused else { return Err(SpillError::Gone) };
        Err(SpillError::Damaged { path, what })
    }

    /// Takes away what is kept of an app's session, and whatever is still being written of it.
    pub fn forget(&self, app: &str, session: &str) {
        let (app, session) = (key::mark(app), key::mark(session));
        let mut index = self.lock();
        if index.forgotten.len() >= FORGOTTEN_MAX {
            // What was on its way then has long arrived.
            index.forgotten.clear();
        }
        index.forgotten.insert((app, session));
        self.remove_all(&mut index, |head| head.key.app == app && head.session == session);
    }

    /// Takes away what is kept of an app.
    pub fn forget_app(&self, app: &str) {
        let app = key::mark(app);
        self.remove_all(&mut self.lock(), |head| head.key.app == app);
    }

    fn remove_all(&self, index: &mut Index, which: impl Fn(&Head) -> bool) {
        while let Some(place) = index.entries.iter().position(|entry| which(&entry.head)) {
            self.remove(index, place);
        }
    }

    /// Plans before anything goes: where the file does not fit even alone, the others stay.
    fn make_room(&self, index: &mut Index, bytes: u64) -> Result<(), SpillError> {
        let free =
            fs4::available_space(&self.path).map_err(io_at(&self.path, "ask for room in"))?;
        let on_disk = free.saturating_add(index.counts.bytes).saturating_sub(self.limits.keep_free);
        let available = on_disk.min(self.limits.bytes);
        if bytes > available {
            return Err(SpillError::NoRoom { bytes, available });
        }
        while index.counts.bytes + bytes > available || index.entries.len() >= FILES_MAX {
            self.remove(index, 0);
        }
        Ok(())
    }

    fn remove(&self, index: &mut Index, place: usize) {
        let entry = index.entries.remove(place);
        index.counts.bytes -= entry.bytes;
        // One that is gone is as good; one that cannot go is found when the folder is opened again.
        _ = fs::remove_file(self.path.join(&entry.name));
    }

    /// Notes that an entry was of use just now, also for the next process.
    fn used(&self, index: &mut Index, place: usize) {
        let entry = index.entries.remove(place);
        if let Ok(file) = File::open(self.path.join(&entry.name)) {
            _ = file.set_modified(SystemTime::now());
        }
        index.entries.push(entry);
    }
}

impl Index {
    /// The entry that knows most of the beginning of `tokens`, and how much.
    fn longest(&self, key: &Key, tokens: &[u32]) -> Option<(usize, usize)> {
        let common = |head: &Head| common(&head.tokens, tokens);
        let own = self.entries.iter().enumerate().filter(|(_, entry)| entry.head.key == *key);
        own.map(|(place, entry)| (place, common(&entry.head)))
            .max_by_key(|(_, shared)| *shared)
            .filter(|(_, shared)| *shared > 0)
    }

    fn is_forgotten(&self, head: &Head) -> bool {
        self.forgotten.contains(&(head.key.app, head.session))
    }
}

/// Whether a timeline is of no more use beside a newer one: it is the beginning of it; or both are of
/// one session, and the newer one repeats at least half of it. A session goes on with what the app sends,
/// and that may be a little other than what was said: a template leaves thoughts out, a text was
/// trimmed.
pub fn replaces(newer: &[u32], older: &[u32], one_session: bool) -> bool {
    let repeated = common(newer, older);
    repeated == older.len() || one_session && repeated * 2 >= older.len()
}

/// How many tokens two timelines begin with.
pub fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

type Whole = (BufReader<File>, Head, u64, u64, SystemTime);

/// Opens a file and reads its head: what reads on, the head, its check, the length, the time.
fn open_whole(path: &Path) -> Result<Whole, Refused> {
    // A link or a pipe is none of ours, and a pipe would make us wait.
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(Refused::Damaged("it is no file"));
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let time = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let mut file = BufReader::with_capacity(1 << 16, file);
    let (head, check) = Head::read(&mut file, meta.len())?;
    Ok((file, head, check, meta.len(), time))
}

fn write(path: &Path, head: &Head, cache: &Cache) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = io::BufWriter::with_capacity(1 << 16, options.open(path)?);
    file::write(&mut file, head, cache)?;
    io::Write::flush(&mut file)?;
    // Said, as the system's own time of a write may lie before that of the last use of another file.
    file.get_ref().set_modified(SystemTime::now())
}

/// The name of a file: what its head says decides it, so that the same timeline is one file.
fn name_of(head: &Head) -> String {
    let mut hash = Xxh3::new();
    for mark in [&head.key.app, &head.key.origin, &head.session] {
        hash.update(mark);
    }
    for token in &head.tokens {
        hash.update(&token.to_le_bytes());
    }
    format!("{:032x}", hash.digest128())
}
