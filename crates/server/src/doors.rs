//! Who is asking: a token becomes an application, or a refusal. It knows no HTTP, and keeps no
//! token: only SHA-256 of each.

use sha2::{Digest, Sha256};

/// An application that may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name, in logs, metrics, quotas and caches.
    pub name: String,
    /// Its requests go behind those that somebody waits for.
    pub background: bool,
}

/// Why nobody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token came.
    #[error("a token is needed: send it as `Authorization: Bearer …` or as `x-api-key`")]
    Missing,
    /// The token is nobody's.
    #[error("the token is not known here")]
    Unknown,
}

/// An application has had all the tokens of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the quota of {quota} tokens a day is reached ({used} used); it is free again at 00:00 UTC, in {} h {} min",
    free_in_s / 3600, free_in_s % 3600 / 60
)]
pub struct OverQuota {
    /// Tokens that it may have in a day.
    pub quota: u64,
    /// Tokens that it has had.
    pub used: u64,
    /// Seconds until the next day.
    pub free_in_s: u64,
}

/// Says whose a token is, and what its application may still have.
pub trait Doors: Send + Sync {
    /// The application that has this token.
    ///
    /// # Errors
    /// None came, or it is nobody's.
    fn who(&self, token: Option<&str>) -> Result<App, Refusal>;

    /// Whether anything more may be computed for an application. Without quotas it always may.
    ///
    /// # Errors
    /// Its quota is used up. What runs for it is not ended.
    fn admit(&self, _: &App) -> Result<(), OverQuota> {
        Ok(())
    }

    /// So many tokens were computed for an application: those of a prompt that were not known from
    /// before, and those of an answer. Asked at the end of each answer, from any thread; it must not
    /// block.
    fn spent(&self, _: &App, _tokens: u64) {}
}

/// A fixed list of tokens.
#[derive(Default)]
pub struct Tokens {
    apps: Vec<([u8; 32], App)>,
}

impl Tokens {
    /// Nobody is let in yet.
    pub fn new() -> Tokens {
        Tokens::default()
    }

    /// Lets an application in with a token.
    pub fn allow(self, token: &str, app: App) -> Tokens {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.allow_digest(digest, app)
    }

    /// The same where only SHA-256 of the token is known.
    pub fn allow_digest(mut self, digest: [u8; 32], app: App) -> Tokens {
        self.apps.push((digest, app));
        self
    }
}

/// Whether two digests are the same, in a time that does not depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differ = a.iter().zip(b).fold(0_u8, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0
}

impl Doors for Tokens {
    fn who(&self, token: Option<&str>) -> Result<App, Refusal> {
        let token = token.ok_or(Refusal::Missing)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // All are looked at, so that the time does not say how far down the list a token stands.
        let mut found = None;
        for (own, app) in &self.apps {
            if same(own, &digest) {
                found = Some(app);
            }
        }
        found.cloned().ok_or(Refusal::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_app_and_no_other() {
        let app = |name: &str, background| App { name: name.into(), background };
        let digest = Sha256::digest(b"third").into();
        let doors = Tokens::new()
            .allow("first", app("a", false))
            .allow("second", app("b", true))
            .allow_digest(digest, app("c", false));
        let rows = [
            (Some("first"), Ok(app("a", false))),
            (Some("second"), Ok(app("b", true))),
            (Some("third"), Ok(app("c", false))),
            (Some("firs"), Err(Refusal::Unknown)),
            (Some("first "), Err(Refusal::Unknown)),
            (Some(""), Err(Refusal::Unknown)),
            (None, Err(Refusal::Missing)),
        ];
        for (token, expected) in rows {
            assert_eq!(doors.who(token), expected, "{token:?}");
        }
        assert_eq!(Tokens::new().who(Some("")), Err(Refusal::Unknown), "nobody is let in unasked");
    }

    #[test]
    fn digests_are_compared_whole() {
        let a = [7_u8; 32];
        for place in 0..32 {
            let mut b = a;
            b[place] ^= 1;
            assert!(!same(&a, &b), "{place}");
        }
        assert!(same(&a, &a.clone()));
    }
}
