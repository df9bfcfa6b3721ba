//! `ondine serve`: one model for all apps of a device, over HTTP.
//!
//! It opens a door on this machine, loads what is named, says so in one line, and ends politely. Which
//! models there are is the shelves' affair, who is answered and when is the runtime's, how they ask is
//! the server's.

mod kept;

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

use ondine_chat::{Chat, ChatError};
use ondine_engine::KvType;
use ondine_runtime::{Limits, Runtime};
use ondine_server::{Address, Door, Hosts, Log, Reach, ServeError, Server, Stop};
use ondine_sessions::Summarizing;
use ondine_spill::Folder;
use ondine_tensor::Isa;
use serde_json::json;

use crate::apps::{self, Listed};
use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::offered::{Desk, Extras};
use crate::output::{self, Answer};
use crate::shelf::Stored;
use crate::shelves::Shelves;
use crate::{identity, memory, model, progress, store};

/// How often an interrupt is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is written down what apps have had; a crash forgets no more than this.
const SAVE: Duration = Duration::from_secs(5);

/// The app that there is from the first start on.
const FIRST_APP: &str = "default";

/// Keys and values of conversations, inside the home folder.
const SPILLED: &str = "kv";

/// Serves until it is interrupted.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let listen = arguments.text("listen").unwrap_or_default();
    let address: Address = listen.parse().map_err(|_| {
        Failure::usage(format!("--listen {listen:?} is no address, such as 127.0.0.1:11435"))
    })?;
    let reach = reach(arguments)?;
    let encrypted = matches!(reach, Reach::Encrypted(_));
    if encrypted && !address.ip().is_loopback() && apps::all()?.is_empty() {
        let message =
            format!("{address} can be reached from other machines, and no app has a token");
        return Err(Failure::new(message).hint("`ondine app add NAME` makes one, and prints it"));
    }
    // The door first: whoever finds it taken has not waited for a model.
    let door = Door::open(address, reach).map_err(refused)?;
    let hosts = hosts(arguments, address)?;
    let watch = Watch::new();
    let (lines, written) = Lines::new();
    let log: Arc<dyn Log> = Arc::new(lines);
    let spilled = spilled().inspect_err(|error| {
        // Then conversations are computed again after a restart: slower, and the same.
        output::note(format_args!("conversations stay in memory alone: {error}"));
    });
    let (runtime, shelves) = models(arguments, Arc::clone(&log), spilled.ok(), || watch.check())?;
    if apps::all()?.is_empty() {
        let token = apps::add(FIRST_APP, false, None)?;
        output::note(format_args!(
            "nobody may ask yet, so there is an app {FIRST_APP:?} now; its token, which is shown this \
             once: {token}\nfor a browser: {}://{}/#token={token}",
            if encrypted { "https" } else { "http" },
            door.address()
        ));
    }
    let runtime = Arc::new(runtime);
    let listed = Arc::new(Listed::open()?);
    let chat = Arc::new(Summarizing::new(runtime.clone()));
    let mut server = Server::new(chat, runtime.clone(), listed.clone());
    server.sessions = Some(kept::open(runtime.clone())?);
    server.keeper = Some(runtime.clone());
    server.shelf = Some(Arc::new(Stored::open()?));
    let desk = Desk::new(Extras::of(arguments)?).map_err(|error| Failure::from_error(&error))?;
    server.guest = Some(Arc::new(desk));
    server.hosts = hosts;
    server.log = log;
    // Whoever holds one of these holds the log, whose end is waited for below.
    drop((runtime, shelves));

    let mut answer = Answer::new();
    let listen = door.address().to_string();
    let mut ready = json!({ "ready": true, "listen": listen });
    if encrypted {
        ready["tls"] = true.into();
    }
    answer.row(ready)?;
    answer.done()?;

    let stop = Stop::new();
    let drained = std::thread::scope(|scope| {
        let serving = scope.spawn(|| server.serve(door, &stop));
        let mut saved = Instant::now();
        while !serving.is_finished() {
            if watch.interrupted() {
                stop.now();
            }
            if saved.elapsed() >= SAVE {
                // Tried again next time; quotas hold as long as the service runs in any case.
                let _ = listed.save();
                saved = Instant::now();
            }
            std::thread::sleep(LOOK);
        }
        serving.join()
    });
    let drained = drained.map_err(|_| Failure::new("the server broke; this is a bug"))?;
    let drained = drained.map_err(refused)?;
    // The server is gone, and its log with it, but for what is still on the way.
    let _ = written.recv_timeout(LAST_LINES);
    listed.save()?;
    if drained.cut_off > 0 {
        output::note(format_args!("{} answers took too long and were cut off", drained.cut_off));
    }
    Ok(())
}

/// Whatever may be asked: what `--model` names is loaded, the rest is found when somebody asks for it.
/// `check` may end the loading.
pub(crate) fn models(
    arguments: &Arguments<'_>,
    log: Arc<dyn Log>,
    spilled: Option<Folder>,
    check: impl Fn() -> Result<(), Failure>,
) -> Result<(Runtime, Arc<Shelves>), Failure> {
    let (names, only) = (arguments.texts("model"), arguments.on("only"));
    if only && names.is_empty() {
        return Err(Failure::usage("--only serves what --model names; name a model"));
    }
    let machine = (arguments.threads(), arguments.isa());
    let shelves = Arc::new(Shelves::new(&names, only, machine, log)?);
    let mut runtime = Runtime::with_loader(limits(arguments)?, shelves.clone());
    if let Some(folder) = spilled {
        runtime.spill_to(Arc::new(folder));
    }
    if shelves.has_droplet() {
        let added = add_droplet(&mut runtime, machine);
        // Beside models that were named it is a present, and no present is worth an error.
        if names.is_empty() || shelves.named().any(|name| name == model::DROPLET) {
            added?;
        }
    }
    for name in shelves.named() {
        let held = progress::during("loading the model", || runtime.hold(name));
        held.map_err(|error| short_of_memory(error).at(name))?;
        check()?;
    }
    Ok((runtime, shelves))
}

