//! A session that was put away as bytes goes on as if it had never been: every logit the same, bit for
//! bit.

use std::fs::File;
use std::sync::Arc;

use ondine_cache::{Cache, CacheError};
use ondine_engine::{
    Engine, EngineError, EngineOptions, GenerateOptions, KvType, Memory, Sampling, Session,
    SessionOptions, Snapshot,
};
use ondine_format::{ModelFile, gguf};
use ondine_tensor::Bytes;

#[path = "../../model/tests/support/tiny.rs"]
mod tiny;
use tiny::Tiny;

fn load(file: &ModelFile, memory: Memory) -> Arc<Engine> {
    let options = EngineOptions { threads: 2, memory, steady: true, ..EngineOptions::default() };
    Engine::load(file, options).unwrap()
}

/// A model with quantised weights: the embedded one.
fn quantised() -> ModelFile {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../droplet/droplet.gguf");
    gguf::read(Bytes::map(&File::open(path).unwrap()).unwrap()).unwrap()
}

/// Away and back: bytes of pages, a new cache of them, a new session.
fn restored(engine: &Arc<Engine>, options: SessionOptions, session: &Session) -> Session {
    let Snapshot { tokens, cache } = session.snapshot();
    let bytes: Vec<Vec<u8>> = cache.page_bytes().map(<[u8]>::to_vec).collect();
    drop(cache);
    let mut cache = Session::blank_cache(engine, options);
    let mut pages = bytes.iter();
    let read = |page: &mut [u8]| -> Result<(), CacheError> {
        page.copy_from_slice(pages.next().unwrap());
        Ok(())
    };
    cache.fill(tokens.len(), read).unwrap();
    Session::resume(engine, options, Snapshot { tokens, cache }).unwrap()
}

/// The bits of the logits after each of some greedy tokens.
fn goes_on(session: &mut Session) -> Vec<(u32, Vec<u32>)> {
    (0..12)
        .map(|_| {
            let options = GenerateOptions {
                sampling: Sampling::greedy(),
                max_tokens: Some(1),
                ..GenerateOptions::default()
            };
            let bits = session.logits().unwrap().iter().map(|x| x.to_bits()).collect();
            let token = session.generate(options).unwrap().next().unwrap().unwrap().token;
            (token, bits)
        })
        .collect()
}

#[test]
fn what_was_put_away_goes_on_as_if_it_had_stayed() {
    let mut files: Vec<(String, ModelFile)> =
        Tiny::families().iter().map(|tiny| (tiny.architecture.to_owned(), tiny.file())).collect();
    files.push(("quantised".into(), quantised()));
    for (name, file) in files {
        for (memory, kv) in [(Memory::Fast, KvType::F16), (Memory::Lean, KvType::Int8)] {
            let engine = load(&file, memory);
            let options = SessionOptions { kv, ..SessionOptions::default() };
            for len in [1, 15, 16, 17, 33] {
                let what = format!("{name} {memory:?} {kv} {len}");
                let prompt = tiny::text(len as u64, len + 9, engine.shape().vocab);
                let mut judge = engine.session(options).unwrap();
                judge.sync(&prompt[..len]).unwrap();
                let wanted = goes_on(&mut judge);

                let mut session = engine.session(options).unwrap();
                session.sync(&prompt[..len]).unwrap();
                // A fork that went another way, and one that came back: their pages have an end that
                // does not count.
                let mut fork = session.fork();
                fork.sync(&prompt).unwrap();
                let mut back = fork.fork();
                back.rewind(len);
                assert!(goes_on(&mut restored(&engine, options, &session)) == wanted, "{what}");
                assert!(goes_on(&mut restored(&engine, options, &back)) == wanted, "{what}, back");
                let mut other = engine.session(options).unwrap();
                other.sync(&prompt).unwrap();
                let wanted = goes_on(&mut other);
                assert!(goes_on(&mut restored(&engine, options, &fork)) == wanted, "{what}, on");
                // Not only the end: a longer prompt is read behind what was put away.
                let mut longer = restored(&engine, options, &session);
                let synced = longer.sync(&prompt).unwrap();
                assert_eq!(synced.reused, len, "{what}");
                assert!(goes_on(&mut longer) == wanted, "{what}, longer");
            }
        }
    }
}

#[test]
fn a_snapshot_of_another_kind_of_session_is_refused() {
    let engine = load(&Tiny::llama().file(), Memory::Lean);
    let prompt = tiny::text(1, 20, engine.shape().vocab);
    let mut session = engine.session(SessionOptions::default()).unwrap();
    session.sync(&prompt).unwrap();
    let kv = SessionOptions { kv: KvType::Int8, ..SessionOptions::default() };
    let short = SessionOptions { context: Some(32), ..SessionOptions::default() };
    for options in [kv, short] {
        let refused = Session::resume(&engine, options, session.snapshot());
        assert!(matches!(refused, Err(EngineError::Snapshot)), "{options:?}");
        assert_ne!(engine.kv_form(options), engine.kv_form(SessionOptions::default()));
    }
    let changes: [fn(&mut Snapshot); 3] = [
        |snapshot| snapshot.tokens.truncate(19),
        |snapshot| snapshot.tokens.push(1),
        |snapshot| snapshot.tokens[7] = u32::MAX,
    ];
    for change in changes {
        let mut snapshot = session.snapshot();
        change(&mut snapshot);
        assert!(Session::resume(&engine, SessionOptions::default(), snapshot).is_err());
    }
    let lean = engine.kv_form(SessionOptions::default());
    let fast = load(&Tiny::llama().file(), Memory::Fast).kv_form(SessionOptions::default());
    assert_ne!(lean, fast, "weights laid out anew may add in another order");
}

#[test]
fn a_cache_that_cannot_be_filled_is_empty() {
    let engine = load(&Tiny::llama().file(), Memory::Lean);
    let mut cache: Cache = Session::blank_cache(&engine, SessionOptions::default());
    let mut left = 2;
    let failed = cache.fill(40, |page| {
        page.fill(1);
        left -= 1;
        if left == 0 { Err(CacheError::TooLarge { tokens: 0 }) } else { Ok(()) }
    });
    assert_eq!(failed, Err(CacheError::TooLarge { tokens: 0 }));
    assert_eq!((cache.len(), cache.bytes()), (0, 0));
    let vast = cache.fill(usize::MAX, |_| Ok::<(), CacheError>(()));
    assert_eq!(vast, Err(CacheError::TooLarge { tokens: usize::MAX }));
}
