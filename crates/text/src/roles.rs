//! Which tokens mark something: those that a file names and those known by their text. Knows
//! names of marks, not how text is cut.
//!
//! Files often mark the end of a turn as ordinary text, or name one end of several, so a
//! generation would run on. The marks in use are few and listed here.

use std::collections::BTreeSet;

use crate::texts::Texts;
use crate::vocab::{Strings, TokenId, TokenKind, VocabError, VocabSpec, merge_parts};

/// Tokens with a role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roles {
    pub(crate) bos: Option<TokenId>,
    pub(crate) eos: Option<TokenId>,
    pub(crate) eot: Option<TokenId>,
    pub(crate) unk: Option<TokenId>,
    pub(crate) sep: Option<TokenId>,
    pub(crate) pad: Option<TokenId>,
    pub(crate) mask: Option<TokenId>,
    pub(crate) fim_prefix: Option<TokenId>,
    pub(crate) fim_suffix: Option<TokenId>,
    pub(crate) fim_middle: Option<TokenId>,
    /// All that end a generation.
    pub(crate) ends: BTreeSet<TokenId>,
}

/// End a turn; where the file does not name one, the first of these that is there does.
const TURN_ENDS: &[&str] = &[
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<end_of_turn>",
    "<turn|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "<｜end▁of▁sentence｜>",
    "<end_of_utterance>",
];

/// End a generation for other reasons: a text ends, or a tool is to be called.
const OTHER_ENDS: &[&str] = &[
    "<|eom_id|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|tool_response>",
    "<eos>",
    "</s>",
    "[EOS]",
    "[e~[",
];

/// For filling a gap. Of the last three kinds a filling ends with each.
const FIM_PREFIX: &[&str] = &[
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<｜fim▁begin｜>",
    "<PRE>",
    "▁<PRE>",
    "<|code_prefix|>",
    "<|prefix|>",
];
const FIM_SUFFIX: &[&str] = &[
    "<|fim_suffix|>",
    "<fim-suffix>",
    "<fim_suffix>",
    "<｜fim▁hole｜>",
    "<SUF>",
    "▁<SUF>",
    "<|code_suffix|>",
    "<|suffix|>",
];
const FIM_MIDDLE: &[&str] = &[
    "<|fim_middle|>",
    "<fim-middle>",
    "<fim_middle>",
    "<｜fim▁end｜>",
    "<MID>",
    "▁<MID>",
    "<|code_middle|>",
    "<|middle|>",
];
const FIM_PAD: &[&str] = &["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"];
const FIM_REPOSITORY: &[&str] =
    &["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"];
const FIM_FILE: &[&str] = &["<|file_sep|>"];

/// Marks of the channel format, which a reader of the answer must see.
const VISIBLE: &[&str] = &["<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"];

/// Numbers that a model of tokenizer gives to its marks where the file does not.
fn defaults(model: &str) -> Roles {
    match model {
        "llama" => Roles { bos: Some(1), eos: Some(2), unk: Some(0), ..Roles::default() },
        "bert" => Roles {
            bos: Some(101),
            unk: Some(100),
            sep: Some(102),
            pad: Some(0),
            mask: Some(103),
            ..Roles::default()
        },
        _ => Roles::default(),
    }
}