/// The names that the service answers to.
fn hosts(arguments: &Arguments<'_>, address: Address) -> Result<Hosts, Failure> {
    let mut hosts = Hosts::default();
    for name in arguments.texts("host") {
        hosts.allow(&name).map_err(|error| Failure::usage(format!("--host: {error}")))?;
    }
    if hosts.listening(address) || address.ip().is_loopback() {
        return Ok(hosts);
    }
    // Any name would do for a page of a stranger, whose name server says that it means us.
    Err(Failure::usage(format!("{address} is every address of this machine, and has no name"))
        .hint("--host NAME says what others call this machine; or listen on one of its addresses"))
}

/// Who can reach the service, and how they are spoken to.
fn reach(arguments: &Arguments<'_>) -> Result<Reach, Failure> {
    match (arguments.path("tls-cert"), arguments.path("tls-key")) {
        (None, None) => Ok(Reach::ThisMachine),
        (Some(certificates), Some(key)) => Ok(Reach::Encrypted(identity::read(certificates, key)?)),
        _ => Err(Failure::usage("--tls-cert and --tls-key go together")),
    }
}

fn refused(error: ServeError) -> Failure {
    let hint = match &error {
        ServeError::OpenToNetwork(_) => {
            Some("--tls-cert FILE and --tls-key FILE name them; or listen on 127.0.0.1")
        }
        ServeError::Listen { .. } => Some("--listen takes another address; port 0 is any free one"),
        _ => None,
    };
    let failure = Failure::new(error.to_string());
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn limits(arguments: &Arguments<'_>) -> Result<Limits, Failure> {
    let budget = match arguments.count("memory") {
        Some(bytes) => bytes as u64,
        // Of what is free a quarter stays for others.
        None => memory::available().map_or(u64::MAX, |free| free / 4 * 3),
    };
    let keep = arguments.text("keep-alive").unwrap_or_default();
    let keep = keep
        .parse()
        .map_err(|error| Failure::usage(format!("--keep-alive {keep:?} is no time: {error}")))?;
    Ok(Limits { memory: budget, keep, ..Limits::default() })
}

/// Where keys and values of conversations go that leave memory.
pub(crate) fn spilled() -> Result<Folder, Box<dyn Error>> {
    let home = store::home().map_err(|_| "there is no home folder")?;
    Ok(Folder::open(&home.join(SPILLED), ondine_spill::Limits::default())?)
}

/// Takes away what was kept for an app.
pub(crate) fn forget(app: &str) -> Result<(), Failure> {
    kept::forget(app)?;
    let folder = store::home()?.join(SPILLED);
    if folder.is_dir() {
        let folder = Folder::open(&folder, ondine_spill::Limits::default());
        folder.map_err(|error| Failure::from_error(&error))?.forget_app(app);
    }
    Ok(())
}

/// droplet answers conversations with calls of device functions, and is there as long as the service.
fn add_droplet(runtime: &mut Runtime, (threads, isa): (usize, Isa)) -> Result<(), Failure> {
    let file = ondine_droplet::file()?;
    let droplet = ondine_droplet::open(threads, isa)?;
    let about = droplet.models().pop().unwrap_or_default();
    let plan = ondine_model::plan(&file, about.context, KvType::default());
    let memory = plan.map_err(|error| Failure::from_error(&error))?.total();
    let memory = memory.map_or(u64::MAX, |bytes| bytes as u64);
    runtime.add_chat(about, memory, Arc::new(droplet)).map_err(short_of_memory)
}

fn short_of_memory(error: ChatError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        ChatError::Memory { .. } => failure.hint("--memory takes more bytes, where there are"),
        _ => failure,
    }
}

/// Lines of the log that may wait for whoever reads them.
const LINES: usize = 1024;
/// How long the last of them are waited for.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Log lines, to standard error. Whoever reads them slowly, or not at all, does not keep the service: a
/// thread writes, and lines that find no room are counted instead.
struct Lines {
    room: SyncSender<String>,
    lost: AtomicU64,
}

impl Lines {
    /// The log, and what says that its last line is written.
    fn new() -> (Lines, Receiver<()>) {
        let (room, lines) = mpsc::sync_channel::<String>(LINES);
        let (last, written) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines {
                // Nobody can be told that the log cannot be written.
                let _ = writeln!(io::stderr().lock(), "{line}");
            }
            let _ = last.send(());
        });
        (Lines { room, lost: AtomicU64::new(0) }, written)
    }
}

impl Log for Lines {
    fn line(&self, line: &str) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let told = json!({ "event": "log", "lost_lines": lost }).to_string();
            if self.room.try_send(told).is_err() {
                self.lost.fetch_add(lost + 1, Ordering::Relaxed);
                return;
            }
        }
        if self.room.try_send(line.to_owned()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}
