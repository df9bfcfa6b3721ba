//! A file system in memory that can fail at any operation, and whose power can go: what was synced is
//! there afterwards, and of the rest whatever a disk may have done meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::Storage;

/// Numbers that look random and are the same each time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % end.max(1) as u64) as usize
    }
}

/// When operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    Never,
    /// The operation with this number alone.
    Once(usize),
    /// This one and all after it.
    From(usize),
}

/// A kind of sync that the disk pretends to do, so that a test can see that it would be missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Create,
    Append,
    Cut,
    Sync,
    Folder,
}

#[derive(Clone, Default)]
struct File {
    now: Vec<u8>,
    synced: Vec<u8>,
}

/// A change of names that may not be on the disk yet.
#[derive(Clone)]
enum Change {
    Add(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    MakeFolder(PathBuf),
}

#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
}

impl Names {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Add(path, file) => {
                self.files.insert(path.clone(), *file);
            }
            Change::Rename(from, to) => {
                if let Some(file) = self.files.remove(from) {
                    self.files.insert(to.clone(), file);
                }
            }
            Change::Remove(path) => {
                self.files.remove(path);
            }
            Change::MakeFolder(path) => {
                self.folders.insert(path.clone());
            }
        }
    }
}

impl Change {
    /// The folder that the change is in.
    fn folder(&self) -> &Path {
        let (Change::Add(path, _)
        | Change::Rename(path, _)
        | Change::Remove(path)
        | Change::MakeFolder(path)) = self;
        path.parent().expect("no test changes the root")
    }
}

#[derive(Clone)]
struct State {
    files: Vec<File>,
    now: Names,
    on_disk: Names,
    /// In the order in which they were made.
    pending: Vec<Change>,
    operations: usize,
    failing: Failing,
    lie: Option<Lie>,
}

/// The file system.
pub(crate) struct Simulated(Mutex<State>);

impl Simulated {
    pub(crate) fn new() -> Simulated {
        Simulated::of(Vec::new(), Names::default())
    }

    fn of(files: Vec<File>, names: Names) -> Simulated {
        Simulated(Mutex::new(State {
            files,
            now: names.clone(),
            on_disk: names,
            pending: Vec::new(),
            operations: 0,
            failing: Failing::Never,
            lie: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no operation panics")
    }

    pub(crate) fn fail(&self, failing: Failing) {
        self.lock().failing = failing;
    }

    pub(crate) fn lie(&self, lie: Lie) {
        self.lock().lie = Some(lie);
    }

    /// How many operations there were, failed ones among them.
    pub(crate) fn operations(&self) -> usize {
        self.lock().operations
    }

    /// All files and what is in them.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let names = state.now.files.iter();
        names.map(|(path, &file)| (path.clone(), state.files[file].now.clone())).collect()
    }

    /// Changes a file behind everybody's back.
    pub(crate) fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.lock();
        let file = state.now.files[path];
        state.files[file] = File { now: bytes.clone(), synced: bytes };
    }

    /// The file system after the power was gone.
    pub(crate) fn without_power(&self, chance: &mut Chance) -> Simulated {
        let state = self.lock();
        let mut names = state.on_disk.clone();
        // A journal keeps the order of changes: some of the first are there.
        let done = chance.below(state.pending.len() + 1);
        state.pending[..done].iter().for_each(|change| names.apply(change));
        let folders = names.folders.clone();
        names.files.retain(|path, _| path.parent().is_some_and(|folder| folders.contains(folder)));
        let files = state.files.iter().map(|file| {
            let left = survivor(file, chance);
            File { now: left.clone(), synced: left }
        });
        Simulated::of(files.collect(), names)
    }
}

/// What a disk may have of a file.
fn survivor(file: &File, chance: &mut Chance) -> Vec<u8> {
    let File { now, synced } = file;
    if let Some(tail) = now.strip_prefix(synced.as_slice()) {
        let mut left = synced.clone();
        left.extend(&tail[..chance.below(tail.len() + 1)]);
        if chance.below(3) == 0 {
            // The file had grown before its bytes were there.
            left.resize(now.len(), 0);
        }
        if left.len() > synced.len() && chance.below(2) == 0 {
            // One of the sectors did not arrive, and later ones did.
            let sector =
                synced.len() / 512 + chance.below(left.len() / 512 - synced.len() / 512 + 1);
            let lost = (sector * 512).max(synced.len())..((sector + 1) * 512).min(left.len());
            left.get_mut(lost).unwrap_or_default().fill(0);
        }
        return left;
    }
    if synced.starts_with(now) {
        return if chance.below(2) == 0 { now.clone() } else { synced.clone() };
    }
    // Bytes that were synced are written anew: some are the new ones, the others the old.
    let done = chance.below(now.len() + 1);
    [&now[..done], synced.get(done..).unwrap_or_default()].concat()
}

fn refused() -> io::Error {
    io::Error::other("the disk fails, as the test wants it")
}

impl State {
    /// Counts an operation, and lets it fail.
    fn step(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        let fails = match self.failing {
            Failing::Never => false,
            Failing::Once(which) => number == which,
            Failing::From(first) => number >= first,
        };
        if fails { Err(refused()) } else { Ok(()) }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.now.files.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        self.now.apply(&change);
        self.pending.push(change);
    }

    fn sync(&mut self, file: usize, kind: Lie) -> io::Result<()> {
        self.step()?;
        if self.lie != Some(kind) {
            self.files[file].synced = self.files[file].now.clone();
        }
        Ok(())
    }

    /// Writes to the end of a file. Where that fails, half of it is there.
    fn write(&mut self, file: usize, bytes: &[u8]) -> io::Result<()> {
        let fate = self.step();
        let done = if fate.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        self.files[file].now.extend(done);
        fate
    }
}

impl Storage for Simulated {
    fn is_there(&self, folder: &Path) -> bool {
        self.lock().now.folders.contains(folder)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        if !state.now.folders.contains(path) {
            state.change(Change::MakeFolder(path.to_path_buf()));
        }
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.step()?;
        let inside = state.now.files.keys().filter(|path| path.parent() == Some(folder));
        let name = |path: &PathBuf| path.file_name()?.to_str().map(str::to_owned);
        Ok(inside.filter_map(name).collect())
    }

    fn read(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
        let mut state = self.lock();
        state.step()?;
        let file = state.find(path)?;
        Ok(state.files[file].now.clone())
    }

    fn create(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        if state.find(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(File::default());
        state.change(Change::Add(path.to_path_buf(), file));
        state.write(file, bytes)?;
        state.sync(file, Lie::Create)
    }

    fn append(&self, path: &Path, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        assert_eq!(state.files[file].now.len() as u64, at, "a gap, or bytes written over others");
        state.write(file, bytes)?;
        state.sync(file, Lie::Append)
    }

    fn cut(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        state.step()?;
        state.files[file].now.truncate(bytes as usize);
        state.sync(file, Lie::Cut)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let file = state.find(path)?;
        state.sync(file, Lie::Sync)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        if state.lie == Some(Lie::Folder) {
            return Ok(());
        }
        let pending = std::mem::take(&mut state.pending);
        for change in pending {
            if change.folder() == path {
                state.on_disk.apply(&change);
            } else {
                state.pending.push(change);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        state.find(from)?;
        state.change(Change::Rename(from.to_path_buf(), to.to_path_buf()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        state.find(path)?;
        state.change(Change::Remove(path.to_path_buf()));
        Ok(())
    }
}
