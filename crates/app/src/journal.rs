//! What happened, one record after the other, on disk: each is synced before [`Journal::append`] returns.
//!
//! A record is one line: sixteen hexadecimal digits of XXH3 over what follows them, a blank, and JSON.
//! A line that a power cut tore off at the end was never acknowledged and is cut away; damage anywhere
//! else is an error, since what follows it would be repeated otherwise. The layout is in
//! `docs/formats.md`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::xxh3_64;

/// Records that stay, in the order in which they were appended.
#[derive(Debug)]
pub struct Journal {
    /// `None` where it is kept in memory alone.
    file: Option<(File, PathBuf)>,
    /// Bytes of whole records in the file.
    bytes: u64,
    /// A write failed half-way: what is at the end is not known until the file is opened anew.
    broken: bool,
}

/// Why a journal cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The disk says no.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A record is not what was written.
    #[error("{}: line {line} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A record cannot be written as JSON.
    #[error("a record cannot be written: {0}")]
    Record(serde_json::Error),
}

impl Journal {
    /// Keeps nothing beyond the program's end.
    pub fn in_memory() -> Journal {
        Journal { file: None, bytes: 0, broken: false }
    }

    /// The journal in a file, begun where there is none, and what it holds.
    ///
    /// # Errors
    /// The file cannot be read or written, or is damaged anywhere but at its end.
    pub fn open<T: DeserializeOwned>(
        path: impl AsRef<Path>,
    ) -> Result<(Journal, Vec<T>), JournalError> {
        let path = path.as_ref();
        let failed = |source| JournalError::File { path: path.to_path_buf(), source };
        let fresh = !path.exists();
        let file =
            OpenOptions::new().create(true).append(true).read(true).open(path).map_err(failed)?;
        if fresh {
            // The name is on disk before the first record is acknowledged.
            sync_folder(path).map_err(failed)?;
        }
        let bytes = fs::read(path).map_err(failed)?;
        let (records, whole) = read(&bytes, path)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        Ok((
            Journal { file: Some((file, path.to_path_buf())), bytes: whole as u64, broken: false },
            records,
        ))
    }

    /// Keeps a record; it is on disk when this returns.
    ///
    /// # Errors
    /// The disk says no. Nothing more is kept then, until the journal is opened anew: what is at its end
    /// is not known.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<(), JournalError> {
        let json = serde_json::to_string(record).map_err(JournalError::Record)?;
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        let failed = |path: &Path, source| JournalError::File { path: path.to_path_buf(), source };
        if self.broken {
            return Err(failed(path, io::Error::other("an earlier record could not be written")));
        }
        let line = line(&json);
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        if let Err(error) = written {
            self.broken = true;
            return Err(failed(path, error));
        }
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// Bytes of what is kept on disk.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Keeps this one record instead of all that there are: whoever knows a record that says as much as
    /// the whole history puts it in its place. Killed at any point, it leaves the history or the record.
    ///
    /// # Errors
    /// The disk says no. What is in the file is then what was there before, or the record alone.
    pub fn replace<T: Serialize>(&mut self, record: &T) -> Result<(), JournalError> {
        let json = serde_json::to_string(record).map_err(JournalError::Record)?;
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        let failed = |source| JournalError::File { path: path.clone(), source };
        if self.broken {
            return Err(failed(io::Error::other("an earlier record could not be written")));
        }
        let line = line(&json);
        let mut beside = path.clone().into_os_string();
        beside.push(".new");
        let written = File::create(&beside).and_then(|mut new| {
            new.write_all(line.as_bytes())?;
            new.sync_all()?;
            fs::rename(&beside, &path)?;
            sync_folder(path)?;
            OpenOptions::new().append(true).read(true).open(&path)
        });
        match written {
            Ok(new) => *file = new,
            Err(error) => {
                // Whether the name leads to the old file or the new one is not known.
                self.broken = true;
                return Err(failed(error));
            }
        }
        self.bytes = line.len() as u64;
        Ok(())
    }
}

/// A record as it stands in the file.
fn line(json: &str) -> String {
    format!("{:016x} {json}\n", xxh3_64(json.as_bytes()))
}

/// The names in the folder of a file are on disk when this returns.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// The records, and how many bytes they take; what stands after those was never acknowledged.
fn read<T: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<(Vec<T>, usize), JournalError> {
    let (mut records, mut at, mut line) = (Vec::new(), 0, 0);
    while let Some(length) = bytes[at..].iter().position(|&byte| byte == b'\n') {
        line += 1;
        let damaged = |what: String| JournalError::Damaged { path: path.to_path_buf(), line, what };
        let end = at + length;
        match record(&bytes[at..end]) {
            Ok(json) => {
                records.push(
                    serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))?,
                );
            }
            // The last line, torn with its end in place: nothing after it was acknowledged.
            Err(_) if end + 1 == bytes.len() => return Ok((records, at)),
            Err(what) => return Err(damaged(what.into())),
        }
        at = end + 1;
    }
    Ok((records, at))
}

/// The JSON of a line, where its checksum fits.
fn record(line: &[u8]) -> Result<&[u8], &'static str> {
    let (sum, json) = line.split_at_checked(17).ok_or("it is too short")?;
    let sum = str::from_utf8(&sum[..16]).ok().and_then(|sum| u64::from_str_radix(sum, 16).ok());
    if sum != Some(xxh3_64(json)) {
        return Err("its checksum does not fit");
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_there_whatever_the_end_is() {
        let folder = std::env::temp_dir().join(format!("ondine-journal-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("journal");
        let _ = fs::remove_file(&path);
        let (mut journal, none) = Journal::open::<u32>(&path).unwrap();
        assert!(none.is_empty());
        for n in 0..5_u32 {
            journal.append(&n).unwrap();
        }
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut journal, records) = Journal::open::<u32>(&path).unwrap();
            let lines = whole[..cut].iter().filter(|&&byte| byte == b'\n').count();
            assert_eq!(records, (0..u32::try_from(lines).unwrap()).collect::<Vec<_>>());
            journal.append(&9).unwrap();
            assert_eq!(Journal::open::<u32>(&path).unwrap().1.last(), Some(&9));
        }
        let mut bad = whole.clone();
        bad[3] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(matches!(Journal::open::<u32>(&path), Err(JournalError::Damaged { line: 1, .. })));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_record_takes_the_place_of_a_history() {
        let folder = std::env::temp_dir().join(format!("ondine-replaced-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("journal");
        let (mut journal, _) = Journal::open::<u32>(&path).unwrap();
        (0..9_u32).for_each(|n| journal.append(&n).unwrap());
        journal.replace(&36_u32).unwrap();
        journal.append(&1_u32).unwrap();
        assert_eq!(journal.bytes(), fs::metadata(&path).unwrap().len());
        drop(journal);
        assert_eq!(Journal::open::<u32>(&path).unwrap().1, [36, 1]);
        // What a kill before the rename leaves beside it is nobody's.
        fs::write(folder.join("journal.new"), b"half").unwrap();
        let (mut journal, records) = Journal::open::<u32>(&path).unwrap();
        assert_eq!(records, [36, 1]);
        journal.replace(&37_u32).unwrap();
        drop(journal);
        assert_eq!(Journal::open::<u32>(&path).unwrap().1, [37]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
