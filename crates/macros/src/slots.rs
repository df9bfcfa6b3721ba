//! Texts with slots in them: `{name}` is one, `{{` and `}}` are braces.

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Words as they stand.
    Words(String),
    /// A slot of this name.
    Slot(String),
}

/// Takes a text apart; what is wrong with it, in words.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '{' | '}' if letters.peek() == Some(&letter) => {
                letters.next();
                words.push(letter);
            }
            '}' => return Err("a } without its {; write }} for a brace".into()),
            '{' => {
                let mut name = String::new();
                loop {
                    match letters.next() {
                        Some('}') => break,
                        Some(letter) => name.push(letter),
                        None => return Err(format!("the slot {{{name} has no end")),
                    }
                }
                if syn::parse_str::<syn::Ident>(&name).is_err() {
                    let what = "a slot is the name of a field, with nothing else in it";
                    return Err(format!("{{{name}}}: {what}; write {{{{ for a brace"));
                }
                if !words.is_empty() {
                    pieces.push(Piece::Words(std::mem::take(&mut words)));
                }
                pieces.push(Piece::Slot(name));
            }
            letter => words.push(letter),
        }
    }
    if !words.is_empty() {
        pieces.push(Piece::Words(words));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_braces_are_told_apart() {
        let words = |text: &str| Piece::Words(text.into());
        let slot = |text: &str| Piece::Slot(text.into());
        let rows = [
            ("", Some(vec![])),
            ("a {b} c", Some(vec![words("a "), slot("b"), words(" c")])),
            ("{a}{b}", Some(vec![slot("a"), slot("b")])),
            ("{{a}} {{{a}}}", Some(vec![words("{a} {"), slot("a"), words("}")])),
            ("你好 {名}", Some(vec![words("你好 "), slot("名")])),
            ("{", None),
            ("}", None),
            ("{a", None),
            ("{a:?}", None),
            ("{0}", None),
            ("{}", None),
            ("{a.b}", None),
        ];
        for (text, wanted) in rows {
            assert_eq!(pieces(text).ok(), wanted, "{text:?}");
        }
    }
}