/// Gives every role to its token, and the tokens known by their text their kinds.
pub(crate) fn assign(
    spec: &VocabSpec<impl Strings>,
    texts: &Texts,
    kinds: &mut [TokenKind],
) -> Result<Roles, VocabError> {
    let tokens = kinds.len();
    let default = defaults(&spec.model);
    let role = |role, given: Option<TokenId>, default: Option<TokenId>| match given {
        Some(id) if id as usize >= tokens => Err(VocabError::OutOfRange { role, id, tokens }),
        Some(id) => Ok(Some(id)),
        None => Ok(default.filter(|&id| (id as usize) < tokens)),
    };
    let mut roles = Roles {
        bos: role("beginning-of-text", spec.bos, default.bos)?,
        eos: role("end-of-text", spec.eos, default.eos)?,
        eot: role("end-of-turn", spec.eot, None)?,
        unk: role("unknown", spec.unk, default.unk)?,
        sep: role("separator", spec.sep, default.sep)?,
        pad: role("padding", spec.pad, default.pad)?,
        mask: role("mask", spec.mask, default.mask)?,
        fim_prefix: role("fill-in prefix", spec.fim_prefix, None)?,
        fim_suffix: role("fill-in suffix", spec.fim_suffix, None)?,
        fim_middle: role("fill-in middle", spec.fim_middle, None)?,
        ends: BTreeSet::new(),
    };
    let mut marks = Marks { merges: &spec.merges, texts, kinds };
    if spec.kinds.is_none() {
        marks.set_roles(&roles);
    }

    for text in TURN_ENDS.iter().chain(OTHER_ENDS) {
        roles.ends.extend(marks.control(text));
    }
    let first =
        |marks: &mut Marks<'_, _>, texts: &[&str]| texts.iter().find_map(|t| marks.control(t));
    roles.eot = roles.eot.or_else(|| first(&mut marks, TURN_ENDS));
    roles.fim_prefix = roles.fim_prefix.or_else(|| first(&mut marks, FIM_PREFIX));
    roles.fim_suffix = roles.fim_suffix.or_else(|| first(&mut marks, FIM_SUFFIX));
    roles.fim_middle = roles.fim_middle.or_else(|| first(&mut marks, FIM_MIDDLE));
    for texts in [FIM_PAD, FIM_REPOSITORY, FIM_FILE] {
        roles.ends.extend(first(&mut marks, texts));
    }
    roles.ends.extend(roles.eos);
    roles.ends.extend(roles.eot);
    for id in VISIBLE.iter().filter_map(|text| texts.find(text)) {
        marks.kinds[id as usize] = TokenKind::UserDefined;
    }
    marks.take_back(&mut roles);
    Ok(roles)
}

/// The kinds of tokens, while marks are looked for.
struct Marks<'a, L> {
    merges: &'a L,
    texts: &'a Texts,
    kinds: &'a mut [TokenKind],
}

impl<L: Strings> Marks<'_, L> {
    /// The token with this text, which from now on is no text. A token that a merge builds stays
    /// what it is: training made it from text.
    fn control(&mut self, text: &str) -> Option<TokenId> {
        let id = self.texts.find(text)?;
        if self.kinds[id as usize] == TokenKind::Normal && self.is_built(text) {
            return None;
        }
        self.kinds[id as usize] = TokenKind::Control;
        Some(id)
    }

    fn is_built(&self, text: &str) -> bool {
        let builds = |merge: &str| {
            merge.len() == text.len() + 1
                && merge_parts(merge)
                    .is_some_and(|(l, r)| text.strip_prefix(l).is_some_and(|rest| rest == r))
        };
        self.merges.iter().any(builds)
    }

    /// Without a list of kinds, what the file names as a mark is one.
    fn set_roles(&mut self, roles: &Roles) {
        let marks = [roles.bos, roles.eos, roles.eot, roles.sep, roles.pad, roles.mask];
        let fim = [roles.fim_prefix, roles.fim_suffix, roles.fim_middle];
        for id in marks.into_iter().chain(fim).flatten() {
            let texts = self.texts;
            self.control(texts.get(id));
        }
        if let Some(id) = roles.unk.filter(|&id| self.kinds[id as usize] == TokenKind::Normal) {
            self.kinds[id as usize] = TokenKind::Unknown;
        }
    }

    /// Families in which a text of the lists does not end a generation.
    fn take_back(&mut self, roles: &mut Roles) {
        let has =
            |roles: &Roles, text| self.texts.find(text).is_some_and(|id| roles.ends.contains(&id));
        let calls = has(roles, "<|call|>") || has(roles, "<|calls|>");
        // Here the end of one channel of an answer is not the end of the answer.
        if calls && (has(roles, "<|return|>") || has(roles, "<|flush|>")) {
            self.no_end(roles, "<|end|>", TokenKind::UserDefined);
        }
        // Here it strikes text through.
        if has(roles, "<|tool_response>") {
            self.no_end(roles, "</s>", TokenKind::Normal);
        }
    }

    fn no_end(&mut self, roles: &mut Roles, text: &str, kind: TokenKind) {
        if let Some(id) = self.texts.find(text).filter(|id| roles.ends.remove(id)) {
            self.kinds[id as usize] = kind;
        }
    }
}
