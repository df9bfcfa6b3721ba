//! A server that is a program of this machine: started with the environment it is given and nothing else,
//! heard over its standard streams, ended with all that it started.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use process_wrap::tokio::{ChildWrapper, CommandWrap};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::process::{ChildStdin, ChildStdout};

use crate::error::McpError;
use crate::words::tame;

/// Variables of this program that a child sees: what programs need to run at all, and nothing that is a
/// secret anywhere.
pub const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    // Windows'.
    "APPDATA",
    "LOCALAPPDATA",
    "USERPROFILE",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "TEMP",
    "TMP",
    "PATHEXT",
    "COMSPEC",
    "PROGRAMFILES",
];

/// A program to start.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What is started: a path, or a name in `PATH`.
    pub command: String,
    /// What it is told.
    pub arguments: Vec<String>,
    /// Variables that it sees, above [`PASSED_ON`].
    pub environment: BTreeMap<String, String>,
    /// Names of variables of this program that it sees too.
    pub allowed: Vec<String>,
    /// The folder that it works in.
    pub folder: Option<PathBuf>,
}

impl Program {
    /// A program with its arguments.
    pub fn new(
        command: impl Into<String>,
        arguments: impl IntoIterator<Item = impl Into<String>>,
    ) -> Program {
        Program {
            command: command.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            ..Program::default()
        }
    }

    /// Gives it a variable.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Program {
        self.environment.insert(name.into(), value.into());
        self
    }
}

/// A program that runs, and is ended with its children when this is dropped.
pub(super) struct Child {
    process: Box<dyn ChildWrapper>,
    pub(super) complaints: Complaints,
    pub(super) flooded: Flooded,
}

/// What the end of a child's complaints is kept in.
pub(super) type Complaints = Arc<Mutex<Vec<u8>>>;
/// Whether a child's message was longer than is read.
pub(super) type Flooded = Arc<AtomicBool>;

impl Child {
    /// Starts a program, inside an asynchronous runtime.
    pub(super) fn start(
        program: &Program,
        message_bytes: usize,
        complaint_bytes: usize,
    ) -> Result<(Child, Lines<ChildStdout>, ChildStdin), McpError> {
        let failed = |error| McpError::Start { program: program.command.clone(), error };
        let allowed = PASSED_ON.iter().copied().chain(program.allowed.iter().map(String::as_str));
        let mut command = CommandWrap::with_new(&program.command, |command| {
            command.args(&program.arguments).env_clear();
            for name in allowed {
                if let Some(value) = std::env::var_os(name) {
                    command.env(name, value);
                }
            }
            command.envs(&program.environment);
            if let Some(folder) = &program.folder {
                command.current_dir(folder);
            }
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        command.wrap(process_wrap::tokio::KillOnDrop);
        // What the child starts is in its group, or its job, and ends with it.
        #[cfg(unix)]
        command.wrap(process_wrap::tokio::ProcessGroup::leader());
        #[cfg(windows)]
        command.wrap(process_wrap::tokio::JobObject);
        let mut process = command.spawn().map_err(failed)?;
        let none = || failed(std::io::Error::other("it has no standard streams"));
        let input = process.stdin().take().ok_or_else(none)?;
        let output = process.stdout().take().ok_or_else(none)?;
        let errors = process.stderr().take().ok_or_else(none)?;
        let complaints = Complaints::default();
        tokio::spawn(listen(errors, complaints.clone(), complaint_bytes));
        let flooded = Flooded::default();
        let lines = Lines { inner: output, most: message_bytes, line: 0, flooded: flooded.clone() };
        Ok((Child { process, complaints, flooded }, lines, input))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Not waited for here: the runtime's reaper does.
        let _ = self.process.start_kill();
    }
}

/// Reads complaints as long as there are any, so that a child never waits to be heard, and keeps the last.
async fn listen(mut errors: impl AsyncRead + Unpin, kept: Complaints, most: usize) {
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = errors.read(&mut piece).await {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&piece[..read]);
        let over = kept.len().saturating_sub(most);
        kept.drain(..over);
    }
}

/// The last words of a child, tamed; empty where there are none.
pub(super) fn last_words(complaints: &Complaints) -> String {
    let kept = complaints.lock().unwrap_or_else(PoisonError::into_inner);
    tame(String::from_utf8_lossy(&kept).trim(), kept.len(), true)
}

/// Reads lines of a length; at a longer one the stream ends with an error, so that nobody waits for the
/// answer that it would have been.
pub(super) struct Lines<R> {
    inner: R,
    most: usize,
    /// Bytes since the last line break.
    line: usize,
    flooded: Flooded,
}

impl<R: AsyncRead + Unpin> AsyncRead for Lines<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        std::task::ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let fresh = &buffer.filled()[before..];
        let mut rest = fresh.split(|&byte| byte == b'\n');
        let mut line = self.line + rest.next().map_or(0, <[u8]>::len);
        let mut longest = line;
        for piece in rest {
            line = piece.len();
            longest = longest.max(line);
        }
        self.line = line;
        if longest > self.most {
            self.flooded.store(true, Ordering::Release);
            let message = "a message is longer than is read";
            return Poll::Ready(Err(std::io::Error::other(message)));
        }
        Poll::Ready(Ok(()))
    }
}
