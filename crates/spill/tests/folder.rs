//! What a folder of keys and values promises: what comes back is what was put there, for whom it was put
//! there, or nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ondine_cache::{Cache, CacheError, CacheShape, KvType};
use ondine_spill::{Counts, Folder, Key, Limits, SpillError};
use xxhash_rust::xxh3::xxh3_64;

const SHAPE: CacheShape = CacheShape { layers: 1, kv_heads: 1, head_dim: 4, kv: KvType::F16 };
/// Bytes of a page of this shape.
const PAGE_BYTES: u64 = 256;
const MODEL: [u8; 32] = [7; 32];
/// Where the tokens begin in a file.
const TOKENS: usize = 128;

/// A folder that goes with the test.
struct Temp(PathBuf);

impl Temp {
    fn new() -> Temp {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ondine-spill-{}-{number}", std::process::id());
        Temp(std::env::temp_dir().join(name))
    }

    fn open(&self) -> Folder {
        self.open_with(Limits { keep_free: 0, ..Limits::default() })
    }

    fn open_with(&self, limits: Limits) -> Folder {
        Folder::open(&self.0, limits).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn key(app: &str) -> Key {
    Key::new(app, &MODEL, "form")
}

fn blank() -> Cache {
    Cache::new(SHAPE)
}

/// A cache whose pages hold numbers that hang on `salt`.
fn cache(tokens: usize, salt: u8) -> Cache {
    let mut cache = blank();
    let mut next = salt;
    let numbers = |page: &mut [u8]| -> Result<(), CacheError> {
        page.fill_with(|| {
            next = next.wrapping_mul(5).wrapping_add(3);
            next
        });
        Ok(())
    };
    cache.fill(tokens, numbers).unwrap();
    cache
}

fn bytes(cache: &Cache) -> Vec<u8> {
    cache.page_bytes().flatten().copied().collect()
}

fn tokens(count: u32) -> Vec<u32> {
    (0..count).map(|i| i * 3 + 1).collect()
}

/// The whole beginning of `prompt` that the folder knows, as bytes of pages.
fn restored(folder: &Folder, key: &Key, prompt: &[u32]) -> Option<(usize, Vec<u8>)> {
    let found = folder.find(key, prompt)?;
    let mut cache = blank();
    match folder.read(&found, &mut cache) {
        Ok(()) => {
            assert_eq!(cache.len(), found.tokens().len());
            Some((found.tokens().len(), bytes(&cache)))
        }
        Err(_) => {
            assert!(cache.is_empty());
            None
        }
    }
}

#[test]
fn what_was_put_comes_back_also_after_a_restart() {
    let temp = Temp::new();
    let folder = temp.open();
    for count in [1, 15, 16, 17, 40] {
        let app = format!("app {count}");
        let (tokens, cache) = (tokens(count), cache(count as usize, count as u8));
        folder.put(&key(&app), None, &tokens, &cache).unwrap();
        for folder in [&folder, &temp.open()] {
            let longer = [&tokens[..], &[5, 6, 7]].concat();
            let got = restored(folder, &key(&app), &longer);
            assert_eq!(got, Some((count as usize, bytes(&cache))), "{count}");
        }
    }
    // Of a prompt that goes another way, what is common.
    let mut other = tokens(40);
    other[20] += 1;
    let (shared, pages) = restored(&folder, &key("app 40"), &other).unwrap();
    assert_eq!(shared, 20);
    assert_eq!(pages, bytes(&cache(40, 40))[..2 * PAGE_BYTES as usize]);
    assert_eq!(folder.knows(&key("app 40"), &other), 20);
    let all: u64 = temp.files().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    let counts = folder.counts();
    assert_eq!((counts.files, counts.bytes, counts.written, counts.damaged), (5, all, 5, 0));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&temp.0), 0o700);
        assert!(temp.files().iter().all(|path| mode(path) == 0o600));
    }
}

