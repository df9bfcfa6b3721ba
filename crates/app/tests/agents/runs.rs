//! What runs promise one by one: approvals, budgets, stopping, plans, friends, hand-offs, doubt.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ondine_app::chat::{Chat, ChatError, Event, Format, Model, Prompt, Request, Sink};
use ondine_app::run::{News, Stop};
use ondine_app::{
    Agent, Budget, Cancel, Context, Effect, Ended, Error, Grant, Happening, Llm, Manner, Question,
    Reply, Run, ScriptedModel, Tool, ToolError, Verdict, Why,
};
use serde_json::{Value, json};

use crate::tools::{Folder, Log, agent, fake, fake_for, noting, scripted};

fn done(ended: &Ended) -> &str {
    match ended {
        Ended::Done { answer, .. } => answer,
        other => panic!("{other:?}"),
    }
}

fn why(ended: &Ended) -> &Stop {
    match ended {
        Ended::Failed { failure, .. } => &failure.why,
        other => panic!("{other:?}"),
    }
}

fn pay(log: &Log) -> Arc<dyn Tool> {
    noting("pay", Effect::Irreversible, &["to"], log, json!("paid"))
}

#[test]
fn a_question_outlives_the_process_and_its_answer_is_obeyed() {
    let folder = Folder::new("approval");
    let path = folder.0.join("run");
    let rows = [
        (Verdict::Allow, vec![json!({"to": "bob"})], "paid"),
        (
            Verdict::Edit(json!({"to": "eve"})),
            vec![json!({"to": "eve"})],
            "as the user changed them",
        ),
        (Verdict::Deny("too dear".into()), vec![], "not allowed by the user: too dear"),
    ];
    for (verdict, paid, told) in rows {
        let _ = std::fs::remove_file(&path);
        let log = Log::default();
        let first = agent([Reply::call("pay", json!({"to": "bob"}))]).tools([pay(&log)]);
        let Ended::Waiting(questions) = first.task_in(&path, "Pay.").go().unwrap() else {
            panic!()
        };
        assert_eq!(questions[0].arguments, json!({"to": "bob"}));
        assert_eq!(questions[0].why, Why::NotGranted);
        assert!(log.lock().unwrap().is_empty());
        // Another process: the model is asked nothing that it was asked before.
        let second = agent([Reply::text("done")]).tools([pay(&log)]);
        let (ended, run) = second
            .task_in(&path, "Pay.")
            .human(|_: &Question| Some(verdict.clone()))
            .go_to()
            .unwrap();
        assert_eq!(done(&ended), "done");
        let seen: Vec<Value> = log.lock().unwrap().iter().map(|(_, a, _)| a.clone()).collect();
        assert_eq!(seen, paid);
        let messages = run.messages();
        assert!(messages.iter().any(|m| m.text.contains(told)), "{told}: {messages:?}");
    }
}

#[test]
fn a_call_that_times_out_and_cannot_be_taken_back_is_asked_about() {
    let count = Arc::new(AtomicUsize::new(0));
    for verdict in
        [Verdict::Happened("it went out".into()), Verdict::Deny("leave it".into()), Verdict::Allow]
    {
        let counted = count.clone();
        let before = count.load(Ordering::SeqCst);
        let slow =
            fake_for("wire", Effect::Irreversible, &[], Duration::from_millis(20), move |_, _| {
                counted.fetch_add(1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(60));
                Ok(json!("late"))
            });
        // The model tries again, and a grant is there; what is in doubt is covered by none.
        let replies =
            [Reply::call("wire", json!({})), Reply::call("wire", json!({})), Reply::text("ok")];
        let agent = agent(replies).tools([slow]).grant(Grant::tool("wire"));
        let mut asked = 0;
        let ended = agent
            .task("x")
            .human(|question: &Question| {
                asked += 1;
                (asked == 1).then(|| {
                    assert!(matches!(question.why, Why::InDoubt(_)));
                    verdict.clone()
                })
            })
            .go()
            .unwrap();
        let Ended::Waiting(questions) = &ended else { panic!("{ended:?}") };
        let again = match verdict {
            // To allow everything is no answer to a doubt: it stays open and nothing is done again.
            Verdict::Allow => (1, true),
            // The user let it be: the same call needs the user, grant or not.
            Verdict::Deny(_) => (1, false),
            // It is known to have been done; a second one is a call of its own.
            _ => (2, true),
        };
        let seen =
            (count.load(Ordering::SeqCst) - before, matches!(questions[0].why, Why::InDoubt(_)));
        assert_eq!(seen, again, "{verdict:?}");
    }
}

