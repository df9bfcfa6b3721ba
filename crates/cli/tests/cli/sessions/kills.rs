//! The service is killed while apps talk in sessions, again and again: whatever an app was told is there
//! when it comes back, and no file is damaged. `ONDINE_KILLS` says how often; the power's part of the
//! promise is tested in `crates/sessions`, over a disk that forgets what was not synced.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Caller, Daemon, token};
use crate::support::{Folder, tiny_model};

/// Kills, unless `ONDINE_KILLS` says how many.
const KILLS: usize = 20;
/// Apps, each of which does one thing after the other.
const APPS: usize = 3;
/// How long the service lives at most, after it is ready.
const LIFE_MS: usize = 150;
/// Messages of a session, after which it is deleted.
const LONG: usize = 24;
/// Sessions of an app, from which on one goes for each that comes.
const MANY: usize = 12;

/// Numbers that look random (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((word ^ (word >> 31)) % end.max(1) as u64) as usize
    }
}

/// What an app knows of one of its sessions: roles and words.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Acknowledged.
    said: Vec<(String, String)>,
    /// What was on its way: the words of the user, and perhaps an answer of any words.
    perhaps: Option<(Vec<String>, bool)>,
    deleted: bool,
}

fn user(text: &str) -> (String, String) {
    ("user".into(), text.into())
}

impl Known {
    /// Whether what is there is what was acknowledged, and behind it no more than was on its way.
    fn allows(&self, there: &[(String, String)]) -> bool {
        let Some(rest) = there.strip_prefix(&self.said[..]) else { return false };
        match (rest, &self.perhaps) {
            ([], _) => true,
            (rest, Some((words, answered))) => {
                let (asked, answer) = rest.split_at(words.len().min(rest.len()));
                asked.iter().eq(words.iter().map(|text| user(text)).collect::<Vec<_>>().iter())
                    && (answer.is_empty()
                        || *answered && answer.len() == 1 && answer[0].0 == "assistant")
            }
            _ => false,
        }
    }
}

/// One app: what it knows, and what it says next.
struct App {
    token: String,
    sessions: BTreeMap<String, Known>,
    chance: Chance,
    words: usize,
    acknowledged: usize,
}

impl App {
    /// Does one thing after another until the service is gone.
    fn talk(&mut self, address: &str, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) && self.step(address).is_some() {}
    }

    fn text(&mut self) -> String {
        self.words += 1;
        format!("message {} {}", self.words, "x".repeat(self.chance.below(40)))
    }

    fn any(&mut self) -> Option<String> {
        let there: Vec<&String> =
            self.sessions.iter().filter(|(_, known)| !known.deleted).map(|(id, _)| id).collect();
        let at = self.chance.below(there.len());
        there.get(at).map(|id| (*id).clone())
    }

    fn known(&mut self, id: &str) -> &mut Known {
        self.sessions.get_mut(id).expect("a session that was just there")
    }

    fn step(&mut self, address: &str) -> Option<()> {
        let token = self.token.clone();
        let caller = Caller { address, token: &token };
        let text = self.text();
        let id = match self.any() {
            Some(id) if self.chance.below(8) > 0 => id,
            _ => return self.create(caller, text),
        };
        let path = format!("/v1/sessions/{id}");
        if self.known(&id).said.len() > LONG || self.sessions.len() > MANY {
            self.known(&id).deleted = true;
            let (status, body) = caller.send(&format!("DELETE {path}"), &Value::Null)?;
            assert_eq!(status, 204, "{body}");
            self.acknowledged += 1;
            return Some(());
        }
        let messages = json!([{"role": "user", "content": text}]);
        let kind = self.chance.below(4);
        self.known(&id).perhaps = Some((vec![text.clone()], kind > 0));
        let answer = match kind {
            0 => {
                let body = json!({"messages": messages});
                let (status, body) = caller.send(&format!("POST {path}/messages"), &body)?;
                assert_eq!(status, 200, "{body}");
                None
            }
            1 => {
                let body =
                    json!({"messages": messages, "max_tokens": 3, "stream": true, "seed": 1});
                let (status, body) = caller.send(&format!("POST {path}/answers"), &body)?;
                assert_eq!(status, 200, "{body}");
                Some(streamed(&body)?)
            }
            _ => {
                let body = json!({"messages": messages, "max_tokens": 3, "seed": 1});
                let (status, body) = caller.send(&format!("POST {path}/answers"), &body)?;
                assert_eq!(status, 200, "{body}");
                let body: Value = serde_json::from_str(&body).expect("JSON");
                Some(body["message"]["content"].as_str().expect("words").to_owned())
            }
        };
        let known = self.known(&id);
        known.perhaps = None;
        known.said.push(user(&text));
        known.said.extend(answer.map(|answer| ("assistant".to_owned(), answer)));
        self.acknowledged += 1;
        if self.chance.below(8) > 0 {
            return Some(());
        }
        let there = self.known(&id).said.len();
        let first = self.chance.below(there + 1);
        let (status, body) =
            caller.send(&format!("POST {path}/fork"), &json!({"messages": first}))?;
        assert_eq!(status, 201, "{body}");
        let fork: Value = serde_json::from_str(&body).expect("JSON");
        let said = self.known(&id).said[..first].to_vec();
        let id = fork["id"].as_str().expect("an id").to_owned();
        self.sessions.insert(id, Known { said, ..Known::default() });
        self.acknowledged += 1;
        Some(())
    }

    fn create(&mut self, caller: Caller<'_>, text: String) -> Option<()> {
        let body = json!({"messages": [{"role": "user", "content": text}, {"role": "user", "content": "b"}]});
        let (status, body) = caller.send("POST /v1/sessions", &body)?;
        assert_eq!(status, 201, "{body}");
        let made: Value = serde_json::from_str(&body).expect("JSON");
        let known = Known { said: vec![user(&text), user("b")], ..Known::default() };
        self.sessions.insert(made["id"].as_str().expect("an id").to_owned(), known);
        self.acknowledged += 1;
        Some(())
    }

    /// Looks at everything that is there. What is seen now is acknowledged.
    fn check(&mut self, address: &str) {
        let caller = Caller { address, token: &self.token };
        let listed = caller.get("/v1/sessions");
        let ids: Vec<&str> = listed["data"].as_array().expect("a list").iter().map(id_of).collect();
        for (id, known) in &mut self.sessions {
            if !ids.contains(&id.as_str()) {
                assert!(known.deleted, "{id} is lost: {known:?}");
            }
        }
        self.sessions.retain(|id, _| ids.contains(&id.as_str()));
        for id in ids {
            let told = caller.get(&format!("/v1/sessions/{id}/messages"));
            let text = |turn: &Value, key: &str| turn[key].as_str().expect("text").to_owned();
            let there: Vec<(String, String)> = (told["data"].as_array().expect("a list").iter())
                .map(|turn| (text(turn, "role"), text(turn, "content")))
                .collect();
            if let Some(known) = self.sessions.get(id) {
                assert!(known.allows(&there), "{id} has {there:?}; expected {known:?}");
            }
            self.sessions.insert(id.to_owned(), Known { said: there, ..Known::default() });
        }
    }
}

