//! The apps that may ask the service: their names, how they are served, how much they may have, and
//! SHA-256 of their tokens.
//!
//! ```text
//! ONDINE_HOME/apps.json      {"apps": [{"name": …, "token_sha256": …, "background": …,
//!                                       "tokens_per_day": … or null}]}
//! ```
//!
//! No token is kept: it is printed once, when the app is added. Whoever serves looks at the file's time with each request, so that what is
//! added or removed counts at once.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use jiff::Timestamp;
use ondine_server::{App, Doors, OverQuota, Refusal, Tokens};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::usage::{self, Ledger};
use crate::{own, store};

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
    /// Tokens that may be computed for it in a day; without them, as many as there is time for.
    pub(crate) tokens_per_day: Option<u64>,
}

/// All apps, in the order in which they came.
pub(crate) fn all() -> Result<Vec<Entry>, Failure> {
    read(&path()?)
}

/// Adds an app and gives its token, which nobody can read anywhere later.
pub(crate) fn add(
    name: &str,
    background: bool,
    tokens_per_day: Option<u64>,
) -> Result<String, Failure> {
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
    apps.push(Entry { name: name.to_owned(), digest, background, tokens_per_day });
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
    let background = value["background"].as_bool()?;
    // Lists from before there were quotas have none.
    let tokens_per_day = match value.get("tokens_per_day") {
        None | Some(Value::Null) => None,
        Some(tokens) => Some(tokens.as_u64()?),
    };
    Some(Entry { name, digest, background, tokens_per_day })
}

fn write(path: &Path, apps: &[Entry]) -> Result<(), Failure> {
    let list: Vec<Value> = apps
        .iter()
        .map(|app| {
            json!({
                "name": app.name,
                "token_sha256": hex(&app.digest),
                "background": app.background,
                "tokens_per_day": app.tokens_per_day,
            })
        })
        .collect();
    own::replace(path, &format!("{:#}\n", json!({ "apps": list })))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
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

/// The list as it is on the disk, for whoever serves, and what the apps have had today.
pub(crate) struct Listed {
    path: PathBuf,
    read: Mutex<Known>,
    ledger: Ledger,
}

/// What was read, and the time of the file that it was read from.
#[derive(Default)]
struct Known {
    time: Option<SystemTime>,
    tokens: Tokens,
    quotas: BTreeMap<String, u64>,
}

impl Listed {
    /// Reads the list, and what was had before.
    pub(crate) fn open() -> Result<Listed, Failure> {
        let path = path()?;
        let known = Known::of(time(&path), read(&path)?);
        Ok(Listed { path, read: Mutex::new(known), ledger: Ledger::open(usage::path()?)? })
    }

    /// Writes down what apps have had, where that is not done.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        self.ledger.save()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn time(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

impl Known {
    fn of(time: Option<SystemTime>, apps: Vec<Entry>) -> Known {
        let mut known = Known { time, ..Known::default() };
        for Entry { name, digest, background, tokens_per_day } in apps {
            known.quotas.extend(tokens_per_day.map(|quota| (name.clone(), quota)));
            known.tokens = known.tokens.allow_digest(digest, App { name, background });
        }
        known
    }
}

impl Doors for Listed {
    fn who(&self, token: Option<&str>) -> Result<App, Refusal> {
        let mut known = self.known();
        let now = time(&self.path);
        if now != known.time {
            // A list that cannot be read lets nobody in.
            *known = Known::of(now, read(&self.path).unwrap_or_default());
        }
        known.tokens.who(token)
    }

    fn admit(&self, app: &App) -> Result<(), OverQuota> {
        let Some(quota) = self.known().quotas.get(&app.name).copied() else { return Ok(()) };
        let now = Timestamp::now();
        let used = self.ledger.used(&app.name, now);
        if used < quota {
            return Ok(());
        }
        Err(OverQuota { quota, used, free_in_s: usage::day_left_s(now) })
    }

    fn spent(&self, app: &App, tokens: u64) {
        self.ledger.add(&app.name, tokens, Timestamp::now());
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
            Entry { name: "a".into(), digest: [1; 32], background: false, tokens_per_day: Some(5) },
            Entry { name: "b".into(), digest: [255; 32], background: true, tokens_per_day: None },
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
        let older = format!(
            "{{\"apps\": [{{\"name\": \"c\", \"token_sha256\": \"{}\", \"background\": true}}]}}",
            "0".repeat(64)
        );
        fs::write(&path, older).unwrap();
        assert_eq!(read(&path).unwrap()[0].tokens_per_day, None, "a list without quotas");
        let ledger = Ledger::open(folder.join("usage.json")).unwrap();
        let listed = Listed { path: path.clone(), read: Mutex::default(), ledger };
        let bads = [
            "",
            "{}",
            "{\"apps\": [{\"name\": \"a\", \"token_sha256\": \"é\"}]}",
            &format!(
                "{{\"apps\": [{{\"name\": \"a\", \"token_sha256\": \"{}\", \"background\": true, \"tokens_per_day\": -1}}]}}",
                "0".repeat(64)
            ),
        ];
        for bad in bads {
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
