//! What a file is, told by its content: a name can be changed by anybody.

use crate::error::FormatError;

/// What the first bytes of a file look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// GGUF, of any version.
    Gguf,
    /// Probably safetensors: a plausible header length, then a brace.
    Safetensors,
    /// A Python pickle, or an archive around one. Never read.
    Pickle(&'static str),
    /// Anything else.
    Unknown,
}

/// Bytes in which the name of a pickle inside an archive is looked for: it is the first or second
/// entry of what PyTorch writes.
const ARCHIVE_HEAD: usize = 4_096;

/// Tells what a file is.
pub fn kind(bytes: &[u8]) -> Kind {
    match bytes {
        [b'G', b'G', b'U', b'F', ..] => Kind::Gguf,
        [0x80, 2..=5, ..] if !brace(bytes) => Kind::Pickle("pickle protocol 2 to 5"),
        [b'P', b'K', 3, 4, ..] => {
            let head = bytes.get(..ARCHIVE_HEAD).unwrap_or(bytes);
            if head.windows(8).any(|name| name == b"data.pkl") {
                Kind::Pickle("archive with data.pkl")
            } else {
                Kind::Unknown
            }
        }
        _ if brace(bytes) => Kind::Safetensors,
        _ => Kind::Unknown,
    }
}

/// Whether a header of JSON follows its length. `80 02` begins the length of a real header too,
/// one of 640 bytes and more, so that the brace decides.
fn brace(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{') && bytes.get(5..8) == Some(&[0, 0, 0])
}

/// Refuses a pickle by name, whatever the file is called.
pub(crate) fn refuse_pickle(bytes: &[u8]) -> Result<(), FormatError> {
    match kind(bytes) {
        Kind::Pickle(form) => Err(FormatError::Pickle { form }),
        _ => Ok(()),
    }
}