fn id_of(info: &Value) -> &str {
    info["id"].as_str().expect("an id")
}

/// The words of a streamed answer, where its end was told.
fn streamed(body: &str) -> Option<String> {
    let data = |event: &str| {
        let (_, rest) = event.split_once("data: ")?;
        serde_json::from_str::<Value>(rest.lines().next()?).ok()
    };
    let events: Vec<&str> = body.split("event: ").skip(1).collect();
    let last = events.iter().find(|event| event.starts_with("finished"))?;
    data(last)?;
    let texts = events.iter().filter(|event| event.starts_with("text")).filter_map(|e| data(e));
    Some(texts.filter_map(|data| data["text"].as_str().map(str::to_owned)).collect())
}

/// Logs, and nothing that was set aside.
fn check_files(folder: &Path) -> usize {
    let mut logs = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of the sessions") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            logs += check_files(&path);
        } else if path.extension().is_some_and(|kind| kind == "log") {
            logs += 1;
        } else {
            assert!(path.ends_with("lock"), "{} is left", path.display());
        }
    }
    logs
}

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let asked = std::env::var("ONDINE_KILLS").ok();
    let kills = asked.and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let home = Folder::new();
    let model = tiny_model(&home);
    let mut apps: Vec<App> = (0..APPS)
        .map(|number| {
            let token = token(&home, &format!("app-{number}"));
            let chance = Chance(number as u64);
            App { token, sessions: BTreeMap::new(), chance, words: 0, acknowledged: 0 }
        })
        .collect();
    let (mut chance, begun) = (Chance(99), Instant::now());
    for kill in 0..=kills {
        if chance.below(10) == 0 {
            // Sometimes it does not even get ready.
            let child = Daemon::begin(&home, &model);
            std::thread::sleep(Duration::from_millis(chance.below(60) as u64));
            Daemon::kill(child);
        }
        if kill > 0 && kill % 100 == 0 {
            eprintln!("{kill} kills in {:.0} s", begun.elapsed().as_secs_f64());
        }
        let Daemon { child, address } = Daemon::start(&home, &model);
        apps.iter_mut().for_each(|app| app.check(&address));
        check_files(Path::new(&home.path("home/sessions")));
        if kill == kills {
            Daemon::kill(child);
            break;
        }
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for app in &mut apps {
                let (address, over) = (&address, &over);
                scope.spawn(move || app.talk(address, over));
            }
            std::thread::sleep(Duration::from_millis(chance.below(LIFE_MS) as u64));
            Daemon::kill(child);
            over.store(true, Ordering::Relaxed);
        });
    }
    let told: usize = apps.iter().map(|app| app.acknowledged).sum();
    let logs = check_files(Path::new(&home.path("home/sessions")));
    eprintln!(
        "{kills} kills in {:.0} s: {told} things acknowledged, none lost; {logs} sessions at the end, \
         no file damaged",
        begun.elapsed().as_secs_f64()
    );
    assert!(told > kills, "the apps hardly got to say anything: {told}");
}
