//! Every point at which a process may end, one after the other and without processes: the journal is cut
//! after each record and inside each, and the run goes on from there.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ondine_app::chat::{Prompt, Role};
use ondine_app::run::{Diary, Given, Receipt};
use ondine_app::{
    Agent, Effect, Ended, Error, Grant, Llm, Question, Reply, Run, ScriptedModel, Verdict, Why,
};
use serde_json::{Value, json};

use crate::tools::{Folder, Log, noting};

const TURNS: usize = 3;

fn agent(log: &Log) -> Agent {
    let model = ScriptedModel::by(|request| {
        let Prompt::Messages(turns) = &request.prompt else { panic!("a conversation") };
        let n = turns.iter().filter(|turn| turn.role == Role::Assistant).count();
        Ok(if n == TURNS {
            Reply::text("done")
        } else {
            Reply::call("read", json!({"n": n}))
                .and_call("write", json!({"n": n}))
                .and_call("pay", json!({"n": n}))
        })
    });
    Agent::new("worker", Llm::new(Arc::new(model)))
        .tools([
            noting("read", Effect::Read, &["n"], log, json!("read")),
            noting("write", Effect::Write, &["n"], log, json!("written")),
            noting("pay", Effect::Irreversible, &["n"], log, json!("paid")),
        ])
        .grant(Grant::tool("write"))
        .grant(Grant::tool("pay"))
}

/// Goes on with the run of a file, a person answering with what the account says.
fn go(path: &Path, log: &Log) -> (Ended, Run) {
    let account = log.clone();
    let person = move |question: &Question| {
        assert!(matches!(question.why, Why::InDoubt(_)), "{question:?}");
        let done = account.lock().unwrap().iter().any(|(_, _, key)| *key == question.key);
        Some(if done { Verdict::Happened("paid".into()) } else { Verdict::Repeat })
    };
    agent(log).task_in(path, "Do it.").human(person).go_to().unwrap()
}

fn paid(log: &Log) -> Vec<Value> {
    let log = log.lock().unwrap();
    log.iter()
        .filter(|(tool, ..)| tool == "pay")
        .map(|(_, arguments, _)| arguments.clone())
        .collect()
}

fn keys(receipts: &[Receipt]) -> Vec<&str> {
    receipts.iter().map(|receipt| receipt.key.as_str()).collect()
}

#[test]
fn wherever_the_journal_ends_the_run_comes_to_the_same_end() {
    let folder = Folder::new("cuts");
    let path = folder.0.join("run");
    let log = Log::default();
    let (ended, whole_run) = go(&path, &log);
    assert!(matches!(&ended, Ended::Done { answer, .. } if answer == "done"), "{ended:?}");
    let whole = fs::read(&path).unwrap();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    assert!(ends.len() > 5 * TURNS, "{}", ends.len());
    let before: Vec<(String, Value, String)> = log.lock().unwrap().clone();
    let mut cuts: Vec<usize> = Vec::new();
    for pair in [0].into_iter().chain(ends.iter().copied()).collect::<Vec<_>>().windows(2) {
        // After the record, inside it, and one byte before its end.
        cuts.extend([pair[0], pair[0] + 1, (pair[0] + pair[1]) / 2, pair[1] - 1]);
    }
    cuts.push(whole.len());
    for cut in cuts {
        let path = folder.0.join(format!("cut-{cut}"));
        fs::write(&path, &whole[..cut]).unwrap();
        // The world is as far as the journal, or one call further: both are tried. An effect is done when
        // its beginning is kept, so the call that was begun and has no receipt may have been done.
        let kept = String::from_utf8_lossy(&whole[..cut]).into_owned();
        let lines: Vec<&str> =
            kept.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        let has = |what: &str, key: &str| {
            lines.iter().any(|line| line.contains(what) && line.contains(&format!("\"{key}\"")))
        };
        if lines.is_empty() {
            // Nothing was acknowledged: it begins anew, under another id.
            let log = Log::default();
            assert!(matches!(go(&path, &log).0, Ended::Done { .. }));
            continue;
        }
        for further in [false, true] {
            let path = folder.0.join(format!("cut-{cut}-{further}"));
            fs::write(&path, &whole[..cut]).unwrap();
            let world: Vec<_> = before
                .iter()
                .filter(|(_, _, key)| has("Observed", key) || (further && has("Begun", key)))
                .cloned()
                .collect();
            let log: Log = Arc::new(std::sync::Mutex::new(world));
            let (ended, run) = go(&path, &log);
            assert!(matches!(&ended, Ended::Done { answer, .. } if answer == "done"), "{cut}");
            let want: Vec<Value> = (0..TURNS).map(|n| json!({"n": n})).collect();
            assert_eq!(paid(&log), want, "cut at {cut}, further: {further}");
            assert_eq!(keys(run.receipts()), keys(whole_run.receipts()), "cut at {cut}");
            assert_eq!(run.messages().len(), whole_run.messages().len());
            // What was read back is what was there when it ended.
            let again = Diary::open(&path, || panic!("there is a run")).unwrap();
            assert_eq!(*again.run(), run);
        }
    }
}

#[test]
fn a_history_has_a_bound() {
    let folder = Folder::new("bound");
    let path = folder.0.join("run");
    let log = Log::default();
    let mut longest = 0;
    {
        let run = agent(&log).start("Wait.");
        let mut diary = Diary::open(&path, || run).unwrap();
        // A run that does not grow and is given much.
        for _ in 0..1_500 {
            diary.give(Given::Waited, std::time::Duration::from_nanos(1)).unwrap();
            longest = longest.max(fs::metadata(&path).unwrap().len());
        }
    }
    assert!(longest < 70 << 10, "{longest} bytes");
    let again = Diary::open(&path, || panic!("there is a run")).unwrap();
    assert_eq!(again.run().spent().time.as_nanos(), 1_500);
}

#[test]
fn a_run_is_gone_on_with_by_one_at_a_time() {
    let folder = Folder::new("lock");
    let path = folder.0.join("run");
    let log = Log::default();
    let held = Diary::open(&path, || agent(&log).start("Do it.")).unwrap();
    let second = agent(&log).task_in(&path, "Do it.").go();
    assert!(matches!(second, Err(Error::Taken { .. })), "{second:?}");
    drop(held);
    assert!(matches!(go(&path, &log).0, Ended::Done { .. }));
}

#[test]
fn damage_in_the_middle_is_told_and_nothing_is_done() {
    let folder = Folder::new("damage");
    let path = folder.0.join("run");
    let log = Log::default();
    go(&path, &log);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let done = log.lock().unwrap().len();
    assert!(matches!(agent(&log).task_in(&path, "x").go(), Err(Error::Journal(_))));
    assert_eq!(log.lock().unwrap().len(), done);
}

#[test]
fn a_process_that_is_started_meanwhile_keeps_no_lock() {
    let folder = Folder::new("forks");
    let path = folder.0.join("run");
    let log = Log::default();
    let run = agent(&log).start("x");
    std::thread::scope(|scope| {
        // A new process has all that is open here for a moment, locks among them.
        let me = std::env::current_exe().unwrap();
        let starts = scope.spawn(move || {
            for _ in 0..60 {
                let list = std::process::Command::new(&me).args(["--list", "none"]).output();
                assert!(list.unwrap().status.success());
            }
        });
        while !starts.is_finished() {
            Diary::open(&path, || run.clone()).unwrap();
        }
    });
}
