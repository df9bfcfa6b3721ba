//! Bytes to letters. UTF-8 and UTF-16 say what they are; of the rest, GB18030 is taken where what it
//! gives looks like Chinese, and Windows-1252 where it looks like a European language.

use encoding_rs::{Encoding, GB18030, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::error::Unread;

/// How many bytes are looked at to tell encodings apart.
const SAMPLE: usize = 64 << 10;

/// The text, with `\n` at the ends of its lines.
pub(super) fn decode(bytes: &[u8]) -> Result<String, Unread> {
    let text = match Encoding::for_bom(bytes) {
        Some((encoding, mark)) if encoding == UTF_16LE || encoding == UTF_16BE => {
            // A lone surrogate or a torn end: the rest is still text.
            encoding.decode_without_bom_handling(&bytes[mark..]).0.into_owned()
        }
        Some((_, mark)) => plain(&bytes[mark..])?,
        None => plain(bytes)?,
    };
    if text.contains('\0') {
        return Err(Unread::NotDocument("bytes that are no text"));
    }
    Ok(if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text })
}

fn plain(bytes: &[u8]) -> Result<String, Unread> {
    if bytes.contains(&0) {
        return Err(Unread::NotDocument("bytes that are no text"));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Ok(text.to_string());
    }
    let encoding = if is_chinese(bytes) {
        GB18030
    } else if is_european(bytes) {
        WINDOWS_1252
    } else {
        return Err(Unread::Encoding);
    };
    match encoding.decode_without_bom_handling_and_without_replacement(bytes) {
        Some(text) => Ok(text.into_owned()),
        None => Err(Unread::Encoding),
    }
}

/// Whether most pairs are letters and marks of everyday Chinese: rows 0xA1 to 0xA3 and 0xB0 to 0xF7.
fn is_chinese(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let (mut common, mut other, mut at) = (0, 0, 0);
    while at + 1 < sample.len() {
        match (sample[at], sample[at + 1]) {
            (0..=0x80, _) => at += 1,
            (0xa1..=0xa3 | 0xb0..=0xf7, 0xa1..=0xfe) => (common, at) = (common + 1, at + 2),
            (0x81..=0xfe, 0x30..=0x39) => (other, at) = (other + 1, at + 4),
            _ => (other, at) = (other + 1, at + 2),
        }
    }
    common > 4 * other
}

/// Whether the bytes above ASCII are rare and letters.
fn is_european(bytes: &[u8]) -> bool {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let high = sample.iter().filter(|byte| **byte >= 0x80).count();
    let letters =
        sample.iter().filter(|byte| **byte >= 0xc0 || (0x91..=0x97).contains(*byte)).count();
    let controls =
        sample.iter().filter(|byte| **byte < 0x20 && !b"\t\n\r\x0c".contains(byte)).count();
    controls == 0 && high * 4 <= sample.len() && letters * 3 >= high * 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_from_every_encoding() {
        let chinese = "检索增强生成：先找到段落，再回答问题。";
        let (gb, _, _) = GB18030.encode(chinese);
        let utf16 = |big: bool, text: &str| -> Vec<u8> {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(|u: u16| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect()
        };
        let (latin, _, _) = WINDOWS_1252.encode("Où est la bibliothèque ? “Là-bas”, près du café.");
        let rows = [
            (b"plain".to_vec(), "plain"),
            (b"\xef\xbb\xbfmark".to_vec(), "mark"),
            (b"a\r\nb\rc\n".to_vec(), "a\nb\nc\n"),
            (gb.to_vec(), chinese),
            (utf16(false, chinese), chinese),
            (utf16(true, chinese), chinese),
            (latin.to_vec(), "Où est la bibliothèque ? “Là-bas”, près du café."),
        ];
        for (bytes, expected) in rows {
            assert_eq!(decode(&bytes).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        assert_eq!(decode(b"a\0b"), Err(Unread::NotDocument("bytes that are no text")));
        let noise: Vec<u8> =
            (0..4000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 | 1).collect();
        assert_eq!(decode(&noise), Err(Unread::Encoding));
    }
}
