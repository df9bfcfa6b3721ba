//! Chains that are killed after every record, replayed, stopped and broken.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ondine_chat::{ChatError, Prompt, Request};
use serde_json::{Value, json};

use super::*;
use crate::journal::JournalError;
use crate::llm::Llm;
use crate::retrieve::{Hit, Retrieve, RetrieveError};
use crate::scripted::{Reply, ScriptedModel};
use crate::tool::{Cancel, Context, Effect, Tool, ToolError, ToolSpec};

/// A folder that is gone when the test is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ondine-chain-{}-{next}", std::process::id());
        // Many syncs: in memory, where the system has a folder there.
        let shared = PathBuf::from("/dev/shm");
        let path = if shared.is_dir() { shared } else { std::env::temp_dir() }.join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("journal")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What was done, how often; and how often the flaky step still fails.
#[derive(Clone, Default)]
struct World {
    done: Arc<Mutex<HashMap<&'static str, usize>>>,
    fails: Arc<AtomicUsize>,
}

impl World {
    fn does(&self, what: &'static str) {
        *self.done.lock().unwrap().entry(what).or_default() += 1;
    }

    fn done(&self) -> HashMap<&'static str, usize> {
        self.done.lock().unwrap().clone()
    }
}

/// Waits for nothing, and says how long it would have waited.
#[derive(Default)]
struct Waits(Mutex<Vec<Duration>>);

impl Clock for Waits {
    fn wait(&self, time: Duration, _: &Cancel) {
        self.0.lock().unwrap().push(time);
    }
}

struct Upper(ToolSpec, World);

impl Tool for Upper {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn call(&self, arguments: Value, _: &Context) -> Result<Value, ToolError> {
        self.1.does("upper");
        let text = arguments["text"].as_str().ok_or(ToolError::Arguments("no text".into()))?;
        Ok(Value::String(text.to_uppercase()))
    }
}

struct Shelf(World);

impl Retrieve for Shelf {
    fn retrieve(&self, question: &str, k: usize) -> Result<Vec<Hit>, RetrieveError> {
        self.0.does("look up");
        let hit = |n: usize| Hit {
            path: format!("{n}.md"),
            line_start: 1,
            line_end: 1,
            score: 1.0,
            text: format!("{question} {n}"),
        };
        Ok((0..k).map(hit).collect())
    }
}

fn words(request: &Request) -> String {
    match &request.prompt {
        Prompt::Messages(turns) => turns.last().unwrap().text.clone(),
        Prompt::Text(text) => text.clone(),
    }
}

/// Says what was asked, or an object where a schema is.
fn echo(world: &World) -> Llm {
    let world = world.clone();
    Llm::new(Arc::new(ScriptedModel::by(move |request| {
        world.does("model");
        Ok(match request.format {
            ondine_chat::Format::Text => Reply::text(format!("said {}", words(request))),
            _ => Reply::text(json!({"words": words(request).split(' ').count()}).to_string()),
        })
    })))
}

/// Every kind of step there is.
fn everything(world: &World) -> Chain<impl Step<Input = String, Output = String> + use<>> {
    let llm = echo(world);
    let does = |name: &'static str| {
        let world = world.clone();
        move |text: String| {
            world.does(name);
            Ok::<_, StepError>(format!("{text} {name}"))
        }
    };
    let flaky = {
        let world = world.clone();
        step("flaky", move |text: String| {
            world.does("flaky");
            let left = |n: usize| n.checked_sub(1);
            match world.fails.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left) {
                Ok(_) => Err("not now"),
                Err(_) => Ok(text),
            }
        })
    };
    let broken = {
        let world = world.clone();
        step("broken", move |_: String| -> Result<String, StepError> {
            world.does("broken");
            Err("never".into())
        })
    };
    let spec = ToolSpec {
        name: "upper".into(),
        description: String::new(),
        parameters: json!({"type": "object"}),
        effect: Effect::Irreversible,
        timeout: Duration::from_secs(10),
    };
    let upper = tool(Arc::new(Upper(spec, world.clone())));
    let schema = json!({"type": "object"});
    let steps = step("first", does("first"))
        .then(flaky.retry(Retry::times(3)))
        .then(parallel(
            "both",
            (
                ask("say", &llm, |text: &String| text.clone()),
                step("left", does("left")).then(step("right", does("right"))),
                typed("measure", &llm, schema, |text: &String| text.clone())
                    .map(|found: HashMap<String, usize>| found["words"].to_string()),
            ),
        ))
        .map(|(said, both, count)| format!("{said}; {both}; {count}"))
        .then(broken.fallback(step("instead", does("instead"))))
        .then(branch(
            "long?",
            |text: &String| text.len() > 10,
            step("long", does("long")),
            step("short", does("short")),
        ))
        .then(retrieve("look up", Arc::new(Shelf(world.clone())), 2))
        .map(|hits| hits.into_iter().map(|hit| hit.text).collect::<Vec<_>>())
        .then(each("every", step("item", does("item"))).threads(2))
        .map(|texts| json!({"text": texts.join("|")}))
        .then(upper);
    Chain::new("everything", steps)
}