#[test]
fn each_budget_ends_a_run_and_says_what_was_reached() {
    let none = Budget { steps: None, tokens: None, time: None, calls: None };
    let rows = [
        (Budget { steps: Some(3), ..none }, Stop::Steps),
        (Budget { tokens: Some(150), ..none }, Stop::Tokens),
        (Budget { calls: Some(2), ..none }, Stop::Calls),
        (Budget { time: Some(Duration::from_millis(80)), ..none }, Stop::Time),
    ];
    for (budget, want) in rows {
        let n = AtomicUsize::new(0);
        let tick = fake("tick", Effect::Read, &[], move |_, _| {
            thread::sleep(Duration::from_millis(5));
            Ok(json!(n.fetch_add(1, Ordering::SeqCst)))
        });
        let agent = agent(vec![Reply::call("tick", json!({})); 200]).tools([tick]).budget(budget);
        let ended = agent.task("Tick.").go().unwrap();
        assert_eq!(*why(&ended), want);
        let Ended::Failed { failure, spent } = ended else { unreachable!() };
        assert!(failure.reached.starts_with("tick: "), "{failure:?}");
        assert!(budget.steps.is_none_or(|most| spent.steps == most));
        assert!(budget.calls.is_none_or(|most| spent.calls == most), "{spent:?}");
    }
}

#[test]
fn a_budget_larger_than_the_model_asks_for_no_more_than_there_is_room_for() {
    let rest = Budget { tokens: Some(50_000), ..Budget::default() };
    let asked = |llm: Llm, most: Option<usize>| {
        let agent = Agent::new("worker", llm).brief("You work.").budget(rest);
        let agent = match most {
            Some(most) => agent.max_tokens(most),
            None => agent,
        };
        assert_eq!(done(&agent.task("Speak.").go().unwrap()), "words");
    };
    let model = || Arc::new(ScriptedModel::new([Reply::text("words")]).context(300));
    let bound = |model: &ScriptedModel| model.asked()[0].max_tokens.unwrap();
    let (free, told, own) = (model(), model(), model());
    asked(Llm::new(free.clone()), None);
    assert!((200..300).contains(&bound(&free)), "{}", bound(&free));
    asked(Llm::new(told.clone()), Some(40));
    assert_eq!(bound(&told), 40);
    asked(Llm::new(own.clone()).max_tokens(30), None);
    assert_eq!(bound(&own), 30);
}

#[test]
fn the_time_of_a_run_ends_a_tool_and_leaves_no_doubt_unsaid() {
    let time = Some(Duration::from_millis(50));
    let sleeps = fake("send", Effect::Irreversible, &[], |_, _| {
        thread::sleep(Duration::from_millis(400));
        Ok(json!("sent"))
    });
    let agent = agent([Reply::call("send", json!({}))])
        .tools([sleeps])
        .grant(Grant::tool("send"))
        .budget(Budget { time, ..Budget::default() });
    let start = Instant::now();
    let ended = agent.task("x").go().unwrap();
    assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
    let Ended::Failed { failure, .. } = ended else { panic!("{ended:?}") };
    assert_eq!((failure.why, failure.in_doubt.len()), (Stop::Time, 1));
}

/// A model that blocks before it says anything, or speaks without end.
struct Endless {
    blocks: bool,
    heard: Arc<AtomicUsize>,
}

