//! What each app has had today: tokens that were computed for it, counted in memory to the token and
//! written down now and then, so that a quota outlives the service.
//!
//! ```text
//! ONDINE_HOME/usage.json     {"day": "2026-11-22", "tokens": {"notes": 1234}}
//! ```
//!
//! Days begin and end at 00:00 UTC. What was counted since it was last written down is forgotten by a
//! crash, and by nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::{own, store};

/// The account, inside the home folder.
const FILE: &str = "usage.json";
/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Where it lies.
pub(crate) fn path() -> Result<PathBuf, Failure> {
    Ok(store::home()?.join(FILE))
}

/// Seconds until the next day.
pub(crate) fn day_left_s(now: Timestamp) -> u64 {
    // A remainder of a day is between 0 and a day.
    (DAY_S - now.as_second().rem_euclid(DAY_S)).unsigned_abs()
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// One day's account.
#[derive(Clone, Debug, Default, PartialEq)]
struct Account {
    day: Date,
    tokens: BTreeMap<String, u64>,
}

/// The account of today.
pub(crate) struct Ledger {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    account: Account,
    /// Something was counted that is not written down.
    unsaved: bool,
}

impl Ledger {
    /// Goes on with what was written down.
    pub(crate) fn open(path: PathBuf) -> Result<Ledger, Failure> {
        let state = State { account: read(&path)?, unsaved: false };
        Ok(Ledger { path, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The account is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an app has had today.
    pub(crate) fn used(&self, app: &str, now: Timestamp) -> u64 {
        let state = self.lock();
        match state.account.day == day(now) {
            true => state.account.tokens.get(app).copied().unwrap_or(0),
            false => 0,
        }
    }

    /// An app has had so many more.
    pub(crate) fn add(&self, app: &str, tokens: u64, now: Timestamp) {
        if tokens == 0 {
            return;
        }
        let mut state = self.lock();
        let today = day(now);
        if state.account.day != today {
            state.account = Account { day: today, ..Account::default() };
        }
        let used = state.account.tokens.entry(app.to_owned()).or_default();
        *used = used.saturating_add(tokens);
        state.unsaved = true;
    }

    /// Writes down what is not written down.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let account = {
            let mut state = self.lock();
            if !std::mem::replace(&mut state.unsaved, false) {
                return Ok(());
            }
            state.account.clone()
        };
        let text = json!({ "day": account.day.to_string(), "tokens": account.tokens });
        own::replace(&self.path, &format!("{text:#}\n")).inspect_err(|_| self.lock().unsaved = true)
    }
}

fn read(path: &Path) -> Result<Account, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Account::default()),
        Err(error) => return Err(Failure::from_error(&error).at(path.display())),
    };
    let account = serde_json::from_str::<Value>(&text).ok().and_then(|file| {
        let tokens = file["tokens"].as_object()?.iter();
        let tokens: Option<_> =
            tokens.map(|(app, used)| Some((app.clone(), used.as_u64()?))).collect();
        Some(Account { day: file["day"].as_str()?.parse().ok()?, tokens: tokens? })
    });
    account.ok_or_else(|| {
        Failure::new("this does not say what apps have had today")
            .at(path.display())
            .hint("move the file away; today's quotas begin anew then")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_ends_at_midnight_in_utc_and_what_is_saved_is_gone_on_with() {
        let folder = std::env::temp_dir().join(format!("ondine-usage-{}", std::process::id()));
        let path = folder.join(FILE);
        let ledger = Ledger::open(path.clone()).unwrap();
        ledger.save().unwrap();
        assert!(!path.exists(), "nothing to write down");
        let (noon, late) = (at("2026-11-22T12:00:00Z"), at("2026-11-22T23:59:59Z"));
        let next = at("2026-11-23T00:00:00Z");
        ledger.add("a", 5, noon);
        ledger.add("b", 0, noon);
        ledger.add("a", 7, late);
        assert_eq!((ledger.used("a", late), ledger.used("b", late)), (12, 0));
        assert_eq!(ledger.used("a", next), 0);
        ledger.save().unwrap();
        let again = Ledger::open(path.clone()).unwrap();
        assert_eq!((again.used("a", late), again.used("a", next)), (12, 0));
        again.add("b", 1, next);
        again.add("b", u64::MAX, next);
        assert_eq!((again.used("b", next), again.used("a", next)), (u64::MAX, 0));
        again.save().unwrap();
        assert_eq!(Ledger::open(path.clone()).unwrap().used("b", next), u64::MAX);
        for bad in [
            "",
            "{}",
            "{\"day\":\"x\",\"tokens\":{}}",
            "{\"day\":\"2026-11-22\",\"tokens\":{\"a\":-1}}",
        ] {
            fs::write(&path, bad).unwrap();
            assert!(Ledger::open(path.clone()).is_err(), "{bad}");
        }
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((day_left_s(noon), day_left_s(late), day_left_s(next)), (43_200, 1, 86_400));
    }

    #[test]
    fn what_cannot_be_saved_is_saved_later() {
        let folder = std::env::temp_dir().join(format!("ondine-unsaved-{}", std::process::id()));
        fs::write(&folder, "a file where a folder should be").unwrap();
        let ledger = Ledger::open(folder.with_extension("none").join(FILE)).unwrap();
        let ledger = Ledger { path: folder.join(FILE), ..ledger };
        let noon = at("2026-11-22T12:00:00Z");
        ledger.add("a", 5, noon);
        assert!(ledger.save().is_err());
        fs::remove_file(&folder).unwrap();
        ledger.save().unwrap();
        assert_eq!(Ledger::open(folder.join(FILE)).unwrap().used("a", noon), 5);
        fs::remove_dir_all(&folder).unwrap();
    }
}