#[test]
fn nobody_sees_anothers() {
    let temp = Temp::new();
    let folder = temp.open();
    let (tokens, cache) = (tokens(20), cache(20, 1));
    folder.put(&key("a"), Some("s"), &tokens, &cache).unwrap();
    for (other, what) in [
        (key("b"), "another app"),
        (key(""), "no app"),
        (Key::new("a", &[8; 32], "form"), "another model"),
        (Key::new("a", &MODEL, "another form"), "another form of numbers"),
    ] {
        assert!(folder.find(&other, &tokens).is_none(), "{what}");
        assert_eq!(folder.knows(&other, &tokens), 0, "{what}");
    }
    // Not even where a file lies under another's name.
    let [of_a] = &temp.files()[..] else { panic!("one file") };
    folder.put(&key("b"), Some("s"), &tokens, &cache).unwrap();
    let of_b = temp.files().into_iter().find(|path| path != of_a).unwrap();
    fs::copy(of_a, &of_b).unwrap();
    let found = folder.find(&key("b"), &tokens).unwrap();
    let mut target = blank();
    let refused = folder.read(&found, &mut target);
    assert!(matches!(refused, Err(SpillError::Damaged { .. })), "{refused:?}");
    assert!(target.is_empty() && !of_b.exists() && of_a.exists());
}

/// Changes the bytes of the only file, and wants it to be neither used nor kept.
fn never_used(what: &str, change: impl Fn(&mut Vec<u8>)) {
    let temp = Temp::new();
    let (tokens, cache) = (tokens(20), cache(20, 9));
    let at_work = temp.open();
    at_work.put(&key("a"), None, &tokens, &cache).unwrap();
    let [path] = &temp.files()[..] else { panic!("one file") };
    let mut content = fs::read(path).unwrap();
    change(&mut content);
    // Found by the process that wrote it, and by the next one.
    for folder in [None, Some(())] {
        fs::write(path, &content).unwrap();
        let opened = folder.map(|()| temp.open());
        let folder = opened.as_ref().unwrap_or(&at_work);
        assert_eq!(restored(folder, &key("a"), &tokens), None, "{what}");
        assert!(temp.files().is_empty(), "{what}: the file is still there");
        let counts = folder.counts();
        assert_eq!((counts.files, counts.bytes, counts.damaged), (0, 0, 1), "{what}");
        assert!(folder.find(&key("a"), &tokens).is_none());
    }
}

/// How long the file of the tests is.
const LENGTH: usize = TOKENS + 4 * 20 + 8 + 2 * (PAGE_BYTES as usize + 8);

#[test]
fn a_flipped_bit_anywhere_is_seen() {
    for at in 0..LENGTH {
        never_used(&format!("bit in byte {at}"), |content| {
            assert_eq!(content.len(), LENGTH);
            content[at] ^= 1 << (at % 8);
        });
    }
}

#[test]
fn a_file_of_another_length_is_seen() {
    for length in 0..LENGTH {
        never_used(&format!("cut at {length}"), |content| content.truncate(length));
    }
    never_used("a byte more", |content| content.push(0));
    never_used("a page of zeros", |content| {
        let end = content.len();
        content[end - PAGE_BYTES as usize - 8..].fill(0);
    });
}

/// Puts numbers into the head and makes its check right.
fn forge(content: &mut Vec<u8>, count: u32, page_bytes: u64, length: u64, keep: usize) {
    content.truncate(keep);
    content[12..16].copy_from_slice(&count.to_le_bytes());
    content[16..24].copy_from_slice(&page_bytes.to_le_bytes());
    content[24..32].copy_from_slice(&length.to_le_bytes());
    let head = TOKENS + 4 * 20;
    if content.len() >= head + 8 {
        let check = xxh3_64(&content[..head]);
        content[head..head + 8].copy_from_slice(&check.to_le_bytes());
    }
}

#[test]
fn numbers_that_overflow_reserve_nothing() {
    let head = TOKENS + 4 * 20 + 8;
    // Two pages of 2^63 bytes are none at all, in 64 bits; and so on.
    for (count, page_bytes) in [
        (20, (1 << 63) - 8),
        (20, u64::MAX - 7),
        (20, u64::MAX),
        (20, 1 << 53),
        (u32::MAX, PAGE_BYTES),
        (u32::MAX, 1 << 53),
        (1 << 24, 1 << 40),
        ((1 << 24) + 1, 0),
        (0, PAGE_BYTES),
    ] {
        for length in [head, LENGTH] {
            never_used(&format!("{count} tokens, pages of {page_bytes}, {length}"), |content| {
                forge(content, count, page_bytes, length as u64, length);
            });
        }
        never_used(&format!("{count} tokens, pages of {page_bytes}, the length as told"), |c| {
            forge(c, count, page_bytes, u64::MAX, LENGTH);
        });
    }
    // A sound file of a shape that is not ours.
    never_used("pages twice as long", |content| {
        let rest = TOKENS + 4 * 20 + 8 + 2 * (2 * PAGE_BYTES as usize + 8);
        content.resize(rest, 0);
        forge(content, 20, 2 * PAGE_BYTES, rest as u64, rest);
    });
}