impl Chat for Endless {
    fn start(&self, _: Request, mut sink: Sink) -> Result<(), ChatError> {
        if self.blocks {
            thread::sleep(Duration::from_secs(2));
            return Ok(());
        }
        let text = || Event::Text { text: "and ".into(), logprobs: Vec::new() };
        while sink(text()) {
            self.heard.fetch_add(1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
        Ok(0)
    }

    fn models(&self) -> Vec<Model> {
        Vec::new()
    }
}

#[test]
fn whoever_stops_an_agent_waits_no_longer_than_a_moment() {
    let heard = Arc::new(AtomicUsize::new(0));
    let model = |blocks| Llm::new(Arc::new(Endless { blocks, heard: heard.clone() }));
    let hang = || {
        fake("hang", Effect::Read, &[], |_, context: &Context| {
            while !context.cancel.is_set() {
                thread::sleep(Duration::from_millis(1));
            }
            Err(ToolError::Cancelled)
        })
    };
    let deaf = || {
        fake("deaf", Effect::Read, &[], |_, _| {
            thread::sleep(Duration::from_secs(2));
            Ok(json!(1))
        })
    };
    let agents = [
        ("a model that speaks", Agent::new("a", model(false))),
        ("a model that blocks", Agent::new("a", model(true))),
        ("a tool", agent([Reply::call("hang", json!({}))]).tools([hang()])),
        ("a tool that does not listen", agent([Reply::call("deaf", json!({}))]).tools([deaf()])),
    ];
    for (what, agent) in agents {
        let cancel = Cancel::default();
        let stop = cancel.clone();
        let stopper = thread::spawn(move || {
            thread::sleep(Duration::from_millis(60));
            stop.now();
            Instant::now()
        });
        let ended = agent.task("x").cancel(&cancel).go().unwrap();
        let waited = stopper.join().unwrap().elapsed();
        assert_eq!(ended, Ended::Cancelled, "{what}");
        // 50 ms, and what a machine with other work takes to wake a thread.
        assert!(waited < Duration::from_millis(150), "{what}: {waited:?}");
        println!("stopped while {what} was at it: after {waited:?}");
    }
    let before = heard.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(30));
    assert!(heard.load(Ordering::SeqCst) <= before + 1, "nobody listens, nobody speaks");
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let folder = Folder::new("stopped");
    let path = folder.0.join("run");
    let cancel = Cancel::default();
    let (log, stop) = (Log::default(), cancel.clone());
    let stops = fake("write", Effect::Write, &[], move |_, context| {
        stop.now();
        while !context.cancel.is_set() {
            thread::sleep(Duration::from_millis(1));
        }
        Err(ToolError::Cancelled)
    });
    let first = agent([Reply::call("write", json!({}))]).tools([stops]).grant(Grant::tool("write"));
    assert_eq!(first.task_in(&path, "x").cancel(&cancel).go().unwrap(), Ended::Cancelled);
    // The same call under the same key, without asking the model again.
    let writes = noting("write", Effect::Write, &[], &log, json!("ok"));
    let second = agent([Reply::text("done")]).tools([writes]);
    let (ended, run) = second.task_in(&path, "x").go_to().unwrap();
    assert_eq!(done(&ended), "done");
    let log = log.lock().unwrap();
    assert_eq!((log.len(), run.receipts().len()), (1, 1));
    assert_eq!(log[0].2, run.receipts()[0].key);
    assert!(log[0].2.starts_with(run.id()));
}

#[test]
fn a_tool_that_says_it_was_stopped_though_nobody_stopped_it_has_failed() {
    let odd = |effect| fake("odd", effect, &[], |_, _| Err(ToolError::Cancelled));
    for effect in [Effect::Read, Effect::Write] {
        let replies = [Reply::call("odd", json!({})), Reply::text("so be it")];
        let agent = agent(replies).tools([odd(effect)]).grant(Grant::tool("odd"));
        assert_eq!(done(&agent.task("x").go().unwrap()), "so be it");
    }
}

#[test]
fn nothing_is_begun_when_the_time_is_over() {
    let log = Log::default();
    let budget = Budget { time: Some(Duration::from_millis(30)), ..Budget::default() };
    let slow = fake("slow", Effect::Read, &[], |_, _| {
        thread::sleep(Duration::from_millis(200));
        Ok(json!(1))
    });
    let reply = Reply::call("slow", json!({})).and_call("pay", json!({"to": "bob"}));
    let agent = agent([reply]).tools([slow, pay(&log)]).grant(Grant::tool("pay")).budget(budget);
    assert_eq!(*why(&agent.task("x").go().unwrap()), Stop::Time);
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn a_plan_is_made_done_and_made_anew_where_it_fails() {
    let plan = |steps: &[&str]| Reply::text(json!({ "steps": steps }).to_string());
    let log = Log::default();
    let look = noting("look", Effect::Read, &["word"], &log, json!("found"));
    let silent = || vec![Reply::text(""); 4];
    let script = [
        vec![Reply::text("First I would…"), plan(&["find it", "use it"])],
        vec![Reply::call("look", json!({"word": "it"})), Reply::text("it is here")],
        silent(),
        vec![plan(&["use it otherwise"]), Reply::text("used"), Reply::text("All done.")],
    ];
    let model = Arc::new(ScriptedModel::new(script.concat()));
    let agent = Agent::new("planner", Llm::new(model.clone())).tools([look]).plans();
    let mut plans = Vec::new();
    let ended = agent
        .task("Find and use it.")
        .watch(|happening: &Happening| {
            if let Happening::News(News::Planned(steps)) = happening {
                plans.push(steps.len());
            }
        })
        .go()
        .unwrap();
    assert_eq!(done(&ended), "All done.");
    assert_eq!(plans, [2, 1]);
    let asked = model.asked();
    assert!(matches!(asked[0].format, Format::Schema(_)) && asked[0].tools.is_empty());
    assert!(matches!(asked[2].format, Format::Text) && asked[2].tools.len() == 1);
    let last = |n: usize| match &asked[n].prompt {
        Prompt::Messages(turns) => turns.last().unwrap().text.clone(),
        Prompt::Text(text) => text.clone(),
    };
    assert!(last(4).contains("Result: it is here"), "a step knows what was done: {}", last(4));
    assert!(last(8).contains("Failed: use it"), "{}", last(8));
    // Plans that never work come to an end.
    let hopeless: Vec<Reply> =
        (0..3).flat_map(|_| [vec![plan(&["x"])], silent()].concat()).collect();
    let ended = crate::tools::agent(hopeless).plans().task("x").go().unwrap();
    assert!(matches!(why(&ended), Stop::Plan(_)));
}

#[test]
fn a_friend_answers_and_shares_the_budget() {
    let log = Log::default();
    let look = noting("look", Effect::Read, &["word"], &log, json!("42"));
    let friend = Agent::new(
        "librarian",
        scripted([Reply::call("look", json!({"word": "a"})), Reply::text("it is 42")]),
    )
    .brief("Looks things up.")
    .tools([look]);
    let worker = agent([
        Reply::call("ask_librarian", json!({"question": "what is it?"})),
        Reply::text("42"),
    ])
    .friend(friend.clone());
    let mut heard = Vec::new();
    let watch = |happening: &Happening| {
        if let Happening::News(news) = happening {
            heard.push(news.clone());
        }
    };
    let (ended, run) = worker.task("Ask.").watch(watch).go_to().unwrap();
    assert_eq!(done(&ended), "42");
    assert_eq!((run.spent().steps, run.spent().calls), (4, 1));
    assert!(
        matches!(&heard[..], [News::Phoned { .. }, News::HungUp { answer, .. }] if answer == "it is 42")
    );
    let told = run.messages().into_iter().find(|m| m.text.contains("it is 42")).unwrap();
    assert!(told.text.contains("no instructions"), "{}", told.text);
    // Its key says within which call of whom it was made.
    assert!(log.lock().unwrap()[0].2.starts_with(&format!("{}/1.0/", run.id())));
    let worker = agent([
        Reply::call("ask_librarian", json!({"question": "what is it?"})),
        Reply::text("42"),
    ])
    .friend(Agent::new("librarian", scripted(vec![Reply::call("look", json!({})); 9])))
    .budget(Budget { steps: Some(4), ..Budget::default() });
    assert_eq!(*why(&worker.task("Ask.").go().unwrap()), Stop::Steps);
    // One that asks itself, and so on, is answered in the end.
    let mut narcissus = vec![Reply::call("ask_worker", json!({"question": "me?"})); 6];
    narcissus.extend(vec![Reply::text("me"); 6]);
    assert_eq!(done(&agent(narcissus).phones("worker").task("x").go().unwrap()), "me");
}

#[test]
fn the_baton_goes_on_with_the_transcript_and_not_for_ever() {
    let writer =
        Agent::new("writer", scripted([Reply::text("Thought: mine\nFinal Answer: written")]))
            .brief("You write.")
            .manner(Manner::Text);
    let worker = agent([Reply::call("hand_to_writer", json!({"note": "write it"}))]).heir(writer);
    let (ended, run) = worker.task("A poem.").go_to().unwrap();
    assert_eq!((done(&ended), run.speaker()), ("written", "writer"));
    let texts: Vec<String> = run.messages().into_iter().map(|m| m.text).collect();
    assert!(texts[0].starts_with("You write.") && texts[1] == "A poem.", "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("write it")), "{texts:?}");

    let to = |name: &str| Reply::call(format!("hand_to_{name}"), json!({"note": "yours"}));
    let pong = Agent::new("pong", scripted(vec![to("ping"); 50])).hands_to("ping");
    let ping = Agent::new("ping", scripted(vec![to("pong"); 50])).heir(pong);
    let mut handed = 0;
    let ended = ping
        .task("x")
        .watch(|h: &Happening| {
            handed += usize::from(matches!(h, Happening::News(News::Handed { .. })))
        })
        .go()
        .unwrap();
    assert!(matches!(why(&ended), Stop::Loop(_)), "{ended:?}");
    assert_eq!(handed, 8);
}

#[test]
fn the_same_call_again_and_again_is_told_and_ended() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let same = fake("same", Effect::Read, &[], move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        Ok(json!("as before"))
    });
    let ended =
        agent(vec![Reply::call("same", json!({})); 20]).tools([same]).task("x").go().unwrap();
    assert!(matches!(why(&ended), Stop::Loop(_)));
    assert_eq!(count.load(Ordering::SeqCst), 3);
    // To look until something changes is no circle.
    let n = AtomicUsize::new(0);
    let poll =
        fake("poll", Effect::Read, &[], move |_, _| Ok(json!(n.fetch_add(1, Ordering::SeqCst))));
    let mut replies = vec![Reply::call("poll", json!({})); 10];
    replies.push(Reply::text("ten"));
    assert_eq!(done(&agent(replies).tools([poll]).task("x").go().unwrap()), "ten");
}

/// Takes no grammar, as some who answer over a network do.
struct Plain(ScriptedModel);

impl Chat for Plain {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        if request.format != Format::Text {
            return Err(ChatError::invalid("format", "no grammars here"));
        }
        self.0.start(request, sink)
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.0.count_tokens(request)
    }