fn failing(fails: usize) -> World {
    World { fails: Arc::new(AtomicUsize::new(fails)), ..World::default() }
}

/// A whole run: what it gave, what it told.
fn whole(go: Go<'_, impl Step<Input = String, Output = String>>) -> (String, Vec<Event>) {
    let mut events = Vec::new();
    let waits = Arc::new(Waits::default());
    let output = go.clock(waits).listen(|event| events.push(event.clone())).end().unwrap();
    (output, events)
}

#[test]
fn a_chain_that_was_killed_after_any_record_ends_the_same_and_repeats_nothing() {
    let folder = Folder::new();
    let world = failing(2);
    let (output, events) = whole(everything(&world).go("a".into()).journal(folder.file()));
    assert!(output.contains("FIRST") && output.contains("LONG"), "{output}");
    let all = world.done();
    assert_eq!((all["flaky"], all["item"], all["model"]), (3, 2, 2));

    let journal = fs::read_to_string(folder.file()).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    let has = |line: &str, kind: &str, name: &str| {
        line.contains(&format!("{{\"{kind}\":")) && line.contains(name)
    };
    assert!(lines.len() > 15, "{}", lines.len());
    for cut in 1..=lines.len() {
        let kept = &lines[..cut];
        // The record that was being written is torn.
        let torn = lines.get(cut).map_or("", |line| &line[..line.len() / 2]);
        fs::write(folder.file(), format!("{}\n{torn}", kept.join("\n"))).unwrap();
        let count =
            |kind: &str, name: &str| kept.iter().filter(|line| has(line, kind, name)).count();
        let failed = count("failed", "retry/try");
        let world = failing(2 - failed);
        let intended = count("intent", "upper") == 1 && count("done", ".upper") == 0;
        // Somebody has looked: it was not done.
        let chain = everything(&world);
        let go = chain.go("a".into()).journal(folder.file()).on_doubt(|doubt| {
            assert!(intended && doubt.path.ends_with(".upper"), "{doubt:?}");
            Decision::Again
        });
        assert_eq!(whole(go), (output.clone(), events.clone()), "cut after {cut}");
        let now = world.done();
        for (name, times) in &all {
            let before = match *name {
                "flaky" => failed + count("done", ".flaky"),
                "model" => count("done", ".say\"") + count("done", ".measure\""),
                "broken" => count("failed", "fallback/first"),
                name => count("done", &format!(".{name}\"")),
            };
            let after = now.get(name).copied().unwrap_or(0);
            assert_eq!(before + after, *times, "{name}, cut after {cut}");
        }
    }
}