#[test]
fn pages_have_their_places() {
    let head = TOKENS + 4 * 20 + 8;
    let page = PAGE_BYTES as usize + 8;
    never_used("two pages changed places", |content| {
        let (first, second) = content[head..].split_at_mut(page);
        first.swap_with_slice(second);
    });
    never_used("the first page twice", |content| {
        content.copy_within(head..head + page, head + page);
    });
    // The same place of another timeline of the same app.
    let temp = Temp::new();
    let folder = temp.open();
    let (one, two) = (tokens(20), [&[9], &tokens(19)[..]].concat());
    folder.put(&key("a"), None, &one, &cache(20, 1)).unwrap();
    let [first] = &temp.files()[..] else { panic!("one file") };
    folder.put(&key("a"), None, &two, &cache(20, 2)).unwrap();
    let second = temp.files().into_iter().find(|path| path != first).unwrap();
    let mut content = fs::read(first).unwrap();
    content[head..].copy_from_slice(&fs::read(&second).unwrap()[head..]);
    fs::write(first, &content).unwrap();
    assert_eq!(restored(&folder, &key("a"), &one), None);
    // An old copy, or another file altogether, in its place: sound in itself, with other tokens.
    folder.put(&key("a"), None, &one, &cache(20, 1)).unwrap();
    fs::copy(&second, first).unwrap();
    assert_eq!(restored(&folder, &key("a"), &one), None);
    assert!(!first.exists());
    assert_eq!(restored(&folder, &key("a"), &two), Some((20, bytes(&cache(20, 2)))));
    assert_eq!(folder.counts().damaged, 2);
}

#[test]
fn what_is_no_file_of_ours_is_left_or_removed_and_never_waited_for() {
    const EMPTY: &str = "fedcba9876543210fedcba9876543210.kv";
    let temp = Temp::new();
    drop(temp.open());
    for (name, stays) in [
        ("notes.txt", true),
        ("kv", true),
        ("0123.part", true),
        ("0123.kv", true),
        ("0123456789abcdef0123456789abcdef.part", false),
        ("0123456789abcdef0123456789abcdef.kv", false),
        (EMPTY, false),
    ] {
        fs::write(temp.0.join(name), if name == EMPTY { "" } else { "ONDINEKV" }).unwrap();
        assert_eq!(temp.open().counts().files, 0);
        assert_eq!(temp.0.join(name).exists(), stays, "{name}");
    }
    #[cfg(unix)]
    {
        let outside = temp.0.with_extension("outside");
        fs::write(&outside, "of somebody else").unwrap();
        std::os::unix::fs::symlink(&outside, temp.0.join("00000000000000000000000000000000.kv"))
            .unwrap();
        let counts = temp.open().counts();
        assert_eq!(counts, Counts { damaged: 1, ..Counts::default() });
        assert_eq!(fs::read(&outside).unwrap(), b"of somebody else");
        fs::remove_file(&outside).unwrap();
    }
}

