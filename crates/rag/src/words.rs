//! Text to terms, for English, Chinese and program text mixed in one line.
//!
//! | what | becomes |
//! |---|---|
//! | Chinese, Japanese, Korean letters | each letter, and each two neighbours: no dictionary decides what a word is |
//! | other words | lower case without accents, brought to their English stem |
//! | identifiers | their parts at `_`, at capitals and at digits, and the whole |
//!
//! The same function makes the terms of a passage and those of a question. It knows no index.

use frostem::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longer words are cut here: they are data, and nobody asks for them.
const WORD_CHARS_MAX: usize = 48;

/// Words that nearly every English sentence has: a question is asked without them.
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "doe", "does", "for",
    "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "me", "my",
    "no", "not", "of", "on", "or", "our", "so", "such", "that", "the", "their", "then", "there",
    "these", "they", "this", "to", "was", "we", "what", "when", "where", "which", "who", "why",
    "will", "with", "you", "your",
];

/// Chinese words of questions, which are left out where something else is asked.
const STOP_HAN: &[&str] = &[
    "的",
    "了",
    "吗",
    "呢",
    "吧",
    "是",
    "在",
    "和",
    "与",
    "或",
    "什么",
    "怎么",
    "怎样",
    "如何",
    "为什么",
    "哪些",
    "哪个",
    "哪里",
    "多少",
    "可以",
    "能否",
    "是否",
    "请问",
    "我",
    "你",
    "我们",
    "有",
    "会",
    "把",
    "被",
    "要",
    "这",
    "那",
    "个",
];

/// Makes terms.
pub(crate) struct Words {
    stemmer: Stemmer,
    whole: String,
    part: String,
}

impl Words {
    pub(crate) fn new() -> Words {
        Words {
            stemmer: Stemmer::new(Algorithm::English),
            whole: String::new(),
            part: String::new(),
        }
    }

    /// The terms of a text, in its order.
    pub(crate) fn of(&mut self, text: &str, mut each: impl FnMut(&str)) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let kind = kind(first);
            let end = rest.find(|c| !kind.goes_on(c)).unwrap_or(rest.len()).max(first.len_utf8());
            let (run, after) = rest.split_at(end);
            match kind {
                Kind::Letterwise => letterwise(run, &mut each),
                Kind::Word => self.word(run, &mut each),
                Kind::Other => {}
            }
            rest = after;
        }
    }

    /// The terms of a question, each once, without the words that say nothing, where any other is left.
    pub(crate) fn of_question(&mut self, text: &str) -> Vec<String> {
        let mut asked = text.to_string();
        for word in STOP_HAN {
            asked = asked.replace(word, " ");
        }
        let mut terms = Vec::new();
        self.of(&asked, |term| terms.push(term.to_string()));
        terms.retain(|term| !STOP.contains(&term.as_str()));
        if terms.is_empty() {
            self.of(text, |term| terms.push(term.to_string()));
        }
        let mut seen = std::collections::HashSet::new();
        terms.retain(|term| seen.insert(term.clone()));
        terms
    }

    /// A run of letters, digits and `_`.
    fn word(&mut self, run: &str, each: &mut impl FnMut(&str)) {
        self.whole.clear();
        let mut parts = 0;
        let mut last = None;
        let mut chars = run.chars().peekable();
        let mut kept = 0;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            if c == '_' || last.is_some_and(|last| breaks(last, c, next)) {
                parts += usize::from(self.end_of_part(each));
            }
            last = Some(c);
            if c == '_' || kept == WORD_CHARS_MAX {
                continue;
            }
            kept += 1;
            if c.is_ascii() {
                self.part.push(c.to_ascii_lowercase());
            } else {
                // Full-width letters become plain ones and accents go.
                let plain = std::iter::once(c).nfkd().filter(|c| !is_combining_mark(*c));
                self.part.extend(plain.flat_map(char::to_lowercase));
            }
        }
        parts += usize::from(self.end_of_part(each));
        if parts > 1 {
            each(&self.whole);
        }
    }

    /// Gives the part that has been gathered, and adds it to the whole.
    fn end_of_part(&mut self, each: &mut impl FnMut(&str)) -> bool {
        if self.part.is_empty() {
            return false;
        }
        let plain = self.part.bytes().all(|b| b.is_ascii_lowercase());
        if plain && self.part.len() > 2 {
            each(&self.stemmer.stem(&self.part));
        } else {
            each(&self.part);
        }
        self.whole.push_str(&self.part);
        self.part.clear();
        true
    }
}