#[test]
fn a_journal_alone_tells_the_same_again() {
    let folder = Folder::new();
    let world = failing(1);
    let first = whole(everything(&world).go("你好 a".into()).journal(folder.file()));
    let before = world.done();
    assert_eq!(whole(everything(&world).replay(folder.file())), first);
    assert_eq!(whole(everything(&world).resume(folder.file())), first);
    assert_eq!(world.done(), before, "a replay does nothing");

    let journal = fs::read_to_string(folder.file()).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    for cut in 1..lines.len() {
        fs::write(folder.file(), lines[..cut].join("\n") + "\n").unwrap();
        let ended = everything(&world).replay(folder.file()).end();
        assert!(matches!(ended, Err(ChainError::Incomplete { .. })), "{ended:?}");
    }
    assert_eq!(world.done(), before, "a replay does nothing");
    let none = everything(&world).replay(folder.0.join("none")).end();
    assert!(matches!(none, Err(ChainError::Journal(JournalError::File { .. }))), "{none:?}");
    assert!(!folder.0.join("none").exists());
}

#[test]
fn whatever_thread_is_quicker_the_same_is_told() {
    let run = |seed: u64| {
        let sleepy = |n: u64| {
            Func::live(format!("s{n}"), move |text: String, live: &mut Live<'_>| {
                for piece in 0..3 {
                    let wait = (seed + 7 * n + 3 * piece) * 2_654_435_761 % 4;
                    std::thread::sleep(Duration::from_millis(wait));
                    live.text(format!("{n}{piece}"));
                }
                Ok(format!("{text}{n}"))
            })
        };
        let folder = Folder::new();
        let steps = (0..5).map(|n| sleepy(n).boxed()).collect::<Vec<_>>();
        let chain = Chain::new("many", parallel("all", steps).threads(3).map(|all| all.join(" ")));
        let (output, events) = whole(chain.go("x".into()).journal(folder.file()));
        let mut kept: Vec<String> = fs::read_to_string(folder.file())
            .unwrap()
            .lines()
            .filter(|line| !line.contains("begun"))
            .map(str::to_owned)
            .collect();
        kept.sort();
        (output, events, kept)
    };
    let first = run(0);
    assert_eq!(first.0, "x0 x1 x2 x3 x4");
    for seed in 1..12 {
        assert_eq!(run(seed), first);
    }
}

#[test]
fn no_more_threads_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (own, highest) = (now.clone(), most.clone());
    let item = step("item", move |n: usize| {
        highest.fetch_max(own.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
        own.fetch_sub(1, Ordering::SeqCst);
        Ok::<_, StepError>(n * 2)
    });
    let chain = Chain::new("twice", each("all", item).threads(2));
    assert_eq!(chain.run((0..20).collect()).unwrap(), (0..20).map(|n| n * 2).collect::<Vec<_>>());
    assert!(most.load(Ordering::SeqCst) <= 2);
}

#[test]
fn another_chain_or_input_refuses_the_journal() {
    let folder = Folder::new();
    let made = |name: &str, version| {
        let add = step(name, |n: u32| Ok::<_, StepError>(n + 1));
        Chain::new("add", add).version(version)
    };
    made("one", 1).go(1).journal(folder.file()).end().unwrap();
    for (chain, input, why) in [
        (made("two", 1), 1, "built otherwise"),
        (made("one", 2), 1, "built otherwise"),
        (made("one", 1), 2, "another input"),
    ] {
        let refused = chain.go(input).journal(folder.file()).end();
        let Err(ChainError::Changed(what)) = refused else { panic!("{refused:?}") };
        assert!(what.contains(why), "{what}");
    }
    let other = Chain::new("subtract", step("one", |n: u32| Ok::<_, StepError>(n - 1)));
    let refused = other.resume(folder.file()).end().unwrap_err().to_string();
    assert!(refused.contains("\"add\", not \"subtract\""), "{refused}");

    // A function between two steps that gives another thing than it did is found out.
    let folder = Folder::new();
    let map = |by: u32| {
        let add = || step("one", |n: u32| Ok::<_, StepError>(n + 1));
        Chain::new("map", add().map(move |n| n * by).then(add()))
    };
    map(2).go(1).journal(folder.file()).end().unwrap();
    let refused = map(3).resume(folder.file()).end().unwrap_err().to_string();
    assert!(refused.contains("2.one had another input"), "{refused}");

    fs::write(folder.file(), "0123456789abcdef {\"ended\":1}\n{}\n").unwrap();
    assert!(matches!(map(2).resume(folder.file()).end(), Err(ChainError::Journal(_))));
}

