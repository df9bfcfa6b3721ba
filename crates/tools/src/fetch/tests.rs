//! Fetching from a server of the test, and from places that must not be asked.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::testing::{called, hostile};

/// A server that answers each path with what is written here, and keeps what it was asked.
pub(crate) struct Server {
    pub(crate) place: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(crate) fn new(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (kept.clone(), answer.clone());
                thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let first = lines.next().and_then(Result::ok).unwrap_or_default();
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {
                    }
                    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    let bytes = answer(&path);
                    kept.lock().unwrap().push(path);
                    let mut stream = stream;
                    let _ = stream.write_all(&bytes);
                });
            }
        });
        Server { place, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.place)
    }
}

pub(crate) fn page(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}").into()
}

fn redirect(to: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .into()
}

fn serving() -> Server {
    Server::new(|path| {
        match path {
        "/page" => page("text/html; charset=utf-8", "<title>T</title><p>你好 <a href='/next'>on</a>"),
        "/plain" => page("text/plain", "as it is"),
        "/long" => page("text/plain", &"0123456789".repeat(1500)),
        "/huge" => page("text/plain", &"x".repeat(100_000)),
        "/latin" => {
            let mut bytes = page("text/plain; charset=ISO-8859-1", "x");
            bytes.pop();
            bytes.push(0xe9);
            bytes
        }
        "/gbk" => page("text/html; charset=gbk", "x"),
        "/picture" => page("image/png", "x"),
        "/untyped" => b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx".to_vec(),
        "/packed" => b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx".to_vec(),
        "/there" => redirect("/page"),
        "/round" => redirect("/round"),
        "/inside" => redirect("http://127.0.0.1:1/"),
        "/metadata" => redirect("http://169.254.169.254/latest/meta-data/"),
        "/file" => redirect("file:///etc/passwd"),
        "/slow" => {
            thread::sleep(Duration::from_secs(3));
            page("text/plain", "late")
        }
        "/head" => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20)).into(),
        _ => b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone".to_vec(),
    }
    })
}

#[test]
fn pages_become_text() {
    let server = serving();
    let tool = Fetch::new().allowing(server.place).within(50_000, Duration::from_secs(10)).tool();
    let get = |path: &str| called(&tool, json!({"url": server.url(path)}));
    let shown = get("/there").unwrap();
    assert_eq!((&shown["title"], &shown["status"]), (&json!("T"), &json!(200)));
    assert_eq!(shown["text"], format!("你好 on <{}>", server.url("/next")));
    assert_eq!(shown["url"], server.url("/page"));
    assert_eq!(get("/plain").unwrap()["text"], "as it is");
    assert_eq!(get("/latin").unwrap()["text"], "é");
    assert_eq!(get("/none").unwrap()["status"], 404);
    let long = get("/long").unwrap();
    assert_eq!(long["next_from"], 6000);
    let rest = called(&tool, json!({"url": server.url("/long"), "from": 12_000})).unwrap();
    assert_eq!(rest["text"].as_str().unwrap().len(), 3000);
    assert_eq!(get("/huge").unwrap()["cut"], true);
    for path in ["/gbk", "/picture", "/untyped", "/packed", "/round", "/head"] {
        assert!(matches!(get(path), Err(ToolError::Failed(_))), "{path}: {:?}", get(path));
    }
    for path in ["/inside", "/metadata", "/file"] {
        assert!(matches!(get(path), Err(ToolError::Refused(_))), "{path}: {:?}", get(path));
    }
    let hasty = Fetch::new().allowing(server.place).within(1000, Duration::from_millis(300)).tool();
    let error = called(&hasty, json!({"url": server.url("/slow")})).unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    hostile(&tool);
}

/// Says what the test wrote, one answer after the other; the last for ever.
struct Names(Vec<Vec<&'static str>>, AtomicUsize);

impl Resolve for Names {
    fn resolve(&self, _: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        let at = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
        Ok(self.0[at].iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
    }
}

#[test]
fn places_inside_are_refused_however_they_are_written() {
    let server = serving();
    let tool = Fetch::new().tool();
    let port = server.place.port();
    let urls = [
        format!("http://127.0.0.1:{port}/page"),
        "http://127.0.0.1/".into(),
        "http://localhost/".into(),
        "http://LOCALHOST./".into(),
        "http://printer/".into(),
        "http://a.localhost/".into(),
        "http://metadata.google.internal/computeMetadata/v1/".into(),
        "http://169.254.169.254/latest/meta-data/".into(),
        "http://[::1]/".into(),
        "http://[::ffff:127.0.0.1]/".into(),
        "http://[64:ff9b::127.0.0.1]/".into(),
        "http://[2002:7f00:1::]/".into(),
        "http://[fd00:ec2::254]/".into(),
        "http://2130706433/".into(),
        "http://0x7f000001/".into(),
        "http://0177.0.0.1/".into(),
        "http://127.1/".into(),
        "http://user@8.8.8.8/".into(),
        "http://8.8.8.8:22/".into(),
        "http://8.8.8.8:6379/".into(),
        "ftp://8.8.8.8/".into(),
        "file:///etc/passwd".into(),
        "gopher://8.8.8.8/".into(),
        "data:text/plain,x".into(),
    ];
    for url in urls {
        let seen = called(&tool, json!({"url": url}));
        assert!(matches!(seen, Err(ToolError::Refused(_))), "{url}: {seen:?}");
    }
    // A name whose address is inside, or has one that is among others that are not.
    for answer in
        [vec!["127.0.0.1"], vec!["10.0.0.1"], vec!["8.8.8.8", "::1"], vec!["::ffff:10.0.0.1"]]
    {
        let names = Names(vec![answer.clone()], AtomicUsize::new(0));
        let tool = Fetch::new().resolving_with(Arc::new(names)).tool();
        let seen = called(&tool, json!({"url": "http://public.example/"}));
        assert!(matches!(seen, Err(ToolError::Refused(_))), "{answer:?}: {seen:?}");
    }
    assert!(server.asked.lock().unwrap().is_empty(), "nothing reached it");
}

/// A name that is public when it is checked and inside when it is asked again: it is asked once.
#[test]
fn a_name_is_looked_up_once_and_for_every_redirect_anew() {
    let server = serving();
    let port = server.place.port();
    let names = Arc::new(Names(vec![vec!["127.0.0.1"], vec!["10.0.0.1"]], AtomicUsize::new(0)));
    let fetch = Fetch::new().allowing(server.place).resolving_with(names.clone());
    let seen = called(&fetch.tool(), json!({"url": format!("http://rebind.example:{port}/plain")}));
    assert_eq!(seen.unwrap()["text"], "as it is");
    assert_eq!(names.1.load(Ordering::Relaxed), 1, "looked up once, connected to that");
    // The redirect is the same name, looked up anew, and now inside.
    let names = Arc::new(Names(vec![vec!["127.0.0.1"], vec!["10.0.0.1"]], AtomicUsize::new(0)));
    let fetch = Fetch::new().allowing(server.place).resolving_with(names.clone());
    let seen = called(&fetch.tool(), json!({"url": format!("http://rebind.example:{port}/there")}));
    assert!(matches!(seen, Err(ToolError::Refused(_))), "{seen:?}");
    assert_eq!(names.1.load(Ordering::Relaxed), 2);
}
