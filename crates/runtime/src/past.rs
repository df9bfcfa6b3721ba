//! What was evaluated before, kept for the same app's next request.
//!
//! An app's conversations grow by a turn at a time, and many begin with the same instructions: a
//! session whose answer is done is kept, and a request that begins like it takes a fork of it, which
//! shares its pages. Apps never see each other's. The least recently used goes when its bytes are
//! wanted.

use ondine_engine::Session;
use ondine_text::vocab::TokenId;

/// Sessions that nobody speaks in.
#[derive(Default)]
pub(crate) struct Past {
    /// The most recently used last.
    kept: Vec<(String, Session)>,
}

/// More sessions take longer to look through than they save.
const KEPT_MAX: usize = 256;

/// Fewer tokens in common are as quickly evaluated as looked up.
const WORTH_SHARING: usize = 16;

impl Past {
    /// A session that begins as `prompt` does, as far as one of the app's does; none where too
    /// little is in common.
    pub(crate) fn fork(&mut self, app: &str, prompt: &[TokenId]) -> Option<Session> {
        let common = |session: &Session| {
            let known = &session.tokens()[..session.tokens().len() - session.pending()];
            known.iter().zip(prompt).take_while(|(a, b)| a == b).count()
        };
        let mine = self.kept.iter().enumerate().filter(|(_, (owner, _))| owner == app);
        let (place, shared) =
            mine.map(|(i, (_, session))| (i, common(session))).max_by_key(|(_, count)| *count)?;
        if shared < WORTH_SHARING {
            return None;
        }
        let found = self.kept.remove(place);
        let mut fork = found.1.fork();
        fork.rewind(shared);
        self.kept.push(found);
        Some(fork)
    }

    /// Keeps a session. One whose whole past it repeats has nothing that it lacks, and goes: gives the
    /// bytes of those.
    pub(crate) fn keep(&mut self, app: &str, session: Session) -> u64 {
        let tokens = session.tokens();
        let before = self.bytes();
        self.kept.retain(|(owner, old)| owner != app || !tokens.starts_with(old.tokens()));
        while self.kept.len() >= KEPT_MAX {
            self.kept.remove(0);
        }
        let freed = before - self.bytes();
        self.kept.push((app.to_owned(), session));
        freed
    }

    /// Lets the least recently used go; its bytes, or `None` where nothing is kept.
    pub(crate) fn drop_one(&mut self) -> Option<u64> {
        (!self.kept.is_empty()).then(|| self.kept.remove(0).1.kv_bytes() as u64)
    }

    /// Bytes of keys and values, pages that are shared among them counted for each.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.iter().map(|(_, session)| session.kv_bytes() as u64).sum()
    }
}
