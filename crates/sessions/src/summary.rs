//! A conversation with a summary in the place of its oldest turns: which turns go, what is put there and
//! how the model is asked for it. It knows requests and counts tokens by asking; no threads, no disk.

use ondine_chat::{Chat, ChatError, Message, Prompt, Request, Role};
use serde::{Deserialize, Serialize};

/// Of the model's positions, what an answer without a bound is left: one in so many.
const SHARE_OF_ANSWER: usize = 4;
/// Of the model's positions, what a summary may take: one in so many, within bounds.
const SHARE_OF_SUMMARY: usize = 8;
const SUMMARY_TOKENS_MAX: usize = 512;
/// Of the room that the prompt has, what it takes at most when a summary was just written: one in so
/// many. The rest is for the turns to come, so that not each of them needs another summary.
const SHARE_OF_REST: usize = 2;
/// Pieces that a conversation is cut into to be summarised.
const PIECES_MAX: usize = 64;

/// What stands before a summary in the prompt.
const INTRODUCTION: &str = "Summary of the earlier conversation, which is not shown any more:\n";
/// What the model is asked.
const QUESTION: &str = "Summarise this part of a conversation in a few sentences, so that it can go on \
    without it. Keep names, numbers, dates, what was decided and what is still open. Write the summary \
    alone.";

/// What stands for the oldest turns of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// It stands for the messages before this one, but for the system's turns at the beginning.
    pub(crate) upto: usize,
    /// What was said there.
    pub(crate) text: String,
    /// Tokens that those messages had in the prompt.
    pub(crate) tokens: usize,
}

/// How many turns of the system a conversation begins with.
fn head(messages: &[Message]) -> usize {
    messages.iter().take_while(|message| message.role == Role::System).count()
}

impl Summary {
    /// Whether it stands for some of these messages, and not for all.
    pub(crate) fn fits(&self, messages: &[Message]) -> bool {
        (head(messages) + 1..messages.len()).contains(&self.upto)
    }

    /// The conversation with it. It goes into the system's turn where there is one: many templates take
    /// no second.
    pub(crate) fn put_into(&self, messages: &[Message]) -> Vec<Message> {
        let mut turns = messages[..head(messages)].to_vec();
        let told = format!("{INTRODUCTION}{}", self.text);
        match turns.last_mut() {
            Some(system) => system.text += &format!("\n\n{told}"),
            None => turns.push(Message::system(told)),
        }
        turns.extend_from_slice(&messages[self.upto..]);
        turns
    }
}

/// What a prompt is measured with.
pub(crate) struct Measure<'a> {
    pub(crate) chat: &'a dyn Chat,
    /// The request that does not fit, or may not.
    pub(crate) request: &'a Request,
    /// Positions of the model.
    pub(crate) context: usize,
}

