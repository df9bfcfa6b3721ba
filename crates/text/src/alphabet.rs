//! How byte-pair vocabularies write bytes in their token texts. Knows neither tokens nor merges.
//!
//! Byte-level vocabularies write each byte as one printable character: those that are printable in
//! Latin-1 as themselves, the other 68, in order, as the characters from U+0100 on. SentencePiece
//! and its relatives write a space as `▁` and a byte that stands alone as `<0xE2>`.

/// A space in the token texts of SentencePiece, U+2581.
pub(crate) const SPACE: &str = "▁";

/// Bytes that a byte-level vocabulary may do without: they are rare in text, or not in it at all.
///
/// Vocabularies trained without a full alphabet lack some; what they cannot write, they leave out.
pub(crate) fn is_rare(byte: u8) -> bool {
    matches!(byte, 0x00..=0x08 | 0x0b..=0x1f | 0x7f | 0xc0..=0xc1 | 0xf1..=0xff)
}

/// Bytes that no UTF-8 text has.
pub(crate) fn is_never_in_text(byte: u8) -> bool {
    matches!(byte, 0xc0..=0xc1 | 0xf5..=0xff)
}

const fn is_itself(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff)
}

/// The character that each byte is written as.
pub(crate) fn byte_letters() -> [char; 256] {
    let mut others = '\u{100}'..;
    std::array::from_fn(|byte| match byte as u8 {
        byte if is_itself(byte) => char::from(byte),
        _ => others.next().unwrap_or_default(),
    })
}

/// Appends what a byte-level token text writes. Characters of no byte stand for themselves.
pub(crate) fn push_letters_as_bytes(text: &str, bytes: &mut Vec<u8>) {
    for c in text.chars() {
        match c as u32 {
            code @ 0..=0xff if is_itself(code as u8) => bytes.push(code as u8),
            code @ 0x100..=0x143 => bytes.push(OTHERS[code as usize - 0x100]),
            _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// The bytes that are not written as themselves, in order.
static OTHERS: [u8; 68] = {
    let mut others = [0; 68];
    let (mut byte, mut count) = (0, 0);
    while count < others.len() {
        if !is_itself(byte) {
            others[count] = byte;
            count += 1;
        }
        byte = byte.wrapping_add(1);
    }
    others
};

/// The byte that `<0xE2>` means.
pub(crate) fn hex_byte(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hex = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The text of the token for a byte that stands alone.
pub(crate) fn hex_text(byte: u8) -> String {
    format!("<0x{byte:02X}>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_letter_and_comes_back() {
        let letters = byte_letters();
        for byte in 0..=255u8 {
            let mut back = Vec::new();
            push_letters_as_bytes(&letters[byte as usize].to_string(), &mut back);
            assert_eq!(back, [byte]);
            assert_eq!(hex_byte(&hex_text(byte)), Some(byte));
        }
        assert_eq!(
            (letters[b' ' as usize], letters[0xad], letters[b'a' as usize]),
            ('Ġ', 'Ń', 'a')
        );
        let mut bytes = Vec::new();
        push_letters_as_bytes("Ġ我", &mut bytes);
        assert_eq!(bytes, " 我".as_bytes());
        for text in ["<0x1>", "<0x+1>", "<0xGG>", "0x11", "<0x111>", ""] {
            assert_eq!(hex_byte(text), None, "{text}");
        }
    }
}
