//! A small server on loopback that can misbehave in every way a stranger's can. Plain std: what
//! tests a client should not be made of the same parts.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A file or answer, and how it is served.
#[derive(Clone)]
pub(crate) struct Page {
    /// What it holds.
    pub(crate) body: Arc<Vec<u8>>,
    /// Its version's name, without quotes.
    pub(crate) etag: Option<String>,
    /// Whether parts are sent.
    pub(crate) ranges: bool,
    /// Parts are sent only where one byte is asked for; else the whole.
    pub(crate) only_a_byte: bool,
    /// A status instead of 200 and 206.
    pub(crate) status: Option<u16>,
    /// More header lines.
    pub(crate) headers: Vec<String>,
    /// Added to the announced length.
    pub(crate) announce: i64,
    /// Added to the first byte in Content-Range.
    pub(crate) shift: i64,
    /// The answer has no length.
    pub(crate) unmeasured: bool,
    /// Every answer ends after so many bytes.
    pub(crate) cut_after: Option<u64>,
    /// So many answers end early, each at another place.
    pub(crate) cuts: Arc<AtomicUsize>,
    /// Bytes a second of one connection.
    pub(crate) rate: Option<u64>,
    /// Silence before the last byte.
    pub(crate) hang: bool,
    /// After so many answers the page becomes this one.
    pub(crate) then: Option<(usize, Box<Page>)>,
}

impl Page {
    /// A page that behaves.
    pub(crate) fn new(body: impl Into<Vec<u8>>) -> Page {
        Page {
            body: Arc::new(body.into()),
            etag: Some("v1".into()),
            ranges: true,
            only_a_byte: false,
            status: None,
            headers: Vec::new(),
            announce: 0,
            shift: 0,
            unmeasured: false,
            cut_after: None,
            cuts: Arc::default(),
            rate: None,
            hang: false,
            then: None,
        }
    }

    /// A redirect.
    pub(crate) fn redirect(to: &str) -> Page {
        let headers = vec![format!("Location: {to}")];
        Page { status: Some(302), headers, ..Page::new("") }
    }
}

/// What one request was.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
}

/// The server. It ends with the test.
pub(crate) struct Server {
    port: u16,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    /// Bytes of bodies that were sent.
    pub(crate) sent: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn new() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
        let server = Server {
            port: listener.local_addr().expect("an address").port(),
            pages: Arc::default(),
            asked: Arc::default(),
            sent: Arc::default(),
            ended: Arc::default(),
        };
        let (pages, asked) = (server.pages.clone(), server.asked.clone());
        let (sent, ended) = (server.sent.clone(), server.ended.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (pages, asked, sent) = (pages.clone(), asked.clone(), sent.clone());
                // Whoever hangs up ends its own thread.
                thread::spawn(move || serve(stream, &pages, &asked, &sent));
            }
        });
        server
    }

    pub(crate) fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_string(), page);
    }

    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base())
    }

    /// Waits until nothing is being sent.
    pub(crate) fn at_rest(&self) {
        let mut before = u64::MAX;
        while self.sent.load(Ordering::SeqCst) != before {
            before = self.sent.load(Ordering::SeqCst);
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Requests so far for a path.
    pub(crate) fn count(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| asked.path == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // The listener looks only when somebody comes.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(
    mut stream: TcpStream,
    pages: &Mutex<HashMap<String, Page>>,
    asked: &Mutex<Vec<Asked>>,
    sent: &AtomicU64,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let path = line.split(' ').nth(1)?.to_string();
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_string());
        }
        asked.lock().unwrap().push(Asked { path: path.clone(), headers: headers.clone() });
        let page = {
            let mut pages = pages.lock().unwrap();
            let page = pages.get(&path).cloned();
            if let Some(Page { then: Some((left, _)), .. }) = pages.get_mut(&path) {
                if *left == 0 {
                    let Some(Page { then: Some((_, next)), .. }) = pages.remove(&path) else {
                        unreachable!()
                    };
                    pages.insert(path.clone(), *next);
                } else {
                    *left -= 1;
                }
            }
            page
        };
        let missing = Page { status: Some(404), ..Page::new("nothing here") };
        answer(&mut stream, &page.unwrap_or(missing), &headers, sent)?;
    }
}

fn answer(
    stream: &mut TcpStream,
    page: &Page,
    asked: &HashMap<String, String>,
    sent: &AtomicU64,
) -> Option<()> {
    let whole = page.body.len() as u64;
    let etag = page.etag.as_ref().map(|etag| format!("\"{etag}\""));
    let same = asked.get("if-range").is_none_or(|wanted| Some(wanted) == etag.as_ref());
    let range = asked.get("range").filter(|_| page.ranges && same && page.status.is_none());
    let range = range.and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let last = last.parse::<u64>().unwrap_or(whole - 1);
        let (first, last) = (first.parse::<u64>().ok()?, last.min(whole.saturating_sub(1)));
        (first == last || !page.only_a_byte).then_some((first, last))
    });
    let (status, body) = match range {
        Some((first, last)) => (206, &page.body[first as usize..=last as usize]),
        None => (page.status.unwrap_or(200), &page.body[..]),
    };
    let mut head = format!("HTTP/1.1 {status} x\r\n");
    if !page.unmeasured {
        head += &format!("Content-Length: {}\r\n", body.len() as i64 + page.announce);
    }
    if let Some(etag) = etag {
        head += &format!("ETag: {etag}\r\n");
    }
    if let Some((first, last)) = range {
        let first = first as i64 + page.shift;
        head += &format!("Content-Range: bytes {first}-{last}/{whole}\r\n");
    }
    for line in &page.headers {
        head += &format!("{line}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;

    let probe = body.len() <= 1;
    let mut end = page.cut_after.map_or(body.len(), |end| body.len().min(end as usize));
    if !probe
        && page.cuts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    {
        // Somewhere, and each time elsewhere.
        let left = page.cuts.load(Ordering::SeqCst);
        end = (left * 7919 + 104_729) % body.len();
    }
    let piece = page.rate.map_or(64 << 10, |rate| (rate / 50).max(1) as usize);
    for (at, piece) in body[..end].chunks(piece).enumerate() {
        if page.rate.is_some() && at > 0 {
            thread::sleep(Duration::from_millis(20));
        }
        if page.hang && !probe && at > 0 {
            thread::sleep(Duration::from_secs(3600));
        }
        stream.write_all(piece).ok()?;
        sent.fetch_add(piece.len() as u64, Ordering::SeqCst);
    }
    if end < body.len() || page.unmeasured || page.announce != 0 {
        let _ = stream.shutdown(Shutdown::Both);
        return None;
    }
    Some(())
}