impl Measure<'_> {
    /// Tokens that the prompt may have.
    pub(crate) fn room(&self) -> usize {
        let answer = self.request.max_tokens.unwrap_or(self.context / SHARE_OF_ANSWER);
        self.context.saturating_sub(answer)
    }

    /// Tokens of the prompt with these messages.
    pub(crate) fn count(&self, messages: Vec<Message>) -> Result<usize, ChatError> {
        let prompt = Prompt::Messages(messages);
        self.chat.count_tokens(&Request { prompt, ..self.request.clone() })
    }

    /// Tokens of a summary at most.
    fn summary_tokens(&self) -> usize {
        (self.context / SHARE_OF_SUMMARY).clamp(1, SUMMARY_TOKENS_MAX)
    }

    /// The message that is the first to stay: as few go as leave room for more, and all but the last
    /// exchange where that is not enough. `None` where nothing can go. `from` is where the turns begin
    /// that an earlier summary does not stand for.
    pub(crate) fn cut(
        &self,
        messages: &[Message],
        from: usize,
    ) -> Result<Option<usize>, ChatError> {
        // Before what a user says, so that a call goes with its answer.
        let later = from.max(head(messages)) + 1..messages.len();
        let cuts: Vec<usize> = later.filter(|&i| messages[i].role == Role::User).collect();
        let room = (self.room() / SHARE_OF_REST).saturating_sub(self.summary_tokens());
        let (mut low, mut high) = (0, cuts.len().saturating_sub(1));
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.count(without(messages, cuts[middle]))? <= room {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(cuts.get(low).copied())
    }

    /// Summarises the messages up to `cut`, of which `known` stands for the first. `ask` gives the
    /// model's answer to a request.
    pub(crate) fn summarise(
        &self,
        messages: &[Message],
        cut: usize,
        known: Option<&Summary>,
        ask: &mut dyn FnMut(Request) -> Result<String, ChatError>,
    ) -> Result<Summary, ChatError> {
        let from = known.map_or(head(messages), |known| known.upto);
        let transcript: String = messages[from..cut].iter().map(line).collect();
        let mut text = known.map(|known| known.text.clone()).unwrap_or_default();
        let mut rest = transcript.as_str();
        for _ in 0..PIECES_MAX {
            let piece = self.piece(&text, rest)?;
            text = ask(self.question(&text, piece))?.trim().to_owned();
            rest = &rest[piece.len()..];
            if rest.is_empty() {
                let whole = self.count(messages.to_vec())?;
                let tokens = whole.saturating_sub(self.count(without(messages, cut))?);
                return Ok(Summary { upto: cut, text, tokens });
            }
        }
        Err(self.too_long(rest.len()))
    }

    /// As much of the beginning of a text as fits beside the question.
    fn piece<'t>(&self, before: &str, rest: &'t str) -> Result<&'t str, ChatError> {
        let room = self.context.saturating_sub(self.summary_tokens());
        let fits = |piece: &str| -> Result<bool, ChatError> {
            Ok(self.chat.count_tokens(&self.question(before, piece))? <= room)
        };
        if fits(rest)? {
            return Ok(rest);
        }
        // `low` bytes fit and `high` do not.
        let (mut low, mut high) = (0, rest.len());
        loop {
            let middle = rest.floor_char_boundary(usize::midpoint(low, high));
            if middle <= low {
                break;
            }
            if fits(&rest[..middle])? { low = middle } else { high = middle }
        }
        if low == 0 {
            return Err(self.too_long(self.chat.count_tokens(&self.question(before, ""))?));
        }
        // A line is not torn where one ends in the second half.
        let line_end = rest[..low].rfind('\n').map(|at| at + 1).filter(|&end| end > low / 2);
        Ok(&rest[..line_end.unwrap_or(low)])
    }

    fn too_long(&self, prompt_tokens: usize) -> ChatError {
        ChatError::Context { prompt_tokens, wanted: self.summary_tokens(), context: self.context }
    }

    /// Asks for a summary of what was summarised before and of what came then.
    fn question(&self, before: &str, piece: &str) -> Request {
        let before = match before {
            "" => String::new(),
            before => format!("What came before it:\n{before}\n\n"),
        };
        let text = format!("{QUESTION}\n\n{before}The conversation:\n{piece}");
        let mut question = Request::new(&self.request.model, [Message::user(text)]);
        question.max_tokens = Some(self.summary_tokens());
        // The same turns get the same summary.
        (question.sampling.temperature, question.sampling.seed) = (Some(0.0), Some(0));
        question.app.clone_from(&self.request.app);
        question.background = self.request.background;
        question.keep = self.request.keep;
        question
    }
}

/// The system's turns and those from `cut` on.
fn without(messages: &[Message], cut: usize) -> Vec<Message> {
    messages[..head(messages)].iter().chain(&messages[cut..]).cloned().collect()
}

