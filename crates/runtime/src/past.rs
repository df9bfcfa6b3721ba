//! What was evaluated before, kept for the same app's next request.
//!
//! An app's conversations grow by a turn at a time, and many begin with the same instructions: a
//! session whose answer is done is kept, and a request that begins like it takes a fork of it, which
//! shares its pages. Apps never see each other's. The least recently used goes when its bytes are
//! wanted.
//!
//! It counts pages, each once however many sessions share it. It knows no disk: where one of them
//! stands on its way there is noted here and decided in `kept`.

use std::collections::HashMap;

use ondine_cache::PageId;
use ondine_engine::Session;
use ondine_spill::{common, replaces};
use ondine_text::vocab::TokenId;

/// Sessions that nobody speaks in.
#[derive(Default)]
pub(crate) struct Past {
    /// The most recently used last.
    kept: Vec<Kept>,
    /// How many of them hold a page.
    pages: HashMap<PageId, usize>,
    page_bytes: u64,
}

/// A session that nobody speaks in.
pub(crate) struct Kept {
    pub(crate) app: String,
    /// The kept conversation that it belongs to.
    pub(crate) id: Option<String>,
    pub(crate) session: Session,
    pub(crate) disk: OnDisk,
}

/// Where a session stands on its way to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDisk {
    /// Nobody has looked.
    Unknown,
    /// Most of it is there: the rest is written when it has to leave memory.
    Mostly,
    /// It is being written, by the job of this number.
    Writing(u64),
    /// It was written, or cannot be.
    Done,
}

/// What is kept no more, and the bytes of the pages that were its alone.
pub(crate) struct Gone {
    pub(crate) kept: Kept,
    pub(crate) freed: u64,
}

/// More sessions take longer to look through than they save.
const KEPT_MAX: usize = 256;

/// Fewer tokens in common are as quickly evaluated as looked up.
pub(crate) const WORTH_SHARING: usize = 16;

impl Kept {
    /// The tokens that were evaluated.
    pub(crate) fn tokens(&self) -> &[TokenId] {
        &self.session.tokens()[..self.session.tokens().len() - self.session.pending()]
    }
}

impl Past {
    /// The session of the app that begins most as `prompt` does, and for how long.
    fn nearest(&self, app: &str, prompt: &[TokenId]) -> Option<(usize, usize)> {
        let mine = self.kept.iter().enumerate().filter(|(_, kept)| kept.app == app);
        mine.map(|(i, kept)| (i, common(kept.tokens(), prompt)))
            .max_by_key(|(_, count)| *count)
            .filter(|(_, count)| *count >= WORTH_SHARING)
    }

    /// How many tokens of `prompt` a fork would save.
    pub(crate) fn shared(&self, app: &str, prompt: &[TokenId]) -> usize {
        self.nearest(app, prompt).map_or(0, |(_, shared)| shared)
    }

    /// A session that begins as `prompt` does, as far as one of the app's does; none where too
    /// little is in common.
    pub(crate) fn fork(&mut self, app: &str, prompt: &[TokenId]) -> Option<Session> {
        let (place, shared) = self.nearest(app, prompt)?;
        let found = self.kept.remove(place);
        let mut fork = found.session.fork();
        fork.rewind(shared);
        self.kept.push(found);
        Some(fork)
    }

    /// Keeps a session. One of the same conversation that it [replaces] goes. The bytes are then what [`Past::bytes`] says: more by those of the pages that
    /// nobody had, less by what is gone.
    pub(crate) fn keep(&mut self, app: &str, id: Option<String>, session: Session) -> Vec<Gone> {
        let kept = Kept { app: app.to_owned(), id, session, disk: OnDisk::Unknown };
        let cache = kept.session.cache();
        self.page_bytes = cache.shape().bytes_per_page().unwrap_or(0) as u64;
        for page in cache.page_ids() {
            *self.pages.entry(page).or_default() += 1;
        }
        // It comes first, so that what others share with it is not freed when they go.
        self.kept.push(kept);
        let last = self.kept.len() - 1;
        let [others @ .., new] = &self.kept[..] else { unreachable!("one was just added") };
        let repeated = |old: &Kept| {
            (&old.app, &old.id) == (&new.app, &new.id)
                && replaces(new.tokens(), old.tokens(), new.id.is_some())
        };
        let mut go: Vec<usize> = (0..last).filter(|place| repeated(&others[*place])).collect();
        if self.kept.len() - go.len() > KEPT_MAX {
            go.extend((0..last).find(|place| !go.contains(place)));
            go.sort_unstable();
        }
        go.into_iter().rev().map(|place| self.remove(place)).collect()
    }

