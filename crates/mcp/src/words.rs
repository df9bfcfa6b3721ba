//! Words of strangers: cut to a length, and without the characters that act instead of saying something.

/// At most `most` bytes of a text, without control and direction characters; line breaks and tabs stay
/// where `lines` says so, and become blanks otherwise.
pub(crate) fn tame(text: &str, most: usize, lines: bool) -> String {
    let mut out = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let c = match c {
            '\n' | '\t' if lines => c,
            '\n' | '\t' | '\r' => ' ',
            c if acts(c) => continue,
            c => c,
        };
        if out.len() + c.len_utf8() > most {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

/// Whether a character does something other than to stand there: moves a cursor, turns the direction of
/// writing, or says something that nobody sees.
fn acts(c: char) -> bool {
    let unseen = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}' | '\u{00ad}')
        // Tags and other planes' marks, in which whole sentences can be hidden from a reader.
        || matches!(c, '\u{e0000}'..='\u{e0fff}');
    c.is_control() || unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_left_out_and_what_is_long_is_cut() {
        let rows = [
            ("plain 名字", 100, false, "plain 名字"),
            ("a\u{1b}[2Jb\u{202e}c\u{e0041}", 100, false, "a[2Jbc"),
            ("one\ntwo\tthree", 100, false, "one two three"),
            ("one\ntwo", 100, true, "one\ntwo"),
            ("名字名字", 7, false, "名字…"),
        ];
        for (text, most, lines, expected) in rows {
            assert_eq!(tame(text, most, lines), expected, "{text:?}");
        }
    }
}
