//! How large everything is, and the words around it.

/// How a [`Memory`](crate::memory::Memory) is to be.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// Positions that may be used: prompt and answer together.
    pub window: usize,
    /// Those of them that an answer may take.
    pub answer: usize,
    /// How full the window is when the model is told, in hundredths.
    pub notice_at: usize,
    /// Times that the model is asked in a turn at most.
    pub heartbeats: usize,
    /// The words around it.
    pub wording: Wording,
}

impl MemoryOptions {
    /// For a window of so many tokens: an eighth for an answer, a notice at 70 %.
    pub fn new(window: usize) -> MemoryOptions {
        MemoryOptions {
            window,
            answer: window / 8,
            notice_at: 70,
            heartbeats: 24,
            wording: Wording::english(),
        }
    }

    /// Tokens of a summary at most.
    pub(super) fn summary(&self) -> usize {
        (self.window / 8).max(16)
    }

    /// Bytes of the working context at most: it is always shown.
    pub(super) fn working(&self) -> usize {
        self.window
    }

    /// Bytes of one result of a search at most. A token is a byte at least, and in most texts three or
    /// four.
    pub(super) fn page(&self) -> usize {
        (self.window / 2).max(200)
    }
}

/// What the model is told, in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// At the beginning of every prompt.
    pub instructions: String,
    /// When the window is filling.
    pub notice: String,
    /// Before what is to be summed up.
    pub summarise: String,
    /// Above the working context.
    pub working: String,
    /// Above the summary.
    pub summary: String,
}

impl Wording {
    /// In English.
    pub fn english() -> Wording {
        Wording {
            instructions: "You remember more than you see: older messages are in recall, what you \
                stored is in the archive. Search before you say that you do not know. Only \
                send_message reaches the user. With heartbeat true you act again at once."
                .into(),
            notice: "[memory] Your window is filling. Write down what you will need, with \
                working_append or archive_insert; the oldest messages will be summed up."
                .into(),
            summarise:
                "Sum up this conversation for your own use, in a few sentences. Keep names, \
                numbers, wishes and what is still to be done. Answer with the summary alone."
                    .into(),
            working: "Working context".into(),
            summary: "Summary of what was said before".into(),
        }
    }

    /// In Chinese.
    pub fn chinese() -> Wording {
        Wording {
            instructions: "你记得的比你看到的多。这里只有你的工作记忆、一段摘要和最近的消息。更早的消息都在回忆库\
                （recall），你存下的内容在档案库（archive）。说不知道之前先搜索。只有 send_message 会到达用户。\
                heartbeat 为 true 时你可以立即继续行动。"
                .into(),
            notice: "[记忆] 窗口快满了。请用 working_append 或 archive_insert 记下以后需要的内容；最早的消息即将被摘要。"
                .into(),
            summarise: "用几句话为自己概括这段对话。保留姓名、数字、愿望和未完成的事。只回答摘要。".into(),
            working: "工作记忆".into(),
            summary: "之前对话的摘要".into(),
        }
    }
}
