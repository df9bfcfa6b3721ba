//! `ondine update` and `ondine rollback`: the real binary, a publisher with a key of the test's own,
//! and a server of loopback. Also killed at any moment.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ondine_store::Digest;
use serde_json::{Value, json};

use crate::publisher::{Publisher, now_s, release};
use crate::server::{Page, Server};
use crate::service::Service;
use crate::store::{Home, long_model};
use crate::support::{Folder, tiny_model};

/// A home, a publisher of the model `m`, and its server.
struct Scene {
    home: Home,
    server: Server,
    publisher: Publisher,
    /// A model that works.
    base: Vec<u8>,
}

impl Scene {
    /// With version 1 here, every file of so many bytes at least.
    fn new(bytes: usize) -> Scene {
        let (home, server, publisher) = (Home::new(), Server::new(), Publisher::new());
        let base = long_model(&home.folder, bytes);
        let scene = Scene { home, server, publisher, base };
        scene.publish(1, None);
        let key = scene.publisher.key();
        assert_eq!(scene.home.ondine(&["pull", &scene.source(), "--key", &key]).ok(), "m\n");
        scene
    }

    fn source(&self) -> String {
        format!("signed:{}", self.server.url("/m.json"))
    }

    /// The file of a version: no two are the same.
    fn content(&self, version: u64) -> Vec<u8> {
        let mut content = self.base.clone();
        // Behind the last tensor stands nothing that a reader looks at.
        content.extend(format!("version {version}").bytes());
        content
    }

    fn publish(&self, version: u64, rate: Option<u64>) {
        let page = Page { rate, ..Page::new(self.content(version)) };
        let digest = Digest::of(&page.body).to_string();
        self.publisher.publish(&self.server, version, &digest, page);
    }

    fn model(&self) -> Value {
        self.home.ondine(&["ls", "--json"]).json()[0].clone()
    }

    /// The version that is here, after making sure that it is whole.
    #[track_caller]
    fn version(&self) -> u64 {
        let model = self.model();
        let version = model["version"].as_u64().unwrap_or_else(|| panic!("{model}"));
        let blob = format!("home/models/blobs/sha256-{}", model["sha256"].as_str().unwrap());
        let there = fs::read(self.home.folder.path(&blob)).unwrap();
        assert!(there == self.content(version), "version {version} is not whole");
        version
    }
}

#[test]
fn a_model_is_updated_and_rolled_back() {
    let scene = Scene::new(0);
    let ondine = |arguments: &[&str]| scene.home.ondine(arguments);
    assert_eq!(ondine(&["update"]).ok(), "m  1  newest\n");
    assert_eq!(ondine(&["update", "m"]).ok(), "m  1  newest\n");
    let error = ondine(&["rollback", "m"]).fails(1);
    assert!(error.contains("no earlier version"), "{error}");
    scene.publish(2, None);
    assert_eq!(ondine(&["update"]).ok(), "m  1 -> 2  better words\n");
    assert_eq!(scene.version(), 2);
    assert_eq!(scene.model()["rollback"], 1);
    let table = ondine(&["ls"]).ok();
    assert!(table.contains("VERSION") && table.contains("2 (back: 1)"), "{table}");
    ondine(&["run", "-m", "m", "-n", "3", "hello"]).ok();

    assert_eq!(ondine(&["rollback", "m"]).ok(), "m  2 -> 1\n");
    assert_eq!(scene.version(), 1);
    assert_eq!(scene.model()["rollback"], Value::Null);
    let said = ondine(&["update"]).ok();
    assert!(said.contains("2 was declined") && said.contains("ondine update m"), "{said}");
    assert_eq!(scene.version(), 1);
    let rows = ondine(&["update", "m", "--json"]).json();
    assert_eq!((&rows[0]["from"], &rows[0]["version"]), (&1.into(), &2.into()));
    assert_eq!(scene.version(), 2);

    scene.publish(1, None);
    let error = ondine(&["update", "m"]).fails(1);
    assert!(
        error.contains("version 1 is offered") && error.contains("--allow-downgrade"),
        "{error}"
    );
    ondine(&["update", "m", "--allow-downgrade"]).ok();
    assert_eq!(scene.version(), 1);
    ondine(&["rm", "m"]).ok();
    assert_eq!(scene.home.listed("blobs"), [""; 0]);
}

