//! The apps that may ask the service: their names, how they are served, and SHA-256 of their tokens.
//!
//! ```text
//! ONDINE_HOME/apps.json      {"apps": [{"name": …, "token_sha256": …, "background": …}]}
//! ```
//!
//! The file belongs to its user alone and is replaced as a whole. No token is kept: it is printed once,
//! when the app is added. Whoever serves looks at the file's time with each request, so that what is
//! added or removed counts at once.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ondine_server::{App, Doors, Refusal, Tokens};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::store;

/// The list, inside the home folder.
const FILE: &str = "apps.json";
/// Characters of a name: it stands in logs, metrics and on the terminal.
const NAME_CHARS_MAX: usize = 64;
/// Apps that a device may have.
const APPS_MAX: usize = 1024;
/// Bytes of a token before they are spelled: as many as nobody guesses.
const TOKEN_BYTES: usize = 32;

/// One app of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// SHA-256 of its token.
    digest: [u8; 32],
    /// Its requests go behind those that somebody waits for.
    pub(crate) background: bool,
}

/// All apps, in the order in which they came.
pub(crate) fn all() -> Result<Vec<Entry>, Failure> {
    read(&path()?)
}

/// Adds an app and gives its token, which nobody can read anywhere later.
pub(crate) fn add(name: &str, background: bool) -> Result<String, Failure> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > NAME_CHARS_MAX || !name.chars().all(fits) {
        return Err(Failure::usage(format!(
            "an app's name is 1 to {NAME_CHARS_MAX} letters, digits, dots, dashes or underscores"
        )));
    }
    let path = path()?;
    let mut apps = read(&path)?;
    if apps.iter().any(|app| app.name == name) {
        let hint = format!("`ondine app rm {name}` takes its token away");
        return Err(Failure::new(format!("there is an app {name:?} already")).hint(hint));
    }
    if apps.len() >= APPS_MAX {
        return Err(Failure::new(format!("there are {APPS_MAX} apps, which is the limit")));
    }
    let mut secret = [0; TOKEN_BYTES];
    getrandom::fill(&mut secret)
        .map_err(|error| Failure::new(format!("no random numbers for a token: {error}")))?;
    let token = format!("ondine-{}", hex(&secret));
    let digest = Sha256::digest(token.as_bytes()).into();
    apps.push(Entry { name: name.to_owned(), digest, background });
    write(&path, &apps)?;
    Ok(token)
}

/// Takes an app's token away.
pub(crate) fn remove(name: &str) -> Result<(), Failure> {
    let path = path()?;
    let mut apps = read(&path)?;
    let before = apps.len();
    apps.retain(|app| app.name != name);
    if apps.len() == before {
        return Err(Failure::new(format!("there is no app {name:?}")).hint("see `ondine app ls`"));
    }
    write(&path, &apps)
}

fn path() -> Result<PathBuf, Failure> {
    Ok(store::home()?.join(FILE))
}

fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::from_error(&error).at(path.display())),
    };
    let list: Option<Vec<Entry>> = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|file| file["apps"].as_array()?.iter().map(entry).collect());
    list.ok_or_else(|| {
        Failure::new("this is no list of apps").at(path.display()).hint(
            "move the file away and add the apps anew; nobody is let in by what cannot be read",
        )
    })
}

fn entry(value: &Value) -> Option<Entry> {
    let name = value["name"].as_str()?.to_owned();
    let digest = unhex(value["token_sha256"].as_str()?)?;
    Some(Entry { name, digest, background: value["background"].as_bool()? })
}

/// Replaces the list: what is there is the old one or the new one, whole, at all times.
fn write(path: &Path, apps: &[Entry]) -> Result<(), Failure> {
    let list: Vec<Value> = apps
        .iter()
        .map(|app| {
            json!({
                "name": app.name,
                "token_sha256": hex(&app.digest),
                "background": app.background,
            })
        })
        .collect();
    let folder = path.parent().unwrap_or(Path::new("."));
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let replaced = (|| {
        own_folder(folder)?;
        let mut file = own_file(&beside)?;
        file.write_all(format!("{:#}\n", json!({ "apps": list })).as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The new name is on the disk when its folder is.
        #[cfg(unix)]
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    })();
    replaced.map_err(|error: std::io::Error| {
        let _ = fs::remove_file(&beside);
        Failure::from_error(&error).at(path.display())
    })
}

/// A folder that is its user's alone, made where there is none.
pub(crate) fn own_folder(folder: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn own_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

/// The list as it is on the disk, for whoever serves.
pub(crate) struct Listed {
    path: PathBuf,
    /// The list, and the time of the file that it was read from.
    read: Mutex<(Option<SystemTime>, Tokens)>,
}

impl Listed {
    /// Reads the list.
    pub(crate) fn open() -> Result<Listed, Failure> {
        let path = path()?;
        let read = (time(&path), tokens(read(&path)?));
        Ok(Listed { path, read: Mutex::new(read) })
    }
}

fn time(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

fn tokens(apps: Vec<Entry>) -> Tokens {
    apps.into_iter().fold(Tokens::new(), |tokens, app| {
        let Entry { name, digest, background } = app;
        tokens.allow_digest(digest, App { name, background })
    })
}

impl Doors for Listed {
    fn who(&self, token: Option<&str>) -> Result<App, Refusal> {
        let mut known = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = time(&self.path);
        if now != known.0 {
            // A list that cannot be read lets nobody in.
            *known = (now, tokens(read(&self.path).unwrap_or_default()));
        }
        known.1.who(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_it_was_written_and_nonsense_lets_nobody_in() {
        let folder = std::env::temp_dir().join(format!("ondine-apps-{}", std::process::id()));
        let path = folder.join(FILE);
        let apps = vec![
            Entry { name: "a".into(), digest: [1; 32], background: false },
            Entry { name: "b".into(), digest: [255; 32], background: true },
        ];
        assert_eq!(read(&path).unwrap(), [], "none yet");
        write(&path, &apps).unwrap();
        assert_eq!(read(&path).unwrap(), apps);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        let listed = Listed { path: path.clone(), read: Mutex::new((None, Tokens::new())) };
        for bad in ["", "{}", "{\"apps\": [{\"name\": \"a\", \"token_sha256\": \"é\"}]}"] {
            fs::write(&path, bad).unwrap();
            assert!(read(&path).is_err(), "{bad}");
            assert_eq!(listed.who(Some("x")), Err(Refusal::Unknown));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn digests_are_spelled_and_read() {
        let bytes: [u8; 32] = std::array::from_fn(|i| (i * 9) as u8);
        assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        for bad in ["", "0", &"g".repeat(64), &"é".repeat(32), &"0".repeat(65)] {
            assert_eq!(unhex(bad), None, "{bad}");
        }
    }
}
