//! CRC-64/XZ, which goes on where it stopped. It finds what disks and memory do to bytes by accident;
//! it does not keep anybody from forging them.

/// ECMA-182, bits reversed.
const POLYNOMIAL: u64 = 0xC96C_5795_D787_0F42;

const TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ POLYNOMIAL } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}

/// The sum of all that `so_far` is the sum of, and of `bytes` behind it. The sum of nothing is 0.
pub(crate) fn checksum(so_far: u64, bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    !bytes.iter().fold(!so_far, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_one_that_others_call_by_this_name() {
        assert_eq!(checksum(0, b"123456789"), 0x995D_C9BB_DF19_39FA);
        assert_eq!(checksum(checksum(0, b"1234"), b"56789"), checksum(0, b"123456789"));
        assert_eq!(checksum(0, b""), 0);
    }
}