/// The daemon, several who ask without a pause, and a model that is updated and rolled back meanwhile.
#[test]
fn a_switch_under_load_fails_nobody() {
    let mut scene = Scene::new(0);
    let folder = std::mem::replace(&mut scene.home.folder, Folder::new());
    let service = Service::start(folder, &["--model", "m", "--threads", "1"]);
    let token = service.ondine(&["app", "add", "load"]).ok();
    let token = Some(token.trim());
    let body = json!({"model": "m", "prompt": "hello", "max_tokens": 8, "seed": 1}).to_string();
    let text = |answer: &str| {
        let answer: Value = serde_json::from_str(answer).expect("JSON");
        answer["choices"][0]["text"].as_str().expect("a text").to_owned()
    };
    let wanted = text(&service.send("POST /v1/completions", token, &body).1);
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    /// Says that it is over, also where the test fails: else those who ask would ask for ever.
    struct Ends<'a>(&'a AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let switches = std::env::var("ONDINE_SWITCHES").map_or(3, |n| n.parse().expect("a number"));
    thread::scope(|scope| {
        let ends = Ends(&over);
        for _ in 0..6 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (status, answer) = service.send("POST /v1/completions", token, &body);
                    assert_eq!(status, 200, "{answer}");
                    assert_eq!(text(&answer), wanted);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let answers_with = |version: u64| {
            let digest = Digest::of(&scene.content(version)).to_string();
            let (begun, before) = (Instant::now(), answered.load(Ordering::Relaxed));
            loop {
                let (_, status) = service.send("GET /v1/status", token, "");
                let status: Value = serde_json::from_str(&status).expect("JSON");
                let models = status["models"].as_array().expect("a list").iter();
                let mut m = models.filter(|model| model["name"] == "m");
                let now = m.next().map(|model| model["sha256"].clone());
                if now == Some(digest.as_str().into())
                    && answered.load(Ordering::Relaxed) > before + 6
                {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_secs(60), "version {version}: {status}");
                thread::sleep(Duration::from_millis(50));
            }
        };
        for version in 2..2 + switches {
            scene.publish(version, None);
            service.ondine(&["update"]).ok();
            answers_with(version);
        }
        service.ondine(&["rollback", "m"]).ok();
        answers_with(switches);
        drop(ends);
    });
    let answered = answered.load(Ordering::Relaxed);
    println!("{} switches, {answered} answers, none failed", switches + 1);
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
}

#[test]
fn what_is_refused_says_why_and_changes_nothing() {
    let scene = Scene::new(0);
    let content = scene.content(2);
    let digest = Digest::of(&content).to_string();
    let mut late = release(2, "files/2.gguf", &digest, content.len());
    (late["released_s"], late["expires_s"]) = ((now_s() - 9000).into(), (now_s() - 8000).into());
    scene.server.put("/files/2.gguf", Page::new(content.clone()));
    scene.publisher.put(&scene.server, "/m.json", &late.to_string());
    let error = scene.home.ondine(&["update"]).fails(1);
    assert!(error.contains("expired 2 hours ago") && error.contains("clock"), "{error}");

    Publisher::new().publish(&scene.server, 2, &digest, Page::new(content));
    let error = scene.home.ondine(&["update", "m"]).fails(1);
    assert!(error.contains("another key"), "{error}");

    scene.publisher.publish(&scene.server, 2, &digest, Page::new(scene.content(3)));
    let error = scene.home.ondine(&["update", "m"]).fails(1);
    assert!(error.contains(&digest), "{error}");

    // Signed, whole, and no model.
    let text = Page::new("this is no model");
    scene.publisher.publish(&scene.server, 3, &Digest::of(&text.body).to_string(), text);
    let error = scene.home.ondine(&["update"]).fails(1);
    assert!(error.contains("not taken into the store"), "{error}");
    assert!(scene.home.ondine(&["update"]).ok().contains("3 was declined"));
    assert_eq!(scene.version(), 1);
}

/// UP-13: the file is a model in every respect but that its weights are no numbers.
#[test]
fn up_13_a_model_that_says_nothing_is_not_switched_to() {
    let scene = Scene::new(0);
    let mut broken = fs::read(tiny_model(&scene.home.folder)).unwrap();
    let end = broken.len();
    broken[end - 1024..].fill(0xff);
    let page = Page::new(broken);
    scene.publisher.publish(&scene.server, 2, &Digest::of(&page.body).to_string(), page);
    let error = scene.home.ondine(&["update", "m"]).fails(1);
    assert!(error.contains("not taken into the store"), "{error}");
    assert_eq!(scene.version(), 1);
    // Nor is it pulled under a new name.
    let key = scene.publisher.key();
    scene.home.ondine(&["pull", &scene.source(), "--key", &key, "--name", "n"]).fails(1);
    assert_eq!(scene.home.names(), ["m"]);
}