    fn models(&self) -> Vec<Model> {
        self.0.models()
    }
}

#[test]
fn text_is_held_to_a_grammar_where_there_can_be_one() {
    let clock = || fake("clock", Effect::Read, &[], |_, _| Ok(json!("noon")));
    let replies = || [Reply::text("Action: clock"), Reply::text("Final Answer: noon")];
    let model = Arc::new(ScriptedModel::new(replies()));
    let held = Agent::new("a", Llm::new(model.clone())).manner(Manner::Text).tools([clock()]);
    assert_eq!(done(&held.task("x").go().unwrap()), "noon");
    assert!(model.asked().iter().all(|request| matches!(request.format, Format::Lark(_))));
    let plain = Llm::new(Arc::new(Plain(ScriptedModel::new(replies()))));
    let (ended, run) =
        Agent::new("a", plain).manner(Manner::Text).tools([clock()]).task("x").go_to().unwrap();
    assert_eq!((done(&ended), run.cast()[0].constrained), ("noon", false));
}

#[test]
fn those_that_read_are_done_at_the_same_time() {
    let slow = |name: &str| {
        fake(name, Effect::Read, &[], |_, _| {
            thread::sleep(Duration::from_millis(150));
            Ok(json!(1))
        })
    };
    let both = Reply::call("a", json!({})).and_call("b", json!({})).and_call("c", json!({}));
    let agent = agent([both, Reply::text("ok")]).tools([slow("a"), slow("b"), slow("c")]);
    let start = Instant::now();
    assert_eq!(done(&agent.task("x").go().unwrap()), "ok");
    assert!(start.elapsed() < Duration::from_millis(400), "{:?}", start.elapsed());
}