    /// Lets the least recently used go; `None` where nothing is kept.
    pub(crate) fn drop_one(&mut self) -> Option<Gone> {
        (!self.kept.is_empty()).then(|| self.remove(0))
    }

    /// Lets everything of an app's conversation go.
    pub(crate) fn forget(&mut self, app: &str, id: &str) -> Vec<Gone> {
        let is_its = |kept: &Kept| kept.app == app && kept.id.as_deref() == Some(id);
        let places: Vec<usize> =
            (0..self.kept.len()).rev().filter(|place| is_its(&self.kept[*place])).collect();
        places.into_iter().map(|place| self.remove(place)).collect()
    }

    fn remove(&mut self, place: usize) -> Gone {
        let kept = self.kept.remove(place);
        let before = self.pages.len();
        for page in kept.session.cache().page_ids() {
            let count = self.pages.get_mut(&page).expect("a page that was counted when it came");
            *count -= 1;
            if *count == 0 {
                self.pages.remove(&page);
            }
        }
        let freed = (before - self.pages.len()) as u64 * self.page_bytes;
        Gone { kept, freed }
    }

    /// All of them, the least recently used first.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Kept> {
        self.kept.iter_mut()
    }

    /// Bytes of keys and values.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages.len() as u64 * self.page_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ondine_engine::{Engine, EngineOptions, SessionOptions};
    use ondine_format::gguf;
    use ondine_tensor::Bytes;

    use super::*;

    fn engine() -> Arc<Engine> {
        let bytes = include_bytes!("../../droplet/droplet.gguf");
        Engine::load(&gguf::read(Bytes::from_static(bytes)).unwrap(), EngineOptions::default())
            .unwrap()
    }

    fn session(engine: &Arc<Engine>, from: u32, count: usize) -> Session {
        let mut session = engine.session(SessionOptions::default()).unwrap();
        session.sync(&vec![from; count]).unwrap();
        session
    }

    #[test]
    fn a_page_that_is_shared_is_counted_once() {
        let engine = engine();
        let page = engine.shape().cache().bytes_per_page().unwrap() as u64;
        let mut past = Past::default();
        assert!(past.keep("a", Some("s".into()), session(&engine, 5, 40)).is_empty());
        assert_eq!(past.bytes(), 3 * page);
        // A fork of it that goes on: two pages are shared, the third was copied, one is new.
        let mut fork = past.fork("a", &[5; 40]).unwrap();
        fork.sync(&[&[5; 40][..], &[6; 20]].concat()).unwrap();
        let second = fork.fork();
        assert!(past.keep("a", Some("t".into()), fork).is_empty());
        assert_eq!(past.bytes(), (3 + 2) * page);
        // The same conversation, grown: its earlier self goes, and frees nothing that is shared.
        let gone = past.keep("a", Some("s".into()), second);
        assert_eq!(gone.iter().map(|gone| gone.freed).collect::<Vec<_>>(), [page]);
        assert_eq!(past.bytes(), 4 * page);
        let freed: Vec<u64> =
            std::iter::from_fn(|| past.drop_one()).map(|gone| gone.freed).collect();
        assert_eq!(freed, [0, 4 * page]);
        assert_eq!(past.bytes(), 0);
    }

    #[test]
    fn what_is_forgotten_is_the_apps_conversation_alone() {
        let engine = engine();
        let mut past = Past::default();
        for (app, id) in [("a", Some("s")), ("a", Some("t")), ("b", Some("s")), ("a", None)] {
            past.keep(app, id.map(str::to_owned), session(&engine, 5, 20));
        }
        assert_eq!(past.forget("a", "s").len(), 1);
        let left: Vec<_> =
            past.iter_mut().map(|kept| (kept.app.clone(), kept.id.clone())).collect();
        let wanted = [("a", Some("t")), ("b", Some("s")), ("a", None)];
        assert_eq!(left, wanted.map(|(app, id)| (app.to_owned(), id.map(str::to_owned))));
    }

    #[test]
    fn there_is_a_number_of_them() {
        let engine = engine();
        let mut past = Past::default();
        for i in 0..KEPT_MAX as u32 + 3 {
            past.keep("a", Some(i.to_string()), session(&engine, i % 50, 1));
        }
        assert_eq!(past.kept.len(), KEPT_MAX);
        assert_eq!(past.kept[0].id.as_deref(), Some("3"));
    }
}