#[test]
fn the_least_recently_used_goes_and_the_budget_holds() {
    let temp = Temp::new();
    let one = LENGTH as u64;
    let limits = Limits { bytes: 3 * one + one / 2, keep_free: 0 };
    let folder = temp.open_with(limits);
    let put = |folder: &Folder, app: &str| {
        folder.put(&key(app), None, &tokens(20), &cache(20, 1)).unwrap();
        assert!(folder.counts().bytes <= limits.bytes);
        // Times of files tell no moments nearer than this apart.
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let known = |folder: &Folder| {
        let knows = |app: &&str| folder.find(&key(app), &tokens(20)).is_some();
        ["a", "b", "c", "d", "e"].into_iter().filter(knows).collect::<String>()
    };
    for app in ["a", "b", "c"] {
        put(&folder, app);
    }
    restored(&folder, &key("a"), &tokens(20)).unwrap();
    put(&folder, "d");
    assert_eq!(known(&folder), "acd");
    // Written again is used again, and writes nothing.
    put(&folder, "c");
    assert_eq!(folder.counts().written, 4);
    // The next process goes on with the same order.
    let next = temp.open_with(limits);
    assert_eq!(known(&next), "acd");
    put(&next, "e");
    assert_eq!(known(&next), "cde");
    // A folder that is opened with less takes no more than that.
    assert_eq!(known(&temp.open_with(Limits { bytes: 2 * one, ..limits })), "ce");
}

#[test]
fn a_full_disk_is_an_error_and_nothing_else() {
    let temp = Temp::new();
    let folder = temp.open();
    folder.put(&key("a"), None, &tokens(20), &cache(20, 1)).unwrap();
    for limits in [
        Limits { bytes: LENGTH as u64 - 1, keep_free: 0 },
        Limits { keep_free: u64::MAX, ..Limits::default() },
    ] {
        let other = Temp::new();
        let full = other.open_with(limits);
        let refused = full.put(&key("a"), None, &tokens(20), &cache(20, 1)).unwrap_err();
        assert!(matches!(refused, SpillError::NoRoom { bytes, .. } if bytes == LENGTH as u64));
        assert!(other.files().is_empty());
    }
    let none = folder.put(&key("a"), None, &[], &blank()).unwrap_err();
    assert!(matches!(none, SpillError::Tokens { tokens: 0 }));
    // One that could not be written even alone does not drive the others out.
    let small = temp.open_with(Limits { bytes: LENGTH as u64 + 9, keep_free: 0 });
    let long = small.put(&key("a"), None, &tokens(400), &cache(400, 1)).unwrap_err();
    assert!(matches!(long, SpillError::NoRoom { .. }), "{long}");
    assert_eq!(small.counts().files, 1);
    // A folder that is gone, as when its disk was taken away.
    fs::remove_dir_all(&temp.0).unwrap();
    let gone = folder.put(&key("b"), None, &tokens(20), &cache(20, 1)).unwrap_err();
    assert!(matches!(gone, SpillError::Io { .. }), "{gone}");
    let found = folder.find(&key("a"), &tokens(20)).unwrap();
    assert!(matches!(folder.read(&found, &mut blank()), Err(SpillError::Gone)));
    assert!(folder.find(&key("a"), &tokens(20)).is_none());
}

#[test]
fn a_session_that_grows_has_one_file_and_goes_when_it_is_forgotten() {
    let temp = Temp::new();
    let folder = temp.open();
    let (short, long) = (tokens(20), tokens(40));
    folder.put(&key("a"), Some("s"), &short, &cache(20, 1)).unwrap();
    folder.put(&key("a"), Some("t"), &short, &cache(20, 1)).unwrap();
    assert_eq!(folder.counts().written, 1, "what a file knows is not written again");
    folder.put(&key("a"), Some("s"), &long, &cache(40, 1)).unwrap();
    assert_eq!(temp.files().len(), 1, "the shorter one is part of the longer one");
    // It went on otherwise than it had been, and then as another conversation altogether.
    let mut otherwise = tokens(60);
    otherwise[20] += 1;
    folder.put(&key("a"), Some("s"), &otherwise, &cache(60, 1)).unwrap();
    assert_eq!(temp.files().len(), 1, "half of the longer one is part of this");
    folder.put(&key("a"), Some("s"), &long, &cache(40, 1)).unwrap();
    assert_eq!(temp.files().len(), 2, "a third is not");
    folder.put(&key("a"), Some("s"), &tokens(60), &cache(60, 1)).unwrap();
    assert_eq!(temp.files().len(), 2);
    // Another session's stays, though it begins the same.
    let other = [&tokens(60)[..], &[1]].concat();
    folder.put(&key("a"), Some("t"), &other, &cache(61, 1)).unwrap();
    folder.put(&key("b"), Some("s"), &long, &cache(40, 1)).unwrap();
    assert_eq!(temp.files().len(), 4);
    folder.forget("a", "s");
    assert_eq!(temp.files().len(), 2, "another app's session of the same id is another one");
    let late = folder.put(&key("a"), Some("s"), &tokens(90), &cache(90, 1)).unwrap_err();
    assert!(matches!(late, SpillError::Gone), "what was on its way does not come back");
    folder.forget_app("a");
    assert_eq!(temp.files().len(), 1);
    assert!(folder.find(&key("b"), &long).is_some());
}