#[test]
fn what_cannot_be_taken_back_is_never_done_twice() {
    let folder = Folder::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let keys = Arc::new(Mutex::new(Vec::new()));
    let pay = |how: &'static str| {
        let (sent, keys) = (sent.clone(), keys.clone());
        Func::live("pay", move |n: u32, live: &mut Live<'_>| {
            keys.lock().unwrap().push(live.key().to_owned());
            match how {
                "refused" => return Err("no money".into()),
                "panics" => {
                    sent.fetch_add(1, Ordering::SeqCst);
                    panic!("the line went dead")
                }
                _ => {}
            }
            sent.fetch_add(1, Ordering::SeqCst);
            Ok(format!("paid {n}"))
        })
        .effect(Effect::Irreversible)
    };
    let chain = |how| Chain::new("pay", pay(how).retry(Retry::times(3)));
    let go = |how: &'static str, decision: Decision| {
        chain(how)
            .go(5)
            .clock(Arc::new(Waits::default()))
            .journal(folder.file())
            .on_doubt(move |_| decision.clone())
            .end()
    };
    // It may have been done: no retry.
    assert!(matches!(go("panics", Decision::Stop), Err(ChainError::Doubt { .. })));
    // Nor at the next start, before somebody has looked.
    for _ in 0..2 {
        assert!(matches!(go("works", Decision::Stop), Err(ChainError::Doubt { .. })));
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    let before = fs::read(folder.file()).unwrap();
    assert_eq!(go("works", Decision::Done(json!("paid already"))).unwrap(), "paid already");
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    fs::write(folder.file(), before).unwrap();
    assert_eq!(go("works", Decision::Again).unwrap(), "paid 5");
    assert_eq!(sent.load(Ordering::SeqCst), 2);
    let keys = keys.lock().unwrap();
    assert_eq!(keys[0], keys[1], "the same step of the same run");

    // What says that it did not happen is tried again, and asked about by nobody.
    let folder = Folder::new();
    let refused = Chain::new("pay", pay_refused()).go(5).journal(folder.file()).end();
    assert!(matches!(refused, Err(ChainError::Step { .. })), "{refused:?}");
    let again = Chain::new("pay", pay_refused()).go(5).journal(folder.file()).end();
    assert!(matches!(again, Err(ChainError::Step { .. })), "{again:?}");
}

fn pay_refused() -> impl Step<Input = u32, Output = String> {
    step("pay", |_: u32| Err::<String, _>("no money")).effect(Effect::Irreversible)
}

#[test]
fn an_attempt_with_a_lasting_effect_is_not_made_up_for() {
    let folder = Folder::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let tries = Arc::new(AtomicUsize::new(0));
    let chain = || {
        let (sent, tries) = (sent.clone(), tries.clone());
        let pay = step("pay", move |n: u32| {
            sent.fetch_add(1, Ordering::SeqCst);
            Ok::<_, StepError>(n)
        });
        let receipt = step("receipt", move |n: u32| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => Err("the printer is out of paper"),
            _ => Ok(n),
        });
        let both = pay.effect(Effect::Irreversible).then(receipt);
        let other = step("other", |n: u32| Ok::<_, StepError>(n));
        Chain::new("pay", both.retry(Retry::times(5)).fallback(other))
    };
    let ended = chain().go(5).journal(folder.file()).end();
    assert!(matches!(&ended, Err(ChainError::Step { path, .. }) if path.ends_with("receipt")));
    assert_eq!(chain().go(5).journal(folder.file()).end().unwrap(), 5);
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}