#[test]
fn what_happens_can_be_iterated_and_left() {
    let clock = fake("clock", Effect::Read, &[], |_, _| Ok(json!("noon")));
    let worker =
        agent([Reply::call("clock", json!({})), Reply::text("It is noon.")]).tools([clock]);
    let mut seen = Vec::new();
    for event in worker.task("x").events() {
        seen.push(event.unwrap());
    }
    let pieces: String = seen
        .iter()
        .filter_map(|happening| match happening {
            Happening::Piece(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, "It is noon.");
    assert!(seen.iter().any(|s| matches!(s, Happening::Observed { .. })));
    assert!(matches!(seen.last(), Some(Happening::Ended(Ended::Done { .. }))));
    let heard = Arc::new(AtomicUsize::new(0));
    let endless = Llm::new(Arc::new(Endless { blocks: false, heard: heard.clone() }));
    let mut events = Agent::new("a", endless).task("x").events();
    events.next();
    drop(events);
    thread::sleep(Duration::from_millis(100));
    let before = heard.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(50));
    assert_eq!(heard.load(Ordering::SeqCst), before, "who leaves stops it");
}

#[test]
fn an_agent_that_is_not_whole_or_not_the_runs_does_nothing() {
    let log = Log::default();
    let wrong = |agent: Agent| assert!(matches!(agent.task("x").go(), Err(Error::Role { .. })));
    wrong(agent([]).phones("nobody"));
    wrong(Agent::new("two words", scripted([])));
    wrong(agent([]).tools([pay(&log), pay(&log)]));
    wrong(agent([]).friend(agent([])));
    wrong(agent([]).tools([fake("ask_me", Effect::Read, &[], |_, _| Ok(json!(1)))]));
    // A tool that only read when its calls were judged.
    let harmless = noting("pay", Effect::Read, &["to"], &log, json!("x"));
    let run = agent([]).tools([harmless]).start("x");
    let now = agent([Reply::call("pay", json!({"to": "bob"}))]).tools([pay(&log)]);
    assert!(matches!(now.go_on(run).go(), Err(Error::Role { .. })));
    assert!(log.lock().unwrap().is_empty());
    // One that is not here any more is an observation.
    let run = agent([]).tools([noting("gone", Effect::Read, &[], &log, json!("x"))]).start("x");
    let now = agent([Reply::call("gone", json!({})), Reply::text("then not")]);
    assert_eq!(done(&now.go_on(run).go().unwrap()), "then not");
}

#[test]
fn a_run_is_a_value_and_another_version_is_refused_by_name() {
    let run = agent([]).tools([pay(&Log::default())]).start("x");
    let text = serde_json::to_string(&run).unwrap();
    assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    for version in ["0", "2"] {
        let other = text.replacen("{\"version\":1", &format!("{{\"version\":{version}"), 1);
        let said = serde_json::from_str::<Run>(&other).unwrap_err().to_string();
        assert!(
            said.contains(&format!("version {version}; this program reads version 1")),
            "{said}"
        );
    }
}

#[test]
fn a_busy_model_is_asked_again_and_one_that_is_away_leaves_the_run_whole() {
    let folder = Folder::new("away");
    let path = folder.0.join("run");
    let n = Mutex::new(0);
    let busy = ScriptedModel::by(move |_| {
        let mut n = n.lock().unwrap();
        *n += 1;
        match *n {
            1 | 2 => Err(ChatError::Busy { limit: "x".into(), value: 1, retry_after_s: 0 }),
            3 => Ok(Reply::text("at last")),
            _ => Err(ChatError::Unreachable("gone".into())),
        }
    });
    assert_eq!(
        done(&Agent::new("worker", Llm::new(Arc::new(busy))).task("x").go().unwrap()),
        "at last"
    );
    let away = ScriptedModel::by(|_| Err(ChatError::Unreachable("gone".into())));
    let away = Agent::new("worker", Llm::new(Arc::new(away))).brief("You work.");
    assert!(matches!(away.task_in(&path, "x").go(), Err(Error::Chat(_))));
    // The file is another task's: neither is done in place of the other.
    let other = agent([Reply::text("there")]).task_in(&path, "y").go();
    assert!(matches!(&other, Err(Error::OtherTask { begun, .. }) if begun == "x"), "{other:?}");
    assert_eq!(done(&agent([Reply::text("here")]).task_in(&path, "x").go().unwrap()), "here");
}
