//! Which places of the network a tool may ask: the public ones. A model may be talked into asking for any
//! address, so that what it could reach from this device and others could not is refused: loopback,
//! private and local networks, addresses of clouds' metadata, and every other way to write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address is not asked; `None` where it may be.
///
/// The blocks are those of IANA's special-purpose registries (RFC 6890 and its successors).
pub(super) fn refusal(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => refusal_v4(ip),
        IpAddr::V6(ip) => refusal_v6(ip),
    }
}

fn refusal_v4(ip: Ipv4Addr) -> Option<&'static str> {
    const BLOCKS: &[([u8; 4], u32, &str)] = &[
        ([0, 0, 0, 0], 8, "this network"),
        ([10, 0, 0, 0], 8, "a private network"),
        ([100, 64, 0, 0], 10, "a provider's own network"),
        ([127, 0, 0, 0], 8, "this machine"),
        // 169.254.169.254 is where clouds hand out credentials.
        ([169, 254, 0, 0], 16, "the local link"),
        ([172, 16, 0, 0], 12, "a private network"),
        ([192, 0, 0, 0], 24, "reserved"),
        ([192, 0, 2, 0], 24, "for documentation"),
        ([192, 88, 99, 0], 24, "a relay"),
        ([192, 168, 0, 0], 16, "a private network"),
        ([198, 18, 0, 0], 15, "for measurements"),
        ([198, 51, 100, 0], 24, "for documentation"),
        ([203, 0, 113, 0], 24, "for documentation"),
        ([224, 0, 0, 0], 4, "multicast"),
        ([240, 0, 0, 0], 4, "reserved"),
        // Public by its number, a cloud's own by its use.
        ([168, 63, 129, 16], 32, "a cloud's metadata"),
    ];
    let bits = ip.to_bits();
    let fits = |block: &&([u8; 4], u32, &str)| {
        let (base, length, _) = block;
        (bits ^ u32::from_be_bytes(*base)) >> (32 - length) == 0
    };
    BLOCKS.iter().find(fits).map(|(_, _, what)| *what)
}

fn refusal_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let parts = ip.segments();
    match parts {
        [0, 0, 0, 0, 0, 0, 0, 1] => return Some("this machine"),
        [0, 0, 0, 0, 0, 0xffff, ..] => return Some("an IPv4 address in other clothes"),
        // NAT64: networks without IPv4 reach it so. It is what is inside that counts.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            return refusal_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
        }
        _ => {}
    }
    match parts[0] {
        // Of what is not global unicast, nothing.
        first if first & 0xe000 != 0x2000 => Some("no public address"),
        0x2002 => Some("6to4, an IPv4 address in other clothes"),
        // Teredo, ORCHID, benchmarks and whatever else the IETF keeps there.
        0x2001 if parts[1] < 0x200 => Some("reserved"),
        0x2001 if parts[1] == 0xdb8 => Some("for documentation"),
        0x3fff if parts[1] < 0x1000 => Some("for documentation"),
        _ => None,
    }
}

/// Why a name is not even looked up; `None` where it may be.
pub(super) fn refusal_of_name(host: &str) -> Option<&'static str> {
    const INSIDE: &[&str] = &[
        "localhost",
        "local",
        "internal",
        "lan",
        "home",
        "corp",
        "intranet",
        "localdomain",
        "arpa",
        "onion",
        "test",
    ];
    let host = host.trim_end_matches('.');
    let last = host.rsplit('.').next().unwrap_or_default();
    if !host.contains('.') {
        return Some("a name without a domain");
    }
    INSIDE.contains(&last).then_some("a name of this machine's own network")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_refused_and_the_public_is_not() {
        let refused = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "2001::1",
            "2001:0:4136:e378::",
            "2001:db8::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "100::1",
            "3fff::1",
            "5f00::1",
        ];
        for ip in refused {
            assert!(refusal(ip.parse().unwrap()).is_some(), "{ip}");
        }
        let asked = [
            "1.1.1.1",
            "8.8.8.8",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.1.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "198.17.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "64:ff9b::808:808",
        ];
        for ip in asked {
            assert_eq!(refusal(ip.parse().unwrap()), None, "{ip}");
        }
        for name in [
            "localhost",
            "a.localhost",
            "x.local.",
            "metadata.google.internal",
            "printer",
            "router.lan",
            "1.0.0.127.in-addr.arpa",
        ] {
            assert!(refusal_of_name(name).is_some(), "{name}");
        }
        assert_eq!(refusal_of_name("example.org"), None);
    }
}
