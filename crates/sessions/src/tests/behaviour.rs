//! What sessions promise, each promise by itself.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ondine_chat::{
    Answer, Chat, ChatError, Event, FinishReason, Message, Model, NewSession, Overflow, Prompt,
    Request, Script, Sessions, Sink, Tool, ToolCall, Usage,
};

use crate::storage::Storage;
use crate::storage::simulated::{Chance, Simulated};
use crate::{Archive, Limits, SessionsError};

const APP: &str = "notes";

fn over(disk: &Arc<Simulated>, chat: Arc<dyn Chat>, limits: Limits) -> Archive {
    Archive::over(disk.clone(), Path::new("sessions"), chat, limits).unwrap()
}

fn archive(chat: Arc<dyn Chat>) -> Archive {
    over(&Arc::new(Simulated::new()), chat, Limits::default())
}

fn request(text: &str) -> Request {
    let messages = (!text.is_empty()).then(|| Message::user(text));
    let mut request = Request::new("", messages);
    request.app = APP.into();
    request
}

fn say(archive: &Archive, id: &str, text: &str) -> Result<Answer, ChatError> {
    Answer::collect(|sink| archive.say(id, request(text), sink))
}

fn new(archive: &Archive) -> String {
    archive.create(APP, NewSession::default()).unwrap().0.id
}

fn said(archive: &Archive, id: &str) -> Vec<Message> {
    archive.read(APP, id).unwrap().1
}

/// Keeps the sinks that it was given, for the test to say something.
#[derive(Default)]
struct Held(Mutex<Vec<Sink>>);

impl Held {
    fn sink(&self) -> Sink {
        self.0.lock().unwrap().remove(0)
    }
}

impl Chat for Held {
    fn start(&self, _: Request, sink: Sink) -> Result<(), ChatError> {
        self.0.lock().unwrap().push(sink);
        Ok(())
    }
    fn count_tokens(&self, _: &Request) -> Result<usize, ChatError> {
        Ok(1)
    }
    fn models(&self) -> Vec<Model> {
        vec![Model { context: 100, chats: true, ..Model::default() }]
    }
}

fn text(text: &str) -> Event {
    Event::Text { text: text.into(), logprobs: Vec::new() }
}

fn end() -> Event {
    Event::Finished { reason: FinishReason::Stop, usage: Usage::default() }
}

#[test]
fn the_model_is_asked_all_that_was_said_as_the_session_wants_it() {
    let model = Arc::new(Script::new(["hi", " there"]));
    let archive = archive(model.clone());
    let (info, _) = archive
        .create(
            APP,
            NewSession {
                model: "script".into(),
                overflow: Overflow::Anchored,
                messages: vec![Message::system("be brief")],
                ..NewSession::default()
            },
        )
        .unwrap();
    say(&archive, &info.id, "one").unwrap();
    let mut second = request("two");
    second.overflow = Overflow::Stop;
    Answer::collect(|sink| archive.say(&info.id, second, sink)).unwrap();
    let asked = model.asked();
    let turns = [
        Message::system("be brief"),
        Message::user("one"),
        Message::assistant("hi there"),
        Message::user("two"),
    ];
    assert_eq!(asked[0].prompt, Prompt::Messages(turns[..2].to_vec()));
    assert_eq!(asked[1].prompt, Prompt::Messages(turns.to_vec()));
    assert_eq!((&asked[1].model[..], &asked[1].app[..]), ("script", APP));
    assert_eq!(asked[1].session.as_ref(), Some(&info.id));
    assert_eq!((asked[0].overflow, asked[1].overflow), (Overflow::Anchored, Overflow::Stop));
    assert_eq!(
        archive.count_tokens(APP, &info.id, vec![Message::user("x")]),
        Ok(2 + 1 + 2 + 1 + 2 + 1)
    );
    let info = archive.info(APP, &info.id).unwrap();
    assert_eq!((info.messages, said(&archive, &info.id).len()), (5, 5));
}

