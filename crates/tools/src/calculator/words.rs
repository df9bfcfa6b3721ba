//! An expression's characters become words: numbers, names, signs, each with the place it stands at.
//! English and Chinese spellings of the same sign become one.

use super::Fault;
use super::number::Number;
use super::parse::is_known;
use super::units;

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Number(Number),
    /// Letters of any script.
    Name(String),
    Sign(char),
}

/// Characters that are written in other ways too.
fn plain(c: char) -> char {
    match c {
        '×' | '✕' | '·' | '∙' | '⋅' | '＊' => '*',
        '÷' | '∕' => '/',
        '−' | '–' | '﹣' => '-',
        '（' | '[' | '【' => '(',
        '）' | ']' | '】' => ')',
        '，' | '、' => ',',
        '：' => ':',
        '。' => '.',
        '？' => '?',
        '\u{3000}' | '\u{a0}' => ' ',
        // Full width.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    }
}

fn digit(c: char) -> Option<i64> {
    let at = "零一二三四五六七八九".chars().position(|digit| digit == c);
    at.and_then(|at| i64::try_from(at).ok()).or(match c {
        '〇' => Some(0),
        '两' => Some(2),
        _ => None,
    })
}

fn scale(c: char) -> Option<i64> {
    match c {
        '十' => Some(10),
        '百' => Some(100),
        '千' => Some(1000),
        '万' => Some(10_000),
        '亿' => Some(100_000_000),
        _ => None,
    }
}

/// A number in Chinese characters at the beginning of a text, and how many characters it has.
pub(crate) fn chinese(text: &[char]) -> Option<(i64, usize)> {
    let (mut total, mut section, mut last, mut used) = (0_i64, 0_i64, None, 0);
    for (at, &c) in text.iter().enumerate() {
        if let Some(digit) = digit(c) {
            // 二〇二六 is read digit by digit.
            last = Some(last.map_or(Some(digit), |n: i64| n.checked_mul(10)?.checked_add(digit))?);
        } else if let Some(scale) = scale(c) {
            // 千米 and 千克 are units.
            if c == '千' && matches!(text.get(at + 1), Some('米' | '克' | '字')) {
                break;
            }
            let front = last.take();
            if scale >= 10_000 {
                let all = section.checked_add(front.unwrap_or(0))?;
                total = total.checked_add(all)?.max(1).checked_mul(scale)?;
                section = 0;
            } else {
                section = section.checked_add(front.unwrap_or(1).checked_mul(scale)?)?;
            }
        } else {
            break;
        }
        used = at + 1;
    }
    // 两 alone, and at the end, is a unit of weight: 二两.
    if used > 1 && text.get(used - 1) == Some(&'两') {
        return chinese(&text[..used - 1]);
    }
    (used > 0).then_some((total + section + last.unwrap_or(0), used))
}

/// The words of a text, each with the character it begins at, counted from 1.
pub(super) fn words(text: &str) -> Result<Vec<(usize, Word)>, Fault> {
    let chars: Vec<char> = text.chars().map(plain).collect();
    let mut words: Vec<(usize, Word)> = Vec::new();
    // Whether a comma separates arguments, for each bracket that is open.
    let mut calls: Vec<bool> = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let start = at;
        let fault = |what: String| Fault { at: start + 1, what };
        let word = match c {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '0'..='9' | '.' if c != '.' || chars.get(at + 1).is_some_and(char::is_ascii_digit) => {
                let separates = calls.last() == Some(&true);
                let (digits, end) = digits(&chars, at, !separates);
                at = end;
                let mut number = Number::read(&digits).map_err(fault)?;
                while let Some(scale) = chars.get(at).copied().and_then(scale) {
                    if scale < 1000 || matches!(chars.get(at + 1), Some('米' | '克' | '字')) {
                        break;
                    }
                    number = number.times(&scale.into()).map_err(fault)?;
                    at += 1;
                }
                Word::Number(number)
            }
            c if c.is_alphabetic() || matches!(c, '°' | '℃' | '℉' | '_') => {
                let two = chars.get(at) == Some(&'两')
                    && matches!(words.last(), Some((_, Word::Number(_))));
                if let Some((number, used)) = chinese(&chars[at..]).filter(|_| !two) {
                    at += used;
                    Word::Number(number.into())
                } else {
                    at = name_end(&chars, start);
                    Word::Name(chars[start..at].iter().collect())
                }
            }
            '*' if chars.get(at + 1) == Some(&'*') => {
                at += 2;
                Word::Sign('^')
            }
            '+' | '-' | '*' | '/' | '^' | '%' | '!' | '(' | ')' | ',' | '√' | '=' | '?' | ':'
            | '\'' | '"' | '′' | '″' | '²' | '³' | '‰' => {
                at += 1;
                match c {
                    '(' => {
                        calls.push(
                            matches!(words.last(), Some((_, Word::Name(name))) if !joins(name)),
                        );
                    }
                    ')' => {
                        calls.pop();
                    }
                    _ => {}
                }
                Word::Sign(c)
            }
            c => return Err(fault(format!("`{}` is not understood", c.escape_debug()))),
        };
        words.push((start + 1, word));
    }
    Ok(words)
}

