//! A session's log as bytes: records behind one another, each with its length and a checksum of
//! everything up to there. It knows no files, and not what a record says.
//!
//! ```text
//! byte  0 ┌─────────────────┐
//!         │ "ondine-s"      │  8 bytes
//!       8 │ version   u32   │  1
//!      12 │ zero      u32   │
//!      16 ├─────────────────┤
//!         │ length    u32   │  of the payload          ┐
//!         │ check     u32   │  low half of the sum     │
//!         │ payload         │  JSON                    │ again and again
//!         │ sum       u64   │  CRC-64                  │
//!         │ end       u8    │  0xED                    ┘
//!         └─────────────────┘
//! ```
//!
//! The sum of a record goes on from the sum of the record before, so that records stand only where they
//! were written: `check` covers everything up to the length, `sum` everything up to the payload's end,
//! but for the checks and sums themselves. All numbers are little endian.
//!
//! A record is one write, and it is on the disk before the next one begins. So a crash leaves at most
//! the beginning of one record, perhaps with zeros behind it where the file had grown already. That is a
//! torn tail: nobody was told of it, and it is cut. Anything else that is not a record is damage. The
//! end's mark is not zero, so that a whole record never looks like a torn one.

use crate::checksum::checksum;
use crate::limits::RECORD_BYTES_MAX;

const MAGIC: &[u8; 8] = b"ondine-s";
/// The version that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
/// Bytes before the first record.
const START: usize = 16;
/// Bytes before a record's payload.
const BEFORE: usize = 8;
/// Bytes behind it.
const BEHIND: usize = 9;
const END: u8 = 0xED;

/// Where a log ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bytes up to there.
    pub(crate) bytes: u64,
    /// The sum of them.
    sum: u64,
}

/// Why bytes are no log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another version of the format.
    Version(u32),
    /// What is wrong, and at which byte.
    Damage(String),
}

/// The beginning of a log.
pub(crate) fn begin() -> (Vec<u8>, Place) {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0; 4]);
    let place = Place { bytes: START as u64, sum: checksum(0, &bytes) };
    (bytes, place)
}

/// A record behind `place`, and the place behind it.
pub(crate) fn record(place: Place, payload: &[u8]) -> (Vec<u8>, Place) {
    debug_assert!(payload.len() <= RECORD_BYTES_MAX, "{} bytes", payload.len());
    let length = (payload.len() as u32).to_le_bytes();
    let check = checksum(place.sum, &length);
    let sum = checksum(check, payload);
    let mut bytes = Vec::with_capacity(BEFORE + payload.len() + BEHIND);
    bytes.extend(length);
    bytes.extend((check as u32).to_le_bytes());
    bytes.extend(payload);
    bytes.extend(sum.to_le_bytes());
    bytes.push(END);
    let place = Place { bytes: place.bytes + bytes.len() as u64, sum };
    (bytes, place)
}

/// The payloads of all whole records, and where they end: behind that is a torn tail, or nothing.
pub(crate) fn read(bytes: &[u8]) -> Result<(Vec<&[u8]>, Place), Fault> {
    let (expected, mut place) = begin();
    let start = bytes.get(..START).filter(|start| start.starts_with(MAGIC));
    let start = start.ok_or_else(|| Fault::Damage("it does not begin as a session".into()))?;
    if start != expected {
        let version = u32::from_le_bytes([start[8], start[9], start[10], start[11]]);
        return Err(match version {
            VERSION => Fault::Damage("at byte 12: there is something where nothing is".into()),
            other => Fault::Version(other),
        });
    }
    let (mut payloads, mut rest) = (Vec::new(), &bytes[START..]);
    while !rest.is_empty() {
        match next(place, rest) {
            Next::Record { payload, after, then } => {
                payloads.push(payload);
                (rest, place) = (after, then);
            }
            Next::Torn => break,
            Next::Damage(what) => {
                return Err(Fault::Damage(format!("at byte {}: {what}", place.bytes)));
            }
        }
    }
    Ok((payloads, place))
}

enum Next<'a> {
    Record { payload: &'a [u8], after: &'a [u8], then: Place },
    Torn,
    Damage(&'static str),
}

