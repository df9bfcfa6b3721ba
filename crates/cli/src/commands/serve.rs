//! `ondine serve`: one model for all apps of a device, over HTTP.
//!
//! It loads what is named, opens a door on this machine, says so in one line, and ends politely. Who is
//! answered and when is the runtime's affair, how they ask is the server's.

mod kept;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ondine_chat::{ChatError, Model};
use ondine_engine::{Embedder, Engine, EngineError, EngineOptions};
use ondine_model::ModelError;
use ondine_runtime::{Limits, Runtime};
use ondine_server::{Address, Door, Hosts, Log, Reach, ServeError, Server, Stop};
use ondine_sessions::Summarizing;
use ondine_spill::Folder;
use serde_json::json;

use crate::apps::{self, Listed};
use crate::commands::inspect;
use crate::failure::Failure;
use crate::fingerprint::Seen;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::model::{self, Opened};
use crate::output::{self, Answer};
use crate::shelf::Stored;
use crate::{fingerprint, identity, memory, progress, store};

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
    let mut runtime = Runtime::new(limits(arguments));
    match spilled() {
        Ok(folder) => runtime.spill_to(Arc::new(folder)),
        // Then conversations are computed again after a restart: slower, and the same.
        Err(error) => output::note(format_args!("conversations stay in memory alone: {error}")),
    }
    let mut names = arguments.texts("model");
    if names.is_empty() {
        names.push(model::DROPLET.to_owned());
    }
    for name in &names {
        add(&mut runtime, arguments, Path::new(name))?;
        watch.check()?;
    }
    if apps::all()?.is_empty() {
        let token = apps::add(FIRST_APP, false, None)?;
        output::note(format_args!(
            "nobody may ask yet, so there is an app {FIRST_APP:?} now; its token, which is shown this \
             once: {token}"
        ));
    }
    let runtime = Arc::new(runtime);
    let listed = Arc::new(Listed::open()?);
    let chat = Arc::new(Summarizing::new(runtime.clone()));
    let mut server = Server::new(chat, runtime.clone(), listed.clone());
    server.sessions = Some(kept::open(runtime.clone())?);
    server.hosts = hosts;
    let (lines, written) = Lines::new();
    server.log = Arc::new(lines);
    server.shelf = Some(Arc::new(Stored::open()?));

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

fn limits(arguments: &Arguments<'_>) -> Limits {
    let budget = match arguments.count("memory") {
        Some(bytes) => bytes as u64,
        // Of what is free a quarter stays for others.
        None => memory::available().map_or(u64::MAX, |free| free / 4 * 3),
    };
    Limits { memory: budget, ..Limits::default() }
}

/// Where keys and values of conversations go that leave memory.
pub(crate) fn spilled() -> Result<Folder, Box<dyn Error>> {
    let home = store::home().map_err(|_| "there is no home folder")?;
    Ok(Folder::open(&home.join(SPILLED), ondine_spill::Limits::default())?)
}

/// Loads what the user named, for answers or for vectors, whichever it is for.
fn add(runtime: &mut Runtime, arguments: &Arguments<'_>, path: &Path) -> Result<(), Failure> {
    let seen = Seen::at(path);
    let opened = model::open(path)?;
    let about = about(&opened, path);
    let (threads, isa) = (arguments.threads(), arguments.isa());
    let memory = memory::placement(None, opened.bytes);
    let options = EngineOptions { threads, isa, memory, steady: true };
    let loaded = progress::during("loading the model", || Engine::load(&opened.file, options));
    let added = match loaded {
        Ok(engine) => {
            engine.tokenizer().map_err(|error| Failure::from(error).at(&opened.name))?;
            runtime.add_known(about, engine, fingerprint::of(&opened, path, seen))
        }
        Err(EngineError::Model(ModelError::Encoder { .. })) => {
            let embedder = Embedder::load(&opened.file, options)
                .map_err(|error| Failure::from(error).at(&opened.name))?;
            runtime.add_embedder(about, embedder)
        }
        Err(error) => return Err(Failure::from(error).at(&opened.name)),
    };
    added.map_err(|error| {
        let failure = Failure::new(error.to_string());
        match error {
            ChatError::Memory { .. } => failure.hint("--memory takes more bytes, where there are"),
            _ => failure,
        }
    })
}

/// What is told of a model: a file is called by its name without the ending.
fn about(opened: &Opened, path: &Path) -> Model {
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let most = inspect::shares(&opened.file).into_iter().max_by_key(|(_, share)| share.bytes);
    let came = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let since = came.unwrap_or_else(SystemTime::now).duration_since(UNIX_EPOCH);
    Model {
        name,
        bytes: opened.bytes,
        created_s: since.map_or(0, |since| since.as_secs()),
        sha256: opened.sha256(),
        quantisation: most.map(|(name, _)| name.to_uppercase()).unwrap_or_default(),
        ..Model::default()
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
