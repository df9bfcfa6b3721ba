//! A recording as somebody who answers.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ondine_chat::{Chat, ChatError, Embed, Embedded, Event, Model, Request, Sink};

use super::line::{self, Happened, Line, Trouble};
use super::{RecordError, VERSION, differ};

/// What a program takes out of a question before it is compared.
type Normalise = dyn Fn(&mut Request) + Send + Sync;

/// A model that gives what was recorded, and nothing else.
pub struct Recording {
    models: Vec<Model>,
    asked: Vec<Asked>,
    by_key: HashMap<String, Vec<usize>>,
    counted: HashMap<String, usize>,
    /// By model and texts.
    vectors: HashMap<(String, Vec<String>), Embedded>,
    /// How often each question was asked by now.
    times: Mutex<HashMap<String, usize>>,
    normalise: Box<Normalise>,
    torn: bool,
}

struct Asked {
    request: Request,
    came: Came,
}

enum Came {
    Events(Vec<Happened>, bool),
    Refused(Trouble),
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// The file cannot be read, is none of this program's, or is damaged anywhere but at its end.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Recording>, RecordError> {
        Recording::open_with(path, |_| {})
    }

    /// Reads a recording whose questions are compared without what `normalise` takes out of both sides:
    /// a date in the system's turn, a path.
    ///
    /// # Errors
    /// Those of [`Recording::open`].
    pub fn open_with(
        path: impl AsRef<Path>,
        normalise: impl Fn(&mut Request) + Send + Sync + 'static,
    ) -> Result<Arc<Recording>, RecordError> {
        let path = path.as_ref();
        let text = fs::read(path)
            .map_err(|source| RecordError::File { path: path.to_path_buf(), source })?;
        let mut recording = Recording {
            models: Vec::new(),
            asked: Vec::new(),
            by_key: HashMap::new(),
            counted: HashMap::new(),
            vectors: HashMap::new(),
            times: Mutex::default(),
            normalise: Box::new(normalise),
            torn: false,
        };
        let mut begun = false;
        for (n, bytes) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let wrong =
                |what: String| RecordError::Line { path: path.to_path_buf(), line: n + 1, what };
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line: Line = match serde_json::from_slice(bytes) {
                Ok(line) => line,
                // It was never acknowledged: nobody heard the end of that answer.
                Err(_) if bytes.last() != Some(&b'\n') && begun => {
                    recording.torn = true;
                    break;
                }
                Err(error) => {
                    return Err(wrong(format!("no line of a recording of questions: {error}")));
                }
            };
            match line {
                Line::Head { ondine_recording: VERSION, models } if !begun => {
                    recording.models = models;
                    begun = true;
                }
                Line::Head { ondine_recording: version, .. } if !begun => {
                    return Err(wrong(format!(
                        "a recording of version {version}; this program reads {VERSION}"
                    )));
                }
                _ if !begun => {
                    return Err(wrong("a recording begins with its version".to_owned()));
                }
                Line::Head { .. } => return Err(wrong("a second beginning".to_owned())),
                Line::Asked { request, events, left } => {
                    recording.add(request, Came::Events(events, left));
                }
                Line::Refused { request, error } => recording.add(request, Came::Refused(error)),
                Line::Counted { key, tokens } => {
                    recording.counted.insert(key, tokens);
                }
                Line::Embedded { model, texts, vectors, tokens } => {
                    recording.vectors.insert((model, texts), Embedded { vectors, tokens });
                }
            }
        }
        if !begun {
            return Err(RecordError::Line {
                path: path.to_path_buf(),
                line: 1,
                what: "the file is empty; a recording begins with its version".into(),
            });
        }
        Ok(Arc::new(recording))
    }

    /// How many questions it holds.
    pub fn questions(&self) -> usize {
        self.asked.len()
    }

    /// Whether its last line was cut off and left out.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    fn add(&mut self, request: Request, came: Came) {
        let key = line::key(&self.normal(&request));
        self.by_key.entry(key).or_default().push(self.asked.len());
        self.asked.push(Asked { request, came });
    }

    fn normal(&self, request: &Request) -> Request {
        let mut request = request.clone();
        (self.normalise)(&mut request);
        request
    }

    /// What came of this question, the time that it is asked now.
    fn find(&self, request: &Request) -> Result<&Asked, ChatError> {
        let request = self.normal(request);
        let key = line::key(&request);
        let Some(all) = self.by_key.get(&key) else { return Err(self.missing(&request)) };
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let time = times.entry(key).or_default();
        *time += 1;
        let found = all.get(*time - 1).and_then(|&at| self.asked.get(at));
        found.ok_or_else(|| {
            ChatError::Internal(format!(
                "the question is not in the recording so often: it was asked {} times then, this is \
                 time {time}",
                all.len()
            ))
        })
    }

    fn missing(&self, request: &Request) -> ChatError {
        let asked = differ::legible(request);
        let nearest = self
            .asked
            .iter()
            .enumerate()
            .map(|(n, other)| (n, differ::legible(&self.normal(&other.request))))
            .max_by(|(m, a), (n, b)| {
                let (a, b) = (differ::likeness(&asked, a), differ::likeness(&asked, b));
                // The earlier one, of two that are as near.
                a.total_cmp(&b).then(n.cmp(m))
            });
        let mut what = format!(
            "the question is not in the recording, which holds {} others",
            self.asked.len()
        );
        if let Some((n, nearest)) = nearest {
            what.push_str(&format!(
                "; the nearest is number {}. Recorded (-), asked now (+):\n{}",
                n + 1,
                differ::shown(&nearest, &asked)
            ));
        }
        ChatError::Internal(what)
    }
}

impl Chat for Recording {
    /// Answers before it returns.
    fn start(&self, request: Request, mut sink: Sink) -> Result<(), ChatError> {
        match &self.find(&request)?.came {
            Came::Refused(error) => Err(error.clone().error()),
            Came::Events(events, left) => {
                for event in events {
                    if !sink(event.clone().event()) {
                        return Ok(());
                    }
                }
                if *left {
                    let what = "the recording ends here: whoever listened then left";
                    sink(Event::Failed(ChatError::Internal(what.into())));
                }
                Ok(())
            }
        }
    }

    fn count_tokens(&self, request: &Request) -> Result<usize, ChatError> {
        if let Some(tokens) = self.counted.get(&line::key(request)) {
            return Ok(*tokens);
        }
        // What was asked was counted, too.
        let all = self.by_key.get(&line::key(&self.normal(request)));
        let asked = all.into_iter().flatten().filter_map(|&at| self.asked.get(at));
        let counted = asked
            .filter_map(|asked| match &asked.came {
                Came::Events(events, _) => Some(events),
                Came::Refused(_) => None,
            })
            .flatten()
            .find_map(|event| match event {
                Happened::Started { prompt, .. } => Some(*prompt),
                _ => None,
            });
        counted.ok_or_else(|| {
            ChatError::Internal(
                "the tokens of this question were not counted when it was recorded".into(),
            )
        })
    }

    fn models(&self) -> Vec<Model> {
        self.models.clone()
    }
}

impl Embed for Recording {
    fn embed(&self, model: &str, texts: &[String]) -> Result<Embedded, ChatError> {
        let found = self.vectors.get(&(model.to_owned(), texts.to_vec()));
        found.cloned().ok_or_else(|| {
            ChatError::Internal(format!(
                "the vectors of these {} texts are not in the recording",
                texts.len()
            ))
        })
    }
}
