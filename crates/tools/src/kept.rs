//! One value in one file: read, changed and written as a whole, so that a reader sees the old or the new
//! one and a power cut leaves either. Programs take turns by a lock beside the file. It knows no tool.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ondine_app::ToolError;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a file at most.
const BYTES_MAX: u64 = 8 << 20;

/// A value that lasts.
pub(crate) struct Kept {
    path: PathBuf,
    turn: Mutex<()>,
}

impl Kept {
    /// The value in a file, which is made when something is first kept.
    pub(crate) fn at(path: impl Into<PathBuf>) -> Kept {
        Kept { path: path.into(), turn: Mutex::default() }
    }

    /// The value as it is now.
    pub(crate) fn read<T: DeserializeOwned + Default>(&self) -> Result<T, ToolError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
            Err(error) => return Err(failed(&self.path, &error)),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| failed(&self.path, &error))?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(failed(&self.path, &io::Error::other("is larger than it may be")));
        }
        // What was damaged is said and left alone: to begin anew would lose it.
        serde_json::from_slice(&bytes).map_err(|error| failed(&self.path, &error.into()))
    }

    /// Changes the value; it is on disk when this returns, and unchanged where there is an error.
    pub(crate) fn change<T: DeserializeOwned + Serialize + Default, R>(
        &self,
        change: impl FnOnce(&mut T) -> Result<R, ToolError>,
    ) -> Result<R, ToolError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |error: io::Error| failed(&self.path, &error);
        let lock_path = beside(&self.path, "lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(at)?;
        lock.lock().map_err(at)?;
        let mut value: T = self.read()?;
        let result = change(&mut value)?;
        let bytes = serde_json::to_vec_pretty(&value).map_err(|error| at(error.into()))?;
        if bytes.len() as u64 > BYTES_MAX {
            return Err(ToolError::Failed("there is no room for more; delete something".into()));
        }
        self.replace(&bytes).map_err(at)?;
        Ok(result)
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let fresh = beside(&self.path, "new");
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        // A folder cannot be opened on every system; where it can, the new name lasts too.
        if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
            folder.sync_all()?;
        }
        Ok(())
    }
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

fn failed(path: &Path, error: &io::Error) -> ToolError {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ToolError::Failed(format!("{name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_whole_or_none() {
        let folder = crate::testing::Folder::new("kept");
        let path = folder.path().join("numbers.json");
        let kept = Kept::at(&path);
        assert!(kept.read::<Vec<u32>>().unwrap().is_empty());
        kept.change(|list: &mut Vec<u32>| {
            list.push(1);
            Ok(())
        })
        .unwrap();
        let refused: Result<(), _> = kept.change(|list: &mut Vec<u32>| {
            list.clear();
            Err(ToolError::Failed("no".into()))
        });
        assert!(refused.is_err());
        assert_eq!(kept.read::<Vec<u32>>().unwrap(), [1]);
        // Two at once, as two programs would be: nothing is lost.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let own = Kept::at(&path);
                    for _ in 0..10 {
                        own.change(|list: &mut Vec<u32>| {
                            list.push(2);
                            Ok(())
                        })
                        .unwrap();
                    }
                });
            }
        });
        assert_eq!(kept.read::<Vec<u32>>().unwrap().len(), 41);
        fs::write(&path, "{").unwrap();
        assert!(kept.read::<Vec<u32>>().is_err());
        assert!(kept.change(|_: &mut Vec<u32>| Ok(())).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"{", "what is damaged is left alone");
    }
}
