//! Runs in processes that are killed, at any point: no irreversible effect is repeated, no run is lost.
//!
//! A child is this test binary with [`FOLDER`] set. It goes on with the run of that folder until it is
//! done; its tools append to a file, with the key of the call, and take a little time before and after,
//! so that kills fall there too. A person who is asked about a call in doubt looks into that file, as
//! one would look at an account.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ondine_app::chat::{Prompt, Role};
use ondine_app::{
    Agent, Effect, Ended, Grant, Llm, Question, Reply, ScriptedModel, Tool, Verdict, Why,
};
use serde_json::{Value, json};

use crate::tools::{Folder, fake};

const FOLDER: &str = "ONDINE_KILL_FOLDER";
/// Kills, where [`KILLS`] does not say.
const KILLS_USUAL: usize = 20;
const KILLS: &str = "ONDINE_KILLS";
/// Turns of the model that do something.
const TURNS: usize = 8;

/// Appends what is done and the key it is done under; on disk when it returns, as an account would be.
fn effect(folder: &Path, what: &str, key: &str) {
    let mut file =
        OpenOptions::new().create(true).append(true).open(folder.join("effects")).unwrap();
    file.write_all(format!("{what} {key}\n").as_bytes()).unwrap();
    file.sync_data().unwrap();
}

fn effects(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string(folder.join("effects")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn tool(folder: &Path, name: &'static str, effects: Effect) -> Arc<dyn Tool> {
    let folder = folder.to_owned();
    fake(name, effects, &["n"], move |given, context| {
        thread::sleep(Duration::from_micros(800));
        if effects != Effect::Read {
            effect(&folder, &format!("{name} {}", given["n"]), &context.key);
        }
        thread::sleep(Duration::from_micros(800));
        Ok(Value::String(format!("{name} {}", given["n"])))
    })
}

/// Does in each turn a reading, a writing and a payment, and asks a friend who pays as well; what it does
/// follows from the conversation alone.
fn agent(folder: &Path) -> Agent {
    let turn_of = |request: &ondine_app::chat::Request| match &request.prompt {
        Prompt::Messages(turns) => turns.iter().filter(|t| t.role == Role::Assistant).count(),
        Prompt::Text(_) => 0,
    };
    let worker = ScriptedModel::by(move |request| {
        let n = turn_of(request);
        Ok(if n == TURNS {
            Reply::text("all is done")
        } else if n == TURNS / 2 {
            Reply::call("ask_friend", json!({"question": "pay too"}))
        } else {
            Reply::call("read", json!({"n": n}))
                .and_call("write", json!({"n": n}))
                .and_call("pay", json!({"n": n}))
        })
    });
    let friend = ScriptedModel::by(move |request| {
        Ok(match turn_of(request) {
            0 => Reply::call("pay", json!({"n": 100})),
            1 => Reply::call("pay", json!({"n": 101})).and_call("read", json!({"n": 102})),
            _ => Reply::text("paid"),
        })
    });
    let pay = || tool(folder, "pay", Effect::Irreversible);
    let read = || tool(folder, "read", Effect::Read);
    Agent::new("worker", Llm::new(Arc::new(worker)))
        .tools([read(), tool(folder, "write", Effect::Write), pay()])
        .grant(Grant::tool("write"))
        .grant(Grant::tool("pay"))
        .friend(Agent::new("friend", Llm::new(Arc::new(friend))).tools([read(), pay()]))
}

/// Looks into the account.
fn person(folder: &Path) -> impl FnMut(&Question) -> Option<Verdict> + Send + 'static {
    let folder = folder.to_owned();
    move |question: &Question| {
        assert!(matches!(question.why, Why::InDoubt(_)), "{question:?}");
        let done =
            effects(&folder).iter().any(|line| line.ends_with(&format!(" {}", question.key)));
        let line = format!("{} {}\n", if done { "done" } else { "open" }, question.key);
        let mut asked =
            OpenOptions::new().create(true).append(true).open(folder.join("asked")).unwrap();
        asked.write_all(line.as_bytes()).unwrap();
        Some(if done { Verdict::Happened("it was done".into()) } else { Verdict::Repeat })
    }
}

/// What a child does; by itself, nothing.
#[test]
fn a_child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let ended =
        agent(folder).task_in(folder.join("run"), "Do all of it.").human(person(folder)).go();
    match ended.unwrap() {
        Ended::Done { answer, .. } => fs::write(folder.join("answer"), answer).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Small numbers that are the same every time.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn no_kill_repeats_what_cannot_be_taken_back() {
    let kills = std::env::var(KILLS).ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS_USUAL);
    let me = std::env::current_exe().unwrap();
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let (mut killed, mut runs, mut doubts, mut found_done, mut writes_again) = (0, 0, 0, 0, 0);
    while killed < kills {
        let folder = Folder::new(&format!("kills-{runs}"));
        loop {
            let mut child = Command::new(&me)
                .args(["--exact", "kills::a_child_that_is_killed", "--test-threads=1"])
                .env(FOLDER, &folder.0)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let until = Duration::from_micros(2_000 + random(&mut seed) % 60_000);
            thread::sleep(until);
            let running = child.try_wait().unwrap().is_none();
            if running && killed < kills {
                // SIGKILL: nothing of the child runs after it.
                child.kill().unwrap();
                child.wait().unwrap();
                killed += 1;
                continue;
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "a run is lost: {said}");
            break;
        }
        runs += 1;
        assert_eq!(fs::read_to_string(folder.0.join("answer")).unwrap(), "all is done");
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for line in effects(&folder.0) {
            *times.entry(line).or_default() += 1;
        }
        let of = |what: &str| {
            times.iter().filter(|(line, _)| line.starts_with(what)).collect::<Vec<_>>()
        };
        let (pays, writes) = (of("pay"), of("write"));
        assert_eq!(pays.len(), TURNS - 1 + 2, "{times:?}");
        assert!(pays.iter().all(|(_, n)| **n == 1), "an effect is repeated: {times:?}");
        assert_eq!(writes.len(), TURNS - 1, "each under one key: {times:?}");
        writes_again += writes.iter().map(|(_, n)| **n - 1).sum::<usize>();
        let asked = fs::read_to_string(folder.0.join("asked")).unwrap_or_default();
        doubts += asked.lines().count();
        found_done += asked.lines().filter(|line| line.starts_with("done")).count();
    }
    println!(
        "{killed} kills, {runs} runs, all with their answer; irreversible effects repeated: 0; \
         questions about a call in doubt: {doubts}, of which {found_done} had been done; \
         writes repeated under their key: {writes_again}"
    );
}
