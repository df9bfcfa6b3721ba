//! `ondine pull`: a model comes into the store and gets a name.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use ondine_store::{Pull, Pulled, Source, Step, Store, StoreError};

use crate::failure::Failure;
use crate::flags::Arguments;
use crate::interrupt::Watch;
use crate::output::{self, Answer};
use crate::progress::Transfer;
use crate::store;

/// How often an interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);
/// How long an interrupted pull may take to end by itself. It can be ended at any moment; what a
/// silent server keeps waiting is not worth waiting for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Fetches a model.
pub(crate) fn run(arguments: &Arguments<'_>) -> Result<(), Failure> {
    let usage = |error: StoreError| Failure::usage(error.to_string());
    let path = arguments.path_needed("source")?;
    let source = match path.to_str() {
        Some(text) => Source::parse(text).map_err(usage)?,
        // What is no text can only be a file.
        None => Source::File(path.to_path_buf()),
    };
    let name = arguments.text("name").map(|text| store::name(&text)).transpose()?;
    let digest = arguments.text("sha256").map(|text| text.parse().map_err(usage)).transpose()?;
    let server = arguments.text("registry");
    let store = store::create(server.as_deref())?;
    let Pulled { name, manifest, was_here } = fetch(store, Pull { source, name, digest })?;
    let bytes = output::bytes(manifest.bytes);
    let here = if was_here { ", was here already" } else { "" };
    output::remark(format_args!("{bytes}, sha256 {}{here}", manifest.blob));
    Answer::new().line(name)
}

/// Pulls in another thread, so that nothing it waits for delays an interrupt.
fn fetch(store: Store, pull: Pull) -> Result<Pulled, Failure> {
    let watch = Watch::new();
    let transfer = Transfer::new();
    let stop = Arc::new(AtomicBool::new(false));
    let (sender, news) = mpsc::channel();
    let stopped = stop.clone();
    thread::spawn(move || {
        let steps = sender.clone();
        let mut tell = |step: Step| {
            // Nobody listens where the command has ended.
            let _ = steps.send(News::Step(step));
            match stopped.load(Ordering::SeqCst) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let pulled = store.pull(&pull, &store::check, &mut tell);
        let _ = sender.send(News::End(Box::new(pulled)));
    });
    let mut interrupted: Option<Instant> = None;
    loop {
        match news.recv_timeout(TICK) {
            Ok(News::Step(step)) => transfer.show(step),
            Ok(News::End(pulled)) => {
                return match *pulled {
                    Err(StoreError::Cancelled) => Err(Failure::interrupt()),
                    pulled => Ok(pulled?),
                };
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new("the pull ended without a result")
                    .hint("this is a fault of the program; please report it"));
            }
        }
        if watch.interrupted() {
            stop.store(true, Ordering::SeqCst);
            let since = interrupted.get_or_insert_with(Instant::now);
            if since.elapsed() > FAREWELL {
                return Err(Failure::interrupt());
            }
        }
    }
}

/// What the pulling thread has to say.
enum News {
    /// How far it is.
    Step(Step),
    /// What came of it.
    End(Box<Result<Pulled, StoreError>>),
}