fn next(place: Place, rest: &[u8]) -> Next<'_> {
    // What is left without zeros at the end: as much of a torn write as can be told from nothing.
    let written = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let Some((before, _)) = rest.split_first_chunk::<BEFORE>() else { return Next::Torn };
    let [a, b, c, d, check @ ..] = *before;
    let length = [a, b, c, d];
    let expected = checksum(place.sum, &length);
    if check != (expected as u32).to_le_bytes() {
        let torn = written < BEFORE || has_hole(place.bytes, &rest[..written]);
        return if torn { Next::Torn } else { Next::Damage("a length is wrong") };
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > RECORD_BYTES_MAX {
        return Next::Damage("a record is longer than any that is written");
    }
    let whole = BEFORE + length + BEHIND;
    if written < whole {
        return Next::Torn;
    }
    let (payload, behind) = (&rest[BEFORE..BEFORE + length], &rest[BEFORE + length..whole]);
    let sum = checksum(expected, payload);
    if behind[..8] != sum.to_le_bytes() || behind[8] != END {
        let torn = written == whole && has_hole(place.bytes, &rest[..whole]);
        return if torn { Next::Torn } else { Next::Damage("a checksum is wrong") };
    }
    Next::Record {
        payload,
        after: &rest[whole..],
        then: Place { bytes: place.bytes + whole as u64, sum },
    }
}

/// Whether a whole sector's share of the `bytes`, which begin at `from` in the file, is zeros. The last record may
/// have been one write that was not synced: nothing keeps the sectors of that in order, and one that did
/// not arrive reads as zeros, of which JSON has none.
fn has_hole(from: u64, bytes: &[u8]) -> bool {
    let first = (SECTOR - from % SECTOR) as usize;
    let (first, others) = bytes.split_at(first.min(bytes.len()));
    let zeros = |share: &[u8]| !share.is_empty() && share.iter().all(|&byte| byte == 0);
    zeros(first) || others.chunks(SECTOR as usize).any(zeros)
}

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOADS: [&[u8]; 4] = [b"{}", b"", b"\0\0\0", b"four of them"];

    /// A log of all payloads, and where each record ends.
    fn log() -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut place) = begin();
        let mut ends = vec![bytes.len()];
        for payload in PAYLOADS {
            let (more, then) = record(place, payload);
            bytes.extend(more);
            place = then;
            ends.push(bytes.len());
            assert_eq!(place.bytes, bytes.len() as u64);
        }
        (bytes, ends)
    }

    #[test]
    fn every_beginning_reads_as_its_whole_records_with_zeros_behind_or_without() {
        let (bytes, ends) = log();
        for cut in START..=bytes.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
            for zeros in [0, 1, 7, 8, 600] {
                let torn = [&bytes[..cut], &vec![0; zeros]].concat();
                let (payloads, place) =
                    read(&torn).unwrap_or_else(|fault| panic!("{cut} {zeros}: {fault:?}"));
                assert_eq!(payloads, PAYLOADS[..whole], "{cut} {zeros}");
                assert_eq!(place.bytes as usize, ends[whole], "{cut} {zeros}");
            }
        }
        for cut in 0..START {
            assert!(read(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn no_byte_changes_unnoticed() {
        let (bytes, ends) = log();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut wrong = bytes.clone();
                wrong[at] ^= 1 << bit;
                assert!(read(&wrong).is_err(), "byte {at} bit {bit}");
            }
        }
        // Records that are out of their order, or from elsewhere, are none.
        let swapped =
            [&bytes[..START], &bytes[ends[1]..ends[2]], &bytes[ends[0]..ends[1]]].concat();
        assert!(read(&swapped).is_err());
        let missing = [&bytes[..START], &bytes[ends[1]..]].concat();
        assert!(read(&missing).is_err());
        let twice = [&bytes[..ends[1]], &bytes[ends[0]..]].concat();
        assert!(read(&twice).is_err());
        let more = [&bytes[..], b"behind the end"].concat();
        assert!(read(&more).is_err());
    }

    #[test]
    fn other_versions_are_told_by_their_number() {
        let (mut bytes, _) = log();
        bytes[8] = 2;
        assert_eq!(read(&bytes), Err(Fault::Version(2)));
        assert!(matches!(read(b""), Err(Fault::Damage(_))));
        assert!(matches!(read(&[0; 100]), Err(Fault::Damage(_))));
    }
}
