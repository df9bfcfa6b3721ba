//! A page of the web becomes text, simply: what is not shown is left out, blocks become lines, links keep
//! their addresses. It is no browser; it only must not lose words, nor break.

use super::address::Address;

/// What a page says.
pub(super) struct Page {
    pub(super) title: String,
    pub(super) text: String,
}

const HIDDEN: &[&str] =
    &["script", "style", "template", "noscript", "svg", "iframe", "object", "select"];
const BLOCKS: &[&str] = &[
    "p",
    "div",
    "br",
    "hr",
    "li",
    "ul",
    "ol",
    "tr",
    "table",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "nav",
    "aside",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "pre",
    "blockquote",
    "dt",
    "dd",
    "dl",
    "form",
    "figure",
    "figcaption",
];
const ENTITIES: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("copy", '©'),
    ("reg", '®'),
    ("mdash", '—'),
    ("ndash", '–'),
    ("hellip", '…'),
    ("laquo", '«'),
    ("raquo", '»'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("middot", '·'),
    ("bull", '•'),
    ("times", '×'),
    ("deg", '°'),
    ("euro", '€'),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("agrave", 'à'),
    ("ccedil", 'ç'),
    ("rarr", '→'),
    ("larr", '←'),
];

/// The words of a page.
pub(super) fn read(html: &str, base: &Address) -> Page {
    let mut page = Page { title: String::new(), text: String::new() };
    let mut rest = html;
    let mut in_title = false;
    let mut link: Option<String> = None;
    while !rest.is_empty() {
        let words_end = rest.find('<').unwrap_or(rest.len());
        let (words, after) = rest.split_at(words_end);
        push(if in_title { &mut page.title } else { &mut page.text }, words);
        rest = after;
        if rest.is_empty() {
            break;
        }
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let inner = &rest[1..];
        if !inner.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?')) {
            // A lone `<`.
            push(&mut page.text, "&lt;");
            rest = inner;
            continue;
        }
        let end = tag_end(inner);
        let tag = &inner[..end];
        rest = inner.get(end + 1..).unwrap_or_default();
        let closing = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(20)
            .collect::<String>()
            .to_ascii_lowercase();
        match name.as_str() {
            "title" => in_title = !closing && page.title.is_empty(),
            "a" if !closing => {
                let to = attribute(tag, "href").and_then(|href| base.join(&decoded(&href)).ok());
                link = to.map(|to| to.to_string()).filter(|to| to.len() <= 300);
            }
            "a" => {
                if let Some(to) = link.take() {
                    page.text.push_str(&format!(" <{to}>"));
                }
            }
            hidden if HIDDEN.contains(&hidden) && !closing && !tag.ends_with('/') => {
                rest = behind(rest, hidden);
            }
            block if BLOCKS.contains(&block) => {
                while page.text.ends_with(' ') {
                    page.text.pop();
                }
                if !page.text.is_empty() && !page.text.ends_with('\n') {
                    page.text.push('\n');
                }
                if block == "li" && !closing {
                    page.text.push_str("- ");
                }
            }
            "td" | "th" if closing => page.text.push_str(" | "),
            _ => {}
        }
    }
    page.title = page.title.trim().chars().take(300).collect();
    page.text.truncate(page.text.trim_end().len());
    page
}

/// Where a tag ends: at the first `>` that is not within quotes, as long as the quotes end.
fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    for (at, byte) in tag.bytes().enumerate().take(16 << 10) {
        match (quote, byte) {
            (None, b'>') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    tag.find('>').unwrap_or(tag.len())
}

/// What follows the end of an element that is not shown.
fn behind<'a>(text: &'a str, name: &str) -> &'a str {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(at) = text[from..].find("</").map(|at| from + at) {
        let found = bytes.get(at + 2..at + 2 + name.len());
        if found.is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes())) {
            return text[at..].find('>').map_or("", |end| &text[at + end + 1..]);
        }
        from = at + 2;
    }
    ""
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.match_indices(name).map(|(at, _)| at).find(|at| {
        let before = lower[..*at].ends_with(|c: char| c.is_ascii_whitespace());
        before && lower[at + name.len()..].trim_start().starts_with('=')
    })?;
    let value = tag[at + name.len()..].trim_start().strip_prefix('=')?.trim_start();
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split(|c: char| c.is_ascii_whitespace()).next()?,
    };
    Some(value.to_owned())
}

fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(12).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => u32::from_str_radix(digits, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| !c.is_control());
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, c)| *c)
}

/// Words with single blanks between them.
fn push(text: &mut String, words: &str) {
    for c in decoded(words).chars() {
        if c.is_whitespace() {
            if !text.is_empty() && !text.ends_with([' ', '\n']) {
                text.push(' ');
            }
        } else if !c.is_control() {
            text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_a_reader_sees() {
        let base = Address::read("https://h.org/a/").unwrap();
        let html = "<!doctype html><html><head><title>The &amp; title</title><style>p{}</style></head>\
            <body><script>if (a < b) alert('</p>')</script><h1>Head</h1><p>One   &lt;two&gt;<br>three\
            &#x4e2d;&#25991; <b>bold</b>. <a title='>' href=\"b?x=1&amp;y=2\">link</a></p><!-- no <p> -->\
            <ul><li>a<li>b</ul> 1 < 2 <table><tr><td>x</td><td>y</td></tr></table></body>";
        let page = read(html, &base);
        assert_eq!(page.title, "The & title");
        assert_eq!(
            page.text,
            "Head\nOne <two>\nthree中文 bold. link <https://h.org/a/b?x=1&y=2>\n- a\n- b\n1 < 2\nx | y |"
        );
        // Cuts anywhere, and what never ends.
        for (at, _) in html.char_indices() {
            read(&html[..at], &base);
            read(&html[at..], &base);
        }
        for odd in [
            "<".repeat(100_000),
            "<a ".repeat(50_000),
            "<script>".repeat(10_000),
            "&#".repeat(50_000),
            "<a href='".repeat(9000),
        ] {
            read(&odd, &base);
        }
    }
}
