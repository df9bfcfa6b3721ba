//! What is left of a stranger's name, in lines of a known width. It knows no font: a character is taken
//! to be as wide as it is in the widest of the usual ones.

/// Lines of a name at most.
const LINES: usize = 3;
/// A line's width at most, in hundredths of the font's size.
const LINE_WIDTH: usize = 1400;

/// A name's lines and the width of the widest, in hundredths of the font's size.
pub(super) fn lines(name: &str) -> (Vec<String>, usize) {
    let clean = clean(name);
    let mut lines: Vec<(String, usize)> = Vec::new();
    for word in clean.split(' ').filter(|word| !word.is_empty()) {
        let wide = width(word);
        match lines.last_mut() {
            Some((line, so_far)) if *so_far + width(" ") + wide <= LINE_WIDTH => {
                line.push(' ');
                line.push_str(word);
                *so_far += width(" ") + wide;
            }
            _ => broken(word, &mut lines),
        }
        if lines.len() > LINES {
            break;
        }
    }
    if lines.len() > LINES {
        lines.truncate(LINES);
        if let Some((line, wide)) = lines.last_mut() {
            while *wide + width("…") > LINE_WIDTH && line.pop().is_some() {
                *wide = width(line);
            }
            line.push('…');
            *wide = width(line);
        }
    }
    let most = lines.iter().map(|(_, wide)| *wide).max().unwrap_or(0);
    (lines.into_iter().map(|(line, _)| line).collect(), most)
}

/// A word as a new line, or as several where it is too long for one.
fn broken(word: &str, lines: &mut Vec<(String, usize)>) {
    lines.push((String::new(), 0));
    for c in word.chars() {
        let wide = advance(c);
        if lines.last().is_some_and(|(_, so_far)| so_far + wide > LINE_WIDTH) {
            if lines.len() > LINES {
                return;
            }
            lines.push((String::new(), 0));
        }
        if let Some((line, so_far)) = lines.last_mut() {
            line.push(c);
            *so_far += wide;
        }
    }
}

/// The name without what is no text: controls, marks that turn the direction, and what XML has no place
/// for. Any white space is one blank.
pub(super) fn clean(name: &str) -> String {
    let mut clean = String::with_capacity(name.len().min(1024));
    // No name is worth more.
    for c in name.chars().take(256) {
        match c {
            _ if c.is_whitespace() => {
                if !clean.ends_with(' ') {
                    clean.push(' ');
                }
            }
            _ if c.is_control() => clean.push('\u{FFFD}'),
            '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' => {}
            '\u{061C}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' => {}
            // No characters, and not allowed in XML.
            '\u{FFFE}' | '\u{FFFF}' => clean.push('\u{FFFD}'),
            _ => clean.push(c),
        }
    }
    let clean = clean.trim();
    if clean.is_empty() { "(no name)".to_owned() } else { clean.to_owned() }
}

/// In hundredths of the font's size.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(advance).sum()
}

/// The widest that the usual sans-serif fonts have, bold ones included, in hundredths of the size.
fn advance(c: char) -> usize {
    match c {
        'i' | 'j' | 'l' | '\'' | '|' | '!' | '.' | ',' | ':' | ';' => 36,
        'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '\\' | ' ' | '-' => 46,
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 102,
        'A'..='Z' | '&' | '#' | '_' | '+' | '=' | '<' | '>' | '~' | '^' => 86,
        ' '..='~' => 68,
        // Latin, Greek, Cyrillic with and without accents.
        '\u{A0}'..='\u{52F}' => 100,
        // Signs, ideographs, pictures: one square, and for pictures a little more.
        '\u{1F000}'..='\u{1FFFF}' => 140,
        _ => 104,
    }
}