#[test]
fn tries_are_counted_and_waited_between() {
    let waits = Arc::new(Waits::default());
    let model = Arc::new(ScriptedModel::by(|_| Err(ChatError::ShuttingDown)));
    let how = Retry::times(4).wait(Duration::from_secs(12));
    let chain = |how| {
        let ask = ask("ask", &Llm::new(model.clone()), |text: &String| text.clone());
        Chain::new("again", ask.retry(how))
    };
    let mut events = Vec::new();
    let listen = |event: &Event| events.push(event.clone());
    let ended = chain(how).go("x".into()).clock(waits.clone()).listen(listen).end();
    let Err(ChainError::Step { path, error: StepError::Model(error) }) = ended else { panic!() };
    assert_eq!((path.as_str(), error), ("1.retry/try 4/1.ask", ChatError::ShuttingDown));
    assert_eq!(*waits.0.lock().unwrap(), [12, 24, 30].map(Duration::from_secs));
    let retried = |event: &&Event| matches!(event.what, What::Retried { .. });
    assert_eq!(events.iter().filter(retried).count(), 3);
    assert_eq!(model.asked().len(), 4);

    // Errors that are not worth it.
    let picky = how.on(|error| matches!(error, StepError::Answer(_)));
    assert!(chain(picky).run("x".into()).is_err());
    assert_eq!(model.asked().len(), 5);
}

#[test]
fn whoever_stops_waiting_is_heard() {
    let folder = Folder::new();
    let world = World::default();
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let mut events = Vec::new();
    let listen = |event: &Event| {
        events.push(event.clone());
        if event.what == What::Text("said ".into()) {
            stop.now();
        }
    };
    let chain = everything(&world);
    let ended = chain.go("a".into()).journal(folder.file()).cancel(&cancel).listen(listen).end();
    assert!(matches!(ended, Err(ChainError::Cancelled)), "{ended:?}");
    assert_eq!(events.last().unwrap().what, What::Cancelled);
    // And it goes on from there.
    assert!(whole(chain.resume(folder.file())).0.contains("LONG"));

    let wait = Arc::new(Chain::new("wait", {
        let broken = step("broken", |_: u32| Err::<u32, _>("no"));
        broken.retry(Retry::times(2).wait(Duration::from_secs(600)))
    }));
    let mut told = wait.events(1, None);
    assert!(told.any(|event| matches!(event.what, What::Retried { .. })));
    told.cancel().now();
    assert!(matches!(told.output(), Err(ChainError::Cancelled)));
}

#[test]
fn a_panic_is_an_error() {
    let broke = |ended: Result<u32, ChainError>, path: &str| match ended {
        Err(ChainError::Step { path: at, error: StepError::Panicked(what) }) => {
            assert_eq!((at.as_str(), what.as_str()), (path, "at the disco"));
        }
        other => panic!("{other:?}"),
    };
    let fine = || step("fine", |n: u32| Ok::<_, StepError>(n));
    let bad = || step("bad", |_: u32| -> Result<u32, StepError> { panic!("at the disco") });
    let map = |_| -> u32 { panic!("at the disco") };
    broke(Chain::new("c", bad()).run(1), "1.bad");
    broke(Chain::new("c", fine().map(map)).run(1), "map");
    let test = |_: &u32| -> bool { panic!("at the disco") };
    broke(Chain::new("c", branch("which", test, fine(), fine())).run(1), "1.which");
    let both = parallel("both", (fine(), bad())).map(|(a, _)| a);
    broke(Chain::new("c", both).run(1), "1.both/1/1.bad");
    assert_eq!(Chain::new("c", bad().fallback(fine())).run(1).unwrap(), 1);
}

#[test]
fn what_does_not_go_through_json_is_an_error_at_once() {
    let odd = step("odd", |_: u32| Ok::<_, StepError>(f64::NAN));
    let ended = Chain::new("c", odd).run(1);
    assert!(matches!(&ended, Err(ChainError::Value { path, .. }) if path == "1.odd"), "{ended:?}");
}

#[test]
fn it_draws_itself() {
    let drawing = everything(&World::default()).drawing();
    let mermaid = drawing.mermaid();
    for said in ["\"first\"", "again#44; 3 tries", "if it fails", "[/\"upper\"/]", "-->|\"yes\"|"] {
        assert!(mermaid.contains(said), "{said}: {mermaid}");
    }
    assert!(drawing.svg().contains(">measure</text>"));
}
