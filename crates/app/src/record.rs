//! What a model was asked and what it gave, kept in a file, and a model that gives it again: a program
//! runs on a recording by changing the one line that opens its model.
//!
//! A [`Recorder`] is in front of a model and writes each question with its events; a [`Recording`] is the
//! model afterwards. The same question gets the same events in the same pieces, the second time it is
//! asked those of the second time. A question that is not in the recording is an error that shows the
//! nearest one; nobody is asked in its place.
//!
//! Two questions are the same where all that decides about the answer is: prompt, tools, format,
//! sampling, bounds, model. Whose they are, and how long a model stays in memory, does not count. What
//! changes from run to run (a date in a prompt) is taken out by a function of the program's
//! ([`Recording::open_with`]).
//!
//! The file is JSON lines, to be read, compared and kept beside a test: the first names the version, each
//! other is one question. It is synced line by line, and a last line that a power cut tore is left out.
//!
//! ```
//! use std::sync::Arc;
//! use ondine_app::{Llm, Recorder, Recording, Reply, ScriptedModel};
//!
//! # let path = std::env::temp_dir().join(format!("ondine-doc-record-{}.jsonl", std::process::id()));
//! let model = Arc::new(ScriptedModel::new([Reply::text("Good day.")]));
//! let recorder = Arc::new(Recorder::create(&path, model)?);
//! Llm::new(recorder).ask("hello")?;
//!
//! let llm = Llm::new(Recording::open(&path)?);
//! assert_eq!(llm.ask("hello")?, "Good day.");
//! assert!(llm.ask("good bye").unwrap_err().to_string().contains("not in the recording"));
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod differ;
mod line;
mod replay;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ondine_chat::{Chat, ChatError, Embed, Embedded, Event, Model, Rendered, Request, Sink};

use line::{Happened, Line, Trouble};

pub use replay::Recording;

/// What a recording of this program says of itself in its first line.
const VERSION: u32 = 1;

/// Why a recording cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The disk says no.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is not what was written.
    #[error("{}: line {line}: {what}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line, counted from 1.
        line: usize,
        /// What is wrong, and what was expected.
        what: String,
    },
}

/// A model that is asked through it, and what it gives is kept. An answer whose recording fails, fails:
/// half a recording would be one that lies.
pub struct Recorder {
    chat: Arc<dyn Chat>,
    embed: Option<Arc<dyn Embed>>,
    file: Arc<Writer>,
}

struct Writer {
    path: PathBuf,
    /// The file; none once something could not be written.
    file: Mutex<Option<File>>,
}

impl Recorder {
    /// Records what `chat` gives into a new file. One that is there is not written over.
    ///
    /// # Errors
    /// The file is there already, or cannot be written.
    pub fn create(path: impl AsRef<Path>, chat: Arc<dyn Chat>) -> Result<Recorder, RecordError> {
        let path = path.as_ref().to_path_buf();
        let failed = |source| RecordError::File { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
        let models = chat.models();
        let file = Arc::new(Writer { path: path.clone(), file: Mutex::new(Some(file)) });
        file.write(&Line::Head { ondine_recording: VERSION, models })
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        Ok(Recorder { chat, embed: None, file })
    }

    /// Vectors are made there, and recorded too.
    pub fn embedding_with(mut self, embed: Arc<dyn Embed>) -> Recorder {
        self.embed = Some(embed);
        self
    }
}

impl Writer {
    fn write(&self, line: &Line) -> Result<(), ChatError> {
        let failed = |what: String| {
            ChatError::Disk(format!("{}: not recorded: {what}", self.path.display()))
        };
        let mut text = serde_json::to_string(line).map_err(|error| failed(error.to_string()))?;
        text.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else {
            return Err(failed("an earlier line could not be written".into()));
        };
        let written = open.write_all(text.as_bytes()).and_then(|()| open.sync_data());
        written.map_err(|error| {
            // What is at the end of the file is not known any more.
            *file = None;
            failed(error.to_string())
        })
    }
}

impl Chat for Recorder {
    fn start(&self, request: Request, mut sink: Sink) -> Result<(), ChatError> {
        let (file, asked) = (self.file.clone(), request.clone());
        let mut heard: Vec<Happened> = Vec::new();
        // Whether the answer is kept, to its end or to where its listener left.
        let mut kept = false;
        let listener = move |event: Event| {
            if kept {
                return false;
            }
            heard.push(Happened::of(&event));
            let last = matches!(event, Event::Finished { .. } | Event::Failed(_));
            let line = |heard: &mut Vec<Happened>, left| Line::Asked {
                request: asked.clone(),
                events: std::mem::take(heard),
                left,
            };
            if last {
                kept = true;
                // On the disk first: an answer that was heard to its end can be heard again.
                return match file.write(&line(&mut heard, false)) {
                    Ok(()) => sink(event),
                    Err(error) => sink(Event::Failed(error)),
                };
            }
            let listens = sink(event);
            if !listens {
                kept = true;
                // Nobody is left to be told where this fails; whoever asks next is.
                let _ = file.write(&line(&mut heard, true));
            }
            listens
        };
        let asked = request.clone();
        self.chat.start(request, Box::new(listener)).or_else(|error| {
            let line = Line::Refused { request: asked, error: Trouble::of(&error) };
            self.file.write(&line)?;
            Err(error)
        })
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        let tokens = self.chat.count_tokens(request)?;
        self.file.write(&Line::Counted { key: line::key(request), tokens })?;
        Ok(tokens)
    }

    fn rendered(&self, request: &Request) -> Result<Rendered, ChatError> {
        self.chat.rendered(request)
    }

    fn models(&self) -> Vec<Model> {
        self.chat.models()
    }

    fn forget(&self, app: &str, session: &str) {
        self.chat.forget(app, session);
    }
}

impl Embed for Recorder {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let none = || ChatError::Unsupported("this model gives no vectors".into());
        let embedded = self.embed.as_ref().ok_or_else(none)?.embed(model, texts)?;
        self.file.write(&Line::Embedded {
            model: model.to_owned(),
            texts: texts.to_vec(),
            vectors: embedded.vectors.clone(),
            tokens: embedded.tokens,
        })?;
        Ok(embedded)
    }
}
