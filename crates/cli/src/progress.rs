//! A progress line for whatever takes over a second, on a terminal and nowhere else.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ondine_store::Step;

/// Patience before a line appears.
const QUIET: Duration = Duration::from_secs(1);
/// How often the line moves.
const TICK: Duration = Duration::from_millis(120);

/// A task under way. Dropping it takes the line away.
pub(crate) struct Progress {
    bar: ProgressBar,
    /// Closing this channel tells the waiting thread that the task ended within its patience.
    ended: Option<Sender<()>>,
}

impl Progress {
    /// A task of `steps` steps; 0 where nobody knows how many.
    pub(crate) fn new(what: &str, steps: u64) -> Progress {
        if !io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden(), ended: None };
        }
        let bar = if steps == 0 { ProgressBar::no_length() } else { ProgressBar::new(steps) };
        bar.set_draw_target(ProgressDrawTarget::hidden());
        let template = if steps == 0 {
            "{spinner} {msg} {elapsed}"
        } else {
            "{spinner} {msg} [{bar:30}] {pos}/{len} {elapsed}, {eta} left"
        };
        // The templates above are ours and well formed; a plain bar would do as well.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_string());
        let (ended, end) = mpsc::channel();
        let shown = bar.clone();
        thread::spawn(move || {
            if end.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        Progress { bar, ended: Some(ended) }
    }

    /// `steps` steps are done.
    pub(crate) fn done(&self, steps: u64) {
        self.bar.set_position(steps);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ended = None;
        self.bar.finish_and_clear();
    }
}

/// Bytes on their way, from a server or a file, or somebody else's that are waited for.
pub(crate) struct Transfer {
    progress: Progress,
}

impl Transfer {
    /// Nothing is known yet.
    pub(crate) fn new() -> Transfer {
        Transfer { progress: Progress::new("looking for the model", 0) }
    }

    /// How far it is.
    pub(crate) fn show(&self, step: Step) {
        let bar = &self.progress.bar;
        if step.total == 0 {
            return;
        }
        if bar.length() != Some(step.total) {
            let template =
                "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left";
            // The template is ours and well formed; a plain bar would do as well.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_length(step.total);
        }
        bar.set_message(if step.waiting { "another pull" } else { "pulling" });
        bar.set_position(step.done);
    }
}

/// Runs a task that cannot say how far it is.
pub(crate) fn during<T>(what: &str, task: impl FnOnce() -> T) -> T {
    let _progress = Progress::new(what, 0);
    task()
}