/// Whether an identifier has a seam between two letters: `getUser`, `HTTPServer`, `utf8`.
fn breaks(last: char, c: char, next: Option<char>) -> bool {
    let capital = c.is_uppercase();
    let acronym_ends = capital && last.is_uppercase() && next.is_some_and(char::is_lowercase);
    (capital && last.is_lowercase())
        || acronym_ends
        || (last.is_numeric() != c.is_numeric() && last != '_')
}

fn letterwise(run: &str, each: &mut impl FnMut(&str)) {
    let mut ends = run.char_indices().map(|(at, c)| (at, at + c.len_utf8())).peekable();
    while let Some((start, end)) = ends.next() {
        each(&run[start..end]);
        if let Some((_, next_end)) = ends.peek() {
            each(&run[start..*next_end]);
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Written without spaces between words.
    Letterwise,
    Word,
    Other,
}

impl Kind {
    fn goes_on(self, c: char) -> bool {
        kind(c) == self
    }
}

fn kind(c: char) -> Kind {
    if c.is_ascii_alphanumeric() || c == '_' {
        return Kind::Word;
    }
    if c.is_ascii() {
        return Kind::Other;
    }
    if is_letterwise(c) {
        return Kind::Letterwise;
    }
    if c.is_alphanumeric() || is_combining_mark(c) { Kind::Word } else { Kind::Other }
}

/// Han, kana and hangul.
pub(crate) fn is_letterwise(c: char) -> bool {
    matches!(c,
        '\u{3005}' | '\u{3007}' | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{323af}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> String {
        let mut all = Vec::new();
        Words::new().of(text, |term| all.push(term.to_string()));
        all.join(" ")
    }

    #[test]
    fn text_becomes_terms() {
        let rows = [
            ("Running dogs", "run dog"),
            ("getUserName", "get user name getusername"),
            ("snake_case_word", "snake case word snakecaseword"),
            ("HTTPServer2", "http server 2 httpserver2"),
            ("__init__", "init"),
            ("索引文件", "索 索引 引 引文 文 文件 件"),
            ("用tantivy搜索", "用 tantivi 搜 搜索 索"),
            ("Ｆｕｌｌ　ｗｉｄｔｈ café", "full width cafe"),
            ("it's 3.14!", "it s 3 14"),
            ("— … \u{0}", ""),
            ("", ""),
        ];
        let wrong: Vec<_> =
            rows.iter().filter(|(text, expected)| terms(text) != *expected).collect();
        let said: Vec<String> = wrong.iter().map(|(text, _)| terms(text)).collect();
        assert!(wrong.is_empty(), "{wrong:?} but {said:?}");
    }

    #[test]
    fn a_question_loses_what_says_nothing_unless_that_is_all() {
        let ask = |text| Words::new().of_question(text).join(" ");
        assert_eq!(ask("How do I open the window?"), "open window");
        assert_eq!(ask("to be or not to be"), "to be or not");
        assert_eq!(ask("如何打开窗户？"), "打 打开 开 开窗 窗 窗户 户");
        assert_eq!(ask("什么"), "什 什么 么");
        assert_eq!(ask(""), "");
    }

    #[test]
    fn a_word_of_a_million_letters_is_cut() {
        let mut longest = 0;
        Words::new().of(&"x".repeat(1_000_000), |term| longest = longest.max(term.len()));
        assert_eq!(longest, WORD_CHARS_MAX);
        let mut count = 0;
        Words::new().of(&"aB".repeat(500_000), |_| count += 1);
        assert!(count <= WORD_CHARS_MAX + 1, "{count}");
    }
}