#[test]
fn calls_are_kept_with_the_answer() {
    let call =
        ToolCall { id: "1".into(), name: "now".into(), arguments: serde_json::json!({"a": 1}) };
    let archive = archive(Arc::new(Script::new(["well"]).calling([call.clone()])));
    let id = new(&archive);
    let mut asked = request("what time is it");
    let (description, parameters) = (String::new(), serde_json::json!({}));
    asked.tools.push(Tool { name: "now".into(), description, parameters });
    let answer = Answer::collect(|sink| archive.say(&id, asked, sink)).unwrap();
    assert_eq!(answer.calls, [call]);
    assert_eq!(said(&archive, &id)[1], answer.message());
}

#[test]
fn one_answer_at_a_time() {
    let model = Arc::new(Held::default());
    let archive = archive(model.clone());
    let (id, other) = (new(&archive), new(&archive));
    archive.say(&id, request("one"), Box::new(|_| true)).unwrap();
    let refused = say(&archive, &id, "two").unwrap_err();
    assert!(matches!(refused, ChatError::Conflict(_)), "{refused:?}");
    let more = vec![Message::user("three")];
    let append = |id| archive.append(APP, id, more.clone(), None).is_ok();
    assert!(!append(&id) && append(&other), "another session is free");
    assert!(archive.delete(APP, &id).is_err());
    assert_eq!(said(&archive, &id), [Message::user("one")], "reading is always possible");

    let (sender, told) = std::sync::mpsc::channel();
    let mut sink = model.sink();
    assert!(sink(text("yes")) && !sink(end()));
    // The end is told to the client when the session is free, not before.
    archive.append(APP, &other, Vec::new(), None).unwrap();
    while archive
        .say(&id, request("four"), {
            let sender = sender.clone();
            Box::new(move |event| sender.send(event).is_ok())
        })
        .is_err()
    {}
    let mut sink = model.sink();
    sink(text("so"));
    sink(end());
    assert_eq!(told.iter().take(2).collect::<Vec<_>>(), [text("so"), end()]);
    let words: Vec<String> = said(&archive, &id).into_iter().map(|message| message.text).collect();
    assert_eq!(words, ["one", "yes", "four", "so"]);
}

#[test]
fn of_an_answer_without_an_end_nothing_is_kept_and_it_can_be_asked_for_again() {
    let model = Arc::new(Held::default());
    let archive = archive(model.clone());
    let id = new(&archive);
    type Ending = fn(Sink);
    let endings: [(&str, Ending); 3] = [
        ("the client goes away", |mut sink| assert!(!sink(text("so much")) && !sink(end()))),
        ("the model fails", |mut sink| {
            sink(Event::Failed(ChatError::Internal("broken".into())));
        }),
        ("the model lets go", drop),
    ];
    for (number, (why, ending)) in endings.into_iter().enumerate() {
        let one = if number == 0 { "one" } else { "" };
        archive.say(&id, request(one), Box::new(|_| false)).unwrap();
        ending(model.sink());
        assert_eq!(said(&archive, &id), [Message::user("one")], "{why}");
    }
    archive.append(APP, &id, vec![Message::user("free again")], Some(1)).unwrap();
}

#[test]
fn what_the_model_refuses_was_never_said() {
    let model = Arc::new(Script::new(["yes"]));
    let archive = archive(model.clone());
    let id = new(&archive);
    say(&archive, &id, "one").unwrap();
    let busy = ChatError::Busy { limit: "queue".into(), value: 1, retry_after_s: 1 };
    model.refuse_next(busy.clone());
    assert_eq!(say(&archive, &id, "two"), Err(busy));
    assert_eq!(said(&archive, &id).len(), 2);
    say(&archive, &id, "two").unwrap();
    assert_eq!(said(&archive, &id).len(), 4);
    let empty = new(&archive);
    assert!(matches!(say(&archive, &empty, ""), Err(ChatError::Invalid { part: "messages", .. })));
    let mut text = Request::text("", "no conversation");
    text.app = APP.into();
    let refused = Answer::collect(|sink| archive.say(&id, text, sink));
    assert!(matches!(refused, Err(ChatError::Invalid { part: "prompt", .. })));
}