/// A turn as the model is shown it.
fn line(message: &Message) -> String {
    let calls = message.calls.iter().map(|call| format!(" [{} {}]", call.name, call.arguments));
    format!("{}: {}{}\n", message.role.name(), message.text, calls.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ondine_chat::Script;

    fn talk(exchanges: usize) -> Vec<Message> {
        let mut messages = vec![Message::system("be brief")];
        for number in 0..exchanges {
            messages.push(Message::user(format!("question {number} one two three")));
            messages.push(Message::assistant(format!("answer {number} one two three")));
        }
        messages.push(Message::user("and now"));
        messages
    }

    /// A measure in which a word is a token.
    fn with<T>(context: usize, max_tokens: usize, work: impl FnOnce(&Measure<'_>) -> T) -> T {
        let script = Script::new(["s"]);
        let mut request = Request::new("script", []);
        request.max_tokens = Some(max_tokens);
        work(&Measure { chat: &script, request: &request, context })
    }

    #[test]
    fn as_few_turns_go_as_leave_room_for_more() {
        let messages = talk(10);
        with(140, 40, |measure| {
            // 2 + 10 x 10 + 2 words of 100; half of them less a summary of 17 are for what stays.
            assert_eq!(measure.count(messages.clone()).unwrap(), 104);
            let cut = measure.cut(&messages, 0).unwrap().unwrap();
            assert_eq!(messages[cut].text, "question 8 one two three");
            let stays = measure.count(without(&messages, cut)).unwrap();
            assert!(stays <= 33, "{stays}");
            assert!(measure.count(without(&messages, cut - 2)).unwrap() > 33);
            assert!(measure.cut(&messages, cut).unwrap() > Some(cut), "what is known stays known");
        });
        with(20, 10, |measure| {
            let cut = measure.cut(&messages, 0).unwrap();
            assert_eq!(cut, Some(messages.len() - 1), "all but the last exchange");
            assert_eq!(measure.cut(&messages[..2], 0).unwrap(), None, "one turn is not cut");
        });
    }

    #[test]
    fn a_long_conversation_is_summarised_in_pieces_and_each_fits() {
        let messages = talk(40);
        with(120, 30, |measure| {
            let mut asked = Vec::new();
            let mut ask = |request: Request| {
                let Prompt::Messages(turns) = &request.prompt else { panic!("no conversation") };
                let words = measure.chat.count_tokens(&request).unwrap();
                assert!(words + request.max_tokens.unwrap() <= 120, "{words}");
                asked.push(turns[0].text.clone());
                Ok(format!(" summary {} \n", asked.len()))
            };
            let cut = messages.len() - 1;
            let summary = measure.summarise(&messages, cut, None, &mut ask).unwrap();
            assert_eq!(summary.upto, cut);
            assert_eq!(summary.text, format!("summary {}", asked.len()));
            assert_eq!(summary.tokens, 400, "40 exchanges of 10 words");
            assert!(asked.len() > 3, "{}", asked.len());
            assert!(asked[1].contains("What came before it:\nsummary 1\n"), "{}", asked[1]);
            for number in 0..40 {
                let words = format!("user: question {number} one two three\n");
                assert_eq!(
                    asked.iter().filter(|text| text.contains(&words)).count(),
                    1,
                    "{number}"
                );
            }
            let turns = summary.put_into(&messages);
            assert_eq!(turns.len(), 2, "the system's turn and the last");
            assert!(turns[0].text.starts_with("be brief\n\nSummary of"), "{}", turns[0].text);
            assert!(turns[0].text.ends_with(&summary.text));
        });
    }

    #[test]
    fn one_endless_line_is_cut_between_characters() {
        let messages =
            [Message::user("ä ".repeat(300)), Message::assistant("b"), Message::user("c")];
        with(150, 10, |measure| {
            let mut pieces = 0;
            let mut ask = |_| {
                pieces += 1;
                Ok("s".to_owned())
            };
            let summary = measure.summarise(&messages, 2, None, &mut ask).unwrap();
            assert_eq!((summary.upto, pieces > 2), (2, true));
        });
        with(20, 10, |measure| {
            let refused = measure.summarise(&messages, 2, None, &mut |_| Ok("s".into()));
            assert!(matches!(refused, Err(ChatError::Context { context: 20, .. })), "{refused:?}");
        });
    }

    #[test]
    fn a_summary_goes_on_from_the_last_one() {
        let messages = talk(4);
        let known = Summary { upto: 5, text: "known so far".into(), tokens: 20 };
        assert!(known.fits(&messages));
        assert!(!Summary { upto: 1, ..known.clone() }.fits(&messages), "of nothing");
        assert!(!Summary { upto: 10, ..known.clone() }.fits(&messages), "of all");
        with(1000, 10, |measure| {
            let mut ask = |request: Request| {
                let Prompt::Messages(turns) = &request.prompt else { panic!("no conversation") };
                assert!(turns[0].text.contains("known so far"));
                assert!(!turns[0].text.contains("question 1 "), "it is in the summary");
                assert!(turns[0].text.contains("question 2 "));
                Ok("all".into())
            };
            let summary = measure.summarise(&messages, 9, Some(&known), &mut ask).unwrap();
            assert_eq!(summary, Summary { upto: 9, text: "all".into(), tokens: 40 });
        });
    }
}
