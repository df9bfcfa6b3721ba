//! From when to when a certificate is good: the one thing in it that is worth telling before clients
//! refuse it. It reads as much DER (ITU-T X.690) as leads there, and judges nothing else.

/// Seconds since 1970 of the first and the last moment; `None` where the bytes are no certificate of
/// years from 1970 on.
pub(super) fn of(certificate: &[u8]) -> Option<(u64, u64)> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    let (SEQUENCE, whole, _) = element(certificate)? else { return None };
    let (SEQUENCE, signed, _) = element(whole)? else { return None };
    // Before the times stand a version, which may be left out, and three that may not: a number, an
    // algorithm, an issuer.
    let (first, _, mut rest) = element(signed)?;
    for _ in 0..if first == VERSION { 3 } else { 2 } {
        rest = element(rest)?.2;
    }
    let (SEQUENCE, times, _) = element(rest)? else { return None };
    let (from_tag, from, times) = element(times)?;
    let (to_tag, to, _) = element(times)?;
    Some((moment(from_tag, from)?, moment(to_tag, to)?))
}

/// The first element: its tag, what is in it, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // More than four bytes of length is more than there is; 0x80 is a length that DER forbids.
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (inside, after) = rest.split_at_checked(length)?;
    Some((tag, inside, after))
}

/// `YYMMDDhhmmssZ`, where years below 50 are of this century, or `YYYYMMDDhhmmssZ`.
fn moment(tag: u8, text: &[u8]) -> Option<u64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let (digits, b"Z") = text.split_at_checked(text.len().checked_sub(1)?)? else { return None };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let two = |at: usize| number(&rest[at..at + 2]);
    let (month, day) = (two(0), two(2));
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + two(4) * 3600 + two(6) * 60 + two(8))
}

/// Days since 1970 (Howard Hinnant's `days_from_civil`, for years from 1970 on).
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March here, so that a leap day is the last of its year.
    let (year, from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_spellings() {
        let rows: [(u8, &str, Option<u64>); 12] = [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "991231235959Z", Some(946_684_799)),
            (0x17, "000229000000Z", Some(951_782_400)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x18, "20500101000000Z", Some(2_524_608_000)),
            (0x18, "21000301000000Z", Some(4_107_542_400)),
            (0x17, "691231235959Z", None),
            (0x17, "261301000000Z", None),
            (0x17, "260100000000Z", None),
            (0x17, "26010100000Z", None),
            (0x18, "260101000000Z", None),
            (0x17, "2601010000+1Z", None),
        ];
        for (tag, text, expected) in rows {
            assert_eq!(moment(tag, text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_times() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2000, 2, 29);
        params.not_after = rcgen::date_time_ymd(2100, 3, 1);
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(of(der), Some((951_782_400, 4_107_542_400)));
        for length in 0..der.len() {
            assert_eq!(of(&der[..length]), None, "cut at {length}");
        }
        // Whatever a byte becomes, it is an answer and no panic.
        for at in 0..der.len().min(200) {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut changed = der.to_vec();
                changed[at] = byte;
                let _ = of(&changed);
            }
        }
        assert_eq!(of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