#[test]
fn names_are_unique_in_an_app_and_apps_are_alone() {
    let archive = archive(Arc::new(Script::new(["yes"])));
    let named = || NewSession { name: Some("diary".into()), ..NewSession::default() };
    let (first, made) = archive.create(APP, named()).unwrap();
    assert!(made);
    let begun = NewSession { messages: vec![Message::user("x")], ..named() };
    assert_eq!(archive.create(APP, begun).unwrap(), (first.clone(), false), "as it is");
    let (other, made) = archive.create("../notes", named()).unwrap();
    assert!(made && other.id != first.id);
    let unknown = Err(ChatError::NoSession { id: first.id.clone() });
    assert_eq!(archive.info("../notes", &first.id), unknown);
    assert_eq!(archive.fork("../notes", &first.id, None), unknown);
    assert_eq!(archive.append("../notes", &first.id, Vec::new(), None), unknown);
    for id in ["", "..", "../../x", "sess_0", &"x".repeat(10_000)] {
        assert!(matches!(archive.read(APP, id), Err(ChatError::NoSession { .. })), "{id}");
    }
    assert_eq!(archive.list(APP).unwrap(), [first]);
}

#[test]
fn each_limit_holds_at_its_value_and_not_one_above() {
    let limits = Limits { sessions: 2, messages: 3, session_bytes: 1000 };
    let archive = over(&Arc::new(Simulated::new()), Arc::new(Script::new(["yes"])), limits);
    let (id, full) = (new(&archive), new(&archive));
    let more = archive.create(APP, NewSession::default());
    assert!(matches!(more, Err(ChatError::Conflict(_))), "{more:?}");
    assert!(archive.fork(APP, &id, None).is_err());
    archive.delete(APP, &full).unwrap();
    let messages = |n| vec![Message::user("x"); n];
    let full = archive.fork(APP, &id, None).unwrap().id;

    assert!(archive.append(APP, &id, messages(4), None).is_err());
    archive.append(APP, &id, messages(2), None).unwrap();
    assert!(say(&archive, &id, "and the answer is a message too").is_err());
    say(&archive, &id, "").unwrap();
    assert!(archive.append(APP, &id, messages(1), None).is_err());
    assert_eq!(said(&archive, &id).len(), 3);

    archive.append(APP, &full, vec![Message::user("x".repeat(1000))], None).unwrap();
    let refused = archive.append(APP, &full, messages(1), None);
    assert!(matches!(refused, Err(ChatError::Conflict(_))), "{refused:?}");
    say(&archive, &full, "").expect("what was said before is answered");

    for (name, model) in [("", ""), ("a\nb", ""), ("a", &*"m".repeat(257))] {
        let new =
            NewSession { name: Some(name.into()), model: model.into(), ..NewSession::default() };
        assert!(matches!(archive.create("other", new), Err(ChatError::Invalid { .. })), "{name:?}");
    }
    let again = archive.append(APP, &id, Vec::new(), Some(2));
    assert!(matches!(again, Err(ChatError::Conflict(_))), "{again:?}");
    let much = archive.fork(APP, &id, Some(4));
    assert!(matches!(much, Err(ChatError::Invalid { .. })), "{much:?}");
}

/// The log of a session.
fn log(disk: &Simulated, id: &str) -> PathBuf {
    let files = disk.files();
    files.keys().find(|path| path.to_str().unwrap().contains(id)).unwrap().clone()
}

#[test]
fn a_damaged_session_is_set_aside_and_told_of_and_the_others_are_as_they_were() {
    let disk = Arc::new(Simulated::new());
    let open = || over(&disk, Arc::new(Script::new(["yes"])), Limits::default());
    let first = open();
    let (bad, good) = (new(&first), new(&first));
    for id in [&bad, &good] {
        say(&first, id, "one").unwrap();
        say(&first, id, "two").unwrap();
    }
    let path = log(&disk, &bad);
    let mut bytes = disk.files()[&path].clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    disk.put(&path, bytes.clone());
    let live = first.read(APP, &bad).unwrap_err();
    assert!(matches!(&live, ChatError::Disk(what) if what.contains("damaged")), "{live:?}");
    drop(first);
    for _ in 0..2 {
        let archive = open();
        let refused = archive.read(APP, &bad).unwrap_err().to_string();
        assert!(refused.contains(".damaged: the session is damaged"), "{refused}");
        assert!(say(&archive, &bad, "three").is_err());
        let ids: Vec<String> = archive.list(APP).unwrap().into_iter().map(|info| info.id).collect();
        assert_eq!(ids, [good.as_str()]);
        assert_eq!(said(&archive, &good).len(), 4);
    }
    let aside = log(&disk, &bad);
    assert_eq!(disk.files()[&aside], bytes, "as it was");
    let archive = open();
    archive.delete(APP, &bad).unwrap();
    assert!(!disk.files().contains_key(&aside));
    assert!(matches!(archive.read(APP, &bad), Err(ChatError::NoSession { .. })));
}