#[test]
fn unsigned_models_have_no_versions() {
    let scene = Scene::new(0);
    let file = tiny_model(&scene.home.folder);
    scene.home.ondine(&["pull", &file]).ok();
    assert_eq!(scene.home.ondine(&["update"]).ok(), "m  1  newest\n");
    for command in ["update", "rollback"] {
        let error = scene.home.ondine(&[command, "tiny"]).fails(1);
        assert!(error.contains("tiny came from an unsigned source"), "{error}");
        assert!(error.contains("ondine pull") && error.contains("tiny.gguf"), "{error}");
        scene.home.ondine(&[command, "nobody"]).fails(1);
        scene.home.ondine(&[command, "../x"]).fails(2);
    }
    let key = scene.publisher.key();
    let source = scene.source();
    let rows: &[&[&str]] = &[
        &["pull", &source],
        &["pull", &file, "--key", &key],
        &["pull", &source, "--key", "RWnokey"],
        &["pull", "signed:m.json", "--key", &key],
        &["update", "--allow-downgrade"],
        &["rollback"],
    ];
    for row in rows {
        scene.home.ondine(row).fails(2);
    }
}

#[test]
fn one_publisher_s_fault_keeps_nobody_else_from_being_updated() {
    let scene = Scene::new(0);
    let (content, key) = (scene.content(1), scene.publisher.key());
    let mut other = release(1, "files/1.gguf", &Digest::of(&content).to_string(), content.len());
    other["model"] = "a".into();
    scene.publisher.put(&scene.server, "/a.json", &other.to_string());
    let source = format!("signed:{}", scene.server.url("/a.json"));
    scene.home.ondine(&["pull", &source, "--key", &key]).ok();
    scene.server.put("/a.json", Page { status: Some(404), ..Page::new("") });
    scene.publish(2, None);
    let ran = scene.home.ondine(&["update"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, "m  1 -> 2  better words\n"), "{}", ran.err);
    assert!(ran.err.contains("a: ") && ran.err.contains("404"), "{}", ran.err);
}

/// Bytes a second of one connection, so that a download can be hit.
const RATE: u64 = 2 << 20;

/// Kills updates at random moments. The model is a whole one at all times, the old or the new, and
/// the next update completes.
fn killed(times: u32) {
    let scene = Scene::new(4 << 20);
    // How long one takes on this machine, so that kills fall on all of its steps.
    scene.publish(2, Some(RATE));
    let begin = Instant::now();
    scene.home.ondine(&["update", "m"]).ok();
    let longest = begin.elapsed().as_millis() as u64 * 5 / 4;
    let (mut chance, mut now) = (54_321u32, 2u64);
    let (mut old, mut new, mut partly) = (0u32, 0u32, 0u32);
    for kill in 0..times {
        let next = now + 1;
        scene.publish(next, Some(RATE));
        let mut child = scene.home.start(&["update", "m"]);
        // Numerical Recipes' generator: any will do.
        chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_millis(u64::from(chance >> 16) % longest));
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        let there = scene.version();
        assert!(there == now || there == next, "version {there} came out of nowhere");
        scene.home.ondine(&["inspect", "m"]).ok();
        (old, new) = if there == now { (old + 1, new) } else { (old, new + 1) };
        partly +=
            u32::from(scene.home.listed("parts").iter().any(|name| name.ends_with(".chunks")));
        // Every third time the next one finds what two kills left.
        if kill % 3 == 2 && there == now {
            continue;
        }
        scene.publish(next, None);
        scene.home.ondine(&["update", "m"]).ok();
        assert_eq!(scene.version(), next);
        assert_eq!(scene.model()["rollback"], now);
        assert_eq!(scene.home.listed("blobs").len(), 2, "more than a version and the one before");
        now = next;
    }
    scene.home.ondine(&["rollback", "m"]).ok();
    scene.home.ondine(&["run", "-m", "m", "-n", "3", "hello"]).ok();
    eprintln!(
        "{times} kills: {old} left the old version, {new} the new one, {partly} a part; {} MiB sent",
        scene.server.sent.load(Ordering::SeqCst) >> 20
    );
    assert!(partly > 0, "no kill hit a download");
}

/// `ONDINE_KILLS=100` for the full run.
#[test]
fn up_12_killed_updates_leave_a_whole_model() {
    let times = std::env::var("ONDINE_KILLS").ok().and_then(|times| times.parse().ok());
    killed(times.unwrap_or(10));
}
