//! The page's files, as a browser meets them: open to everybody on this machine, under rules that the
//! browser keeps, and a door to nothing else.

use ondine_server::Limits;

use crate::common::*;

const FILES: [(&str, &str); 4] = [
    ("/", "text/html; charset=utf-8"),
    ("/assets/page.js", "text/javascript; charset=utf-8"),
    ("/assets/page.css", "text/css; charset=utf-8"),
    ("/assets/icon.svg", "image/svg+xml"),
];

/// What nobody without a token may say.
const NOBODY: (&str, &str) = ("Authorization", "-");

#[test]
fn the_files_need_no_token_and_come_with_their_rules() {
    let server = Running::new(script(), Limits::default());
    for (path, media) in FILES {
        let reply = server.ask("GET", path, &[NOBODY], "");
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("content-type"), Some(media), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-cache"), "{path}");
        assert!(reply.header("set-cookie").is_none(), "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self' data:",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.split("; ").any(|own| own == rule), "{path}: {rule} in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(!reply.body.is_empty(), "{path}");
        let head = server.ask("HEAD", path, &[NOBODY], "");
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
    }
}

#[test]
fn a_file_that_the_browser_has_is_not_sent_again() {
    let server = Running::new(script(), Limits::default());
    for (path, _) in FILES {
        let tag = server.ask("GET", path, &[NOBODY], "").header("etag").unwrap().to_owned();
        let weak = format!("\"other\", W/{tag}");
        for known in [tag.as_str(), weak.as_str()] {
            let reply = server.ask("GET", path, &[NOBODY, ("If-None-Match", known)], "");
            assert_eq!((reply.status, reply.body.as_str()), (304, ""), "{path} {known}");
            assert_eq!(reply.header("etag"), Some(tag.as_str()), "{path}");
            assert!(reply.header("content-security-policy").is_some(), "{path}");
        }
        let reply = server.ask("GET", path, &[NOBODY, ("If-None-Match", "\"other\"")], "");
        assert_eq!(reply.status, 200, "{path}");
    }
}

#[test]
fn nothing_beside_the_files_is_open() {
    let model = script();
    let server = Running::new(model.clone(), Limits::default());
    let closed = [
        ("POST", "/"),
        ("PUT", "/assets/page.js"),
        ("DELETE", "/assets/page.js"),
        ("OPTIONS", "/"),
        ("GET", "/assets"),
        ("GET", "/assets/"),
        ("GET", "/assets/other.js"),
        ("GET", "/assets/../v1/models"),
        ("GET", "/assets/%2e%2e/v1/models"),
        ("GET", "/assets/page.js/../../v1/models"),
        ("GET", "/%2fv1/models"),
        ("GET", "//v1/models"),
        ("GET", "/index.html"),
        ("GET", "/favicon.ico"),
        ("GET", "/v1/models"),
        ("GET", "/metrics"),
    ];
    for (method, path) in closed {
        let reply = server.ask(method, path, &[NOBODY], "");
        assert_eq!(reply.status, 401, "{method} {path}");
    }
    assert!(model.asked().is_empty());
}

#[test]
fn other_names_and_strangers_pages_do_not_get_the_files() {
    let server = Running::new(script(), Limits::default());
    for (path, _) in FILES {
        for more in [("Host", "evil.com"), ("Origin", "http://evil.com"), ("Origin", "null")] {
            let reply = server.ask("GET", path, &[NOBODY, more], "");
            assert_eq!(reply.status, 403, "{path} {more:?}");
        }
    }
}

#[test]
fn the_files_are_logged_by_their_names_alone() {
    let server = Running::new(script(), Limits::default());
    server.ask("GET", "/?token=secret-in-a-query", &[NOBODY], "");
    let log = server.log.clone();
    server.end();
    let lines = log.0.lock().unwrap();
    assert!(!lines.is_empty() && !lines.iter().any(|line| line.contains("secret")), "{lines:?}");
}
