//! FF-21: what a file is, told by its content.

mod corpus;

use ondine_format::sniff::{Kind, kind};

#[test]
fn content_decides() {
    let rows: &[(&[u8], Kind)] = &[
        (&corpus::gguf::valid(), Kind::Gguf),
        (b"GGUF", Kind::Gguf),
        (&corpus::safetensors::valid(), Kind::Safetensors),
        (b"\x80\x02}q\x00", Kind::Pickle("pickle protocol 2 to 5")),
        (b"\x80\x05\x95\x00\x00\x00\x00\x00\x00\x00\x00", Kind::Pickle("pickle protocol 2 to 5")),
        (b"\x80\x06", Kind::Unknown),
        // The length of a header of 640 bytes begins like a pickle.
        (b"\x80\x02\x00\x00\x00\x00\x00\x00{\"a\":", Kind::Safetensors),
        (b"PK\x03\x04.....archive/data.pkl", Kind::Pickle("archive with data.pkl")),
        (b"PK\x03\x04.....word/document.xml", Kind::Unknown),
        (b"", Kind::Unknown),
        (b"\x7fELF", Kind::Unknown),
    ];
    for (bytes, expected) in rows {
        assert_eq!(kind(bytes), *expected);
    }
    let mut far = b"PK\x03\x04".to_vec();
    far.resize(5_000, b'.');
    far.extend(b"data.pkl");
    assert_eq!(kind(&far), Kind::Unknown);
}