/// Where a name ends. Chinese is written without blanks: there it is the longest word that is known.
fn name_end(chars: &[char], start: usize) -> usize {
    let han = |c: char| matches!(c, '\u{3400}'..='\u{9fff}');
    if han(chars[start]) {
        let longest = (1..=units::NAME_CHARS_MAX).rev().filter(|n| start + n <= chars.len());
        let known = |n: &usize| is_known(&chars[start..start + n].iter().collect::<String>());
        return start + longest.into_iter().find(known).unwrap_or(1);
    }
    let goes_on = |c: char| (c.is_alphanumeric() || matches!(c, '°' | '²' | '³' | '_')) && !han(c);
    let length = chars[start + 1..].iter().take_while(|&&c| goes_on(c)).count();
    start + 1 + length
}

/// Names before a bracket that are no function.
fn joins(name: &str) -> bool {
    matches!(name, "of" | "in" | "to" | "as" | "mod" | "plus" | "minus" | "times")
}

/// Digits with point and power of ten; `1,234,567` and `1_000` without what parts them.
fn digits(chars: &[char], from: usize, thousands: bool) -> (String, usize) {
    let is_digit = |at: usize| chars.get(at).is_some_and(char::is_ascii_digit);
    let (mut text, mut at) = (String::new(), from);
    let mut seen_point = false;
    loop {
        match chars.get(at) {
            Some(c) if c.is_ascii_digit() => text.push(*c),
            Some('_') if is_digit(at + 1) => {}
            Some(',')
                if thousands
                    && !seen_point
                    && (1..=3).all(|n| is_digit(at + n))
                    && !is_digit(at + 4) => {}
            Some('.') if !seen_point && is_digit(at + 1) => {
                seen_point = true;
                text.push('.');
            }
            // 5. is 5.
            Some('.') if !seen_point && chars.get(at + 1).is_none_or(|c| !c.is_alphabetic()) => {
                return (text, at + 1);
            }
            Some('e' | 'E') => {
                let sign = usize::from(matches!(chars.get(at + 1), Some('+' | '-')));
                if !is_digit(at + 1 + sign) {
                    return (text, at);
                }
                let mut end = at + 1 + sign;
                while is_digit(end) {
                    end += 1;
                }
                text.push('e');
                text.extend(&chars[at + 1..end]);
                return (text, end);
            }
            _ => return (text, at),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_numbers_are_read() {
        let rows = [
            ("三", Some((3, 1))),
            ("十二点", Some((12, 2))),
            ("二十", Some((20, 2))),
            ("一百零五", Some((105, 4))),
            ("三千五百", Some((3500, 4))),
            ("两万三千", Some((23_000, 4))),
            ("一亿", Some((100_000_000, 2))),
            ("三千米", Some((3, 1))),
            ("二〇二六年", Some((2026, 4))),
            ("公里", None),
        ];
        for (text, expected) in rows {
            let chars: Vec<char> = text.chars().collect();
            assert_eq!(chinese(&chars), expected, "{text}");
        }
        assert_eq!(chinese(&['九'; 40]), None);
    }
}