#[test]
fn whatever_becomes_of_a_log_it_is_a_beginning_of_what_was_said_or_an_error() {
    let disk = Arc::new(Simulated::new());
    let open = || over(&disk, Arc::new(Script::new(["yes"])), Limits::default());
    let first = open();
    let id = new(&first);
    for number in 0..5 {
        say(&first, &id, &format!("message {number}")).unwrap();
    }
    let (whole, path) = (said(&first, &id), log(&disk, &id));
    drop(first);
    let (good, mut chance) = (disk.files()[&path].clone(), Chance(3));
    let (mut read, mut refused) = (0, 0);
    for _ in 0..1000 {
        let mut bytes = good.clone();
        let (a, b) = (chance.below(bytes.len()), chance.below(bytes.len()));
        let (from, to) = (a.min(b), a.max(b));
        match chance.below(5) {
            0 => bytes.truncate(a),
            1 => drop(bytes.drain(from..to)),
            2 => bytes[from..to].fill(chance.below(256) as u8),
            3 => bytes.extend_from_slice(&good[from..to]),
            _ => bytes[from..to].reverse(),
        }
        disk.put(&path, bytes);
        let archive = open();
        match archive.read(APP, &id) {
            Ok((_, messages)) => {
                assert!(whole.starts_with(&messages), "{messages:?}");
                archive.append(APP, &id, vec![Message::user("more")], None).unwrap();
                read += 1;
            }
            Err(ChatError::Disk(_)) => {
                refused += 1;
                drop(archive);
                // As if nothing had been: the next one begins with a log in its place.
                let aside = log(&disk, &id);
                disk.rename(&aside, &path).unwrap();
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(read > 100 && refused > 500, "{read} {refused}");
}

#[test]
fn a_log_of_a_later_version_is_left_where_it_is() {
    let disk = Arc::new(Simulated::new());
    let model = Arc::new(Script::new(["yes"]));
    let first = over(&disk, model.clone(), Limits::default());
    let (id, good) = (new(&first), new(&first));
    let path = log(&disk, &id);
    let mut bytes = disk.files()[&path].clone();
    bytes[8] = 9;
    disk.put(&path, bytes);
    let archive = over(&disk, model, Limits::default());
    for _ in 0..2 {
        let refused = archive.read(APP, &id).unwrap_err().to_string();
        assert!(refused.contains("version 9 of the format; this program reads 1"), "{refused}");
        assert_eq!(archive.list(APP).unwrap().len(), 1);
    }
    let named = NewSession { name: Some("x".into()), ..NewSession::default() };
    assert!(archive.create(APP, named).unwrap().1, "and nothing else suffers by it");
    assert!(disk.files().contains_key(&path));
    archive.delete(APP, &id).unwrap();
    assert!(!disk.files().contains_key(&path));
    assert_eq!(said(&archive, &good), []);
}

#[test]
fn a_summary_is_written_once_and_remembered_and_the_originals_stay() {
    let disk = Arc::new(Simulated::new());
    let model = Arc::new(Script::new(["said "]));
    let small = || Arc::new(Small(model.clone(), 60));
    let archive = over(&disk, small(), Limits::default());
    let mut turns = vec![Message::system("be brief")];
    for number in 0..6 {
        turns.push(Message::user(format!("question {number} a b c d e")));
        turns.push(Message::assistant("yes"));
    }
    let new = NewSession {
        overflow: Overflow::Summarize,
        messages: turns.clone(),
        ..NewSession::default()
    };
    let (info, _) = archive.create(APP, new).unwrap();
    let dropped = |archive: &Archive, id: &str| {
        let before = model.asked().len();
        let mut asked = request("and now");
        asked.max_tokens = Some(10);
        let answer = Answer::collect(|sink| archive.say(id, asked, sink)).unwrap();
        (answer.usage.dropped_tokens, model.asked().len() - before)
    };
    let (first, asked) = dropped(&archive, &info.id);
    assert!(first > 20 && asked > 1, "{first} {asked}");
    assert_eq!(dropped(&archive, &info.id), (first, 1));
    assert_eq!(said(&archive, &info.id)[..13], turns, "all of them");
    drop(archive);

    let archive = over(&disk, small(), Limits::default());
    assert_eq!(dropped(&archive, &info.id), (first, 1), "from the disk");
    let fork = archive.fork(APP, &info.id, Some(15)).unwrap();
    assert_eq!(dropped(&archive, &fork.id), (first, 1), "a fork has it too");
    let short = archive.fork(APP, &info.id, Some(3)).unwrap();
    assert_eq!(dropped(&archive, &short.id), (0, 1), "and one from before it does not need it");
}

/// A model with few positions.
struct Small(Arc<Script>, usize);

impl Chat for Small {
    fn start(&self, request: Request, sink: Sink) -> Result<(), ChatError> {
        let prompt_tokens = self.0.count_tokens(&request)?;
        let (wanted, context) = (request.max_tokens.unwrap_or(1), self.1);
        if prompt_tokens + wanted > context {
            return Err(ChatError::Context { prompt_tokens, wanted, context });
        }
        self.0.start(request, sink)
    }
    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        self.0.count_tokens(request)
    }
    fn models(&self) -> Vec<Model> {
        let models = self.0.models().into_iter();
        models.map(|model| Model { context: self.1, ..model }).collect()
    }
}

/// A folder of the real file system, which goes with the test.
struct Real(PathBuf);

impl Real {
    fn new(name: &str) -> Real {
        let name = format!("ondine-sessions-{name}-{}", std::process::id());
        Real(std::env::temp_dir().join(name))
    }

    fn open(&self) -> Result<Archive, SessionsError> {
        let model = Arc::new(Script::new(["yes"]));
        Archive::open(&self.0.join("home/sessions"), model, Limits::default())
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn on_the_real_disk_a_torn_tail_is_cut_and_everything_is_its_owners_alone() {
    let real = Real::new("disk");
    let archive = real.open().unwrap();
    assert!(matches!(real.open(), Err(SessionsError::InUse { .. })));
    let id = new(&archive);
    say(&archive, &id, "one").unwrap();
    drop(archive);

    let folders = std::fs::read_dir(real.0.join("home/sessions")).unwrap();
    let folder = folders.map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let path = folder.join(format!("{id}.log"));
    #[cfg(unix)]
    for (path, mode) in [(&folder, 0o700), (&path, 0o600), (&real.0.join("home/sessions"), 0o700)] {
        use std::os::unix::fs::PermissionsExt;
        let own = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(own, mode, "{}", path.display());
    }
    let whole = std::fs::read(&path).unwrap();
    let torn = [&whole[..], &whole[16..40], &[0; 100]].concat();
    std::fs::write(&path, torn).unwrap();
    std::fs::write(folder.join(format!("{id}.new")), "half").unwrap();
    std::fs::write(folder.join("notes.txt"), "not ours").unwrap();
    let archive = real.open().unwrap();
    let damaged = archive.read(APP, &id);
    assert!(damaged.is_err(), "the head once more is no torn write: {damaged:?}");
    drop(archive);

    std::fs::write(&path, [&whole[..], &[7, 0, 0]].concat()).unwrap();
    let archive = real.open().unwrap();
    assert_eq!(said(&archive, &id).len(), 2);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    say(&archive, &id, "two").unwrap();
    assert_eq!(said(&archive, &id).len(), 4);
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    let expected = [format!("{id}.damaged"), format!("{id}.log")];
    assert_eq!(names, ["notes.txt", &expected[0], &expected[1]]);
    archive.delete(APP, &id).unwrap();
    assert!(!path.exists());
}
