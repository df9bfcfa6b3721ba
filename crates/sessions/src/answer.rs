//! An answer that is kept before its end is told. Its text goes on to whoever listens as it comes; its
//! end goes to a thread of its own, which waits for the disk, so that the model does not.
//!
//! Only whole answers are kept. Where one fails, or nobody listens any more before its end, nothing of it
//! is: what was said before it stays, and can be answered anew.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use ondine_chat::{ChatError, Event, FinishReason, Message, Sink, ToolCall, Usage};

use crate::record::Record;
use crate::session::{Turn, now_s};

/// The end of an answer, on its way to the disk.
struct Ended {
    turn: Arc<Turn>,
    message: Message,
    reason: FinishReason,
    usage: Usage,
    sink: Sink,
}

enum Job {
    Keep(Box<Ended>),
    Stop,
}

/// The thread that waits for the disk.
pub(crate) struct Writer {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(crate) fn start() -> std::io::Result<Writer> {
        let (jobs, arrived) = mpsc::channel();
        let work = move || write(&arrived);
        let thread = std::thread::Builder::new().name("sessions".into()).spawn(work)?;
        Ok(Writer { jobs, thread: Some(thread) })
    }

    /// What listens to an answer in a session, and keeps it.
    pub(crate) fn listening(&self, turn: Arc<Turn>, sink: Sink) -> Sink {
        let open = Some((turn, sink));
        let message = Message::assistant("");
        let mut heard = Heard { open, jobs: self.jobs.clone(), message };
        Box::new(move |event| heard.take(event))
    }
}

impl Drop for Writer {
    /// What has ended is kept; what ends later is not, and is told so.
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write(jobs: &Receiver<Job>) {
    for job in jobs {
        match job {
            Job::Keep(ended) => ended.keep(),
            Job::Stop => return,
        }
    }
}

impl Ended {
    fn keep(self) {
        let Ended { turn, message, reason, usage, mut sink } = self;
        let record = Record::Messages { at_s: now_s(), messages: vec![message] };
        let session = turn.session();
        let kept = session.append(&mut session.lock(), &record);
        // Whoever is told of the end may go on at once.
        drop(turn);
        sink(match kept {
            Ok(()) => Event::Finished { reason, usage },
            Err(error) => Event::Failed(error),
        });
    }
}

/// An answer so far.
struct Heard {
    /// `None` when it has ended, one way or another.
    open: Option<(Arc<Turn>, Sink)>,
    jobs: Sender<Job>,
    message: Message,
}

impl Heard {
    /// Takes an event; gives whether more are wanted.
    fn take(&mut self, event: Event) -> bool {
        match &event {
            Event::Text { text, .. } => self.message.text += text,
            Event::Call(call) => self.message.calls.push(ToolCall::clone(call)),
            _ => {}
        }
        let Some((turn, mut sink)) = self.open.take() else { return false };
        match event {
            Event::Finished { reason, usage } => {
                let message = std::mem::replace(&mut self.message, Message::assistant(""));
                let ended = Box::new(Ended { turn, message, reason, usage, sink });
                if let Err(mpsc::SendError(Job::Keep(mut ended))) = self.jobs.send(Job::Keep(ended))
                {
                    (ended.sink)(Event::Failed(ChatError::ShuttingDown));
                }
                false
            }
            Event::Failed(_) => {
                drop(turn);
                sink(event)
            }
            _ if sink(event) => {
                self.open = Some((turn, sink));
                true
            }
            _ => false,
        }
    }
}
