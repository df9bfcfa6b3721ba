//! Addresses of the web, taken apart once and in one way only: what a resolver, a proxy and a person could
//! read differently is refused.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an address at most.
const BYTES_MAX: usize = 4096;

/// An address with `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) secure: bool,
    /// In lower case; an IPv6 address without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// With the query, from the first slash on.
    pub(super) path: String,
}

impl Address {
    /// The address that a text is.
    pub(super) fn read(text: &str) -> Result<Address, &'static str> {
        let text = text.trim();
        if text.len() > BYTES_MAX {
            return Err("it has more than 4096 bytes");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err("it contains blanks, backslashes or control characters");
        }
        let (scheme, rest) = text.split_once("://").ok_or("expected http:// or https://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("expected http:// or https://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("it contains a user or a password");
        }
        let usual = if secure { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or("a bracket is not closed")?;
                host.parse::<Ipv6Addr>().map_err(|_| "expected an IPv6 address in brackets")?;
                (host, after)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => usual,
            Some(digits) if digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|port| *port > 0).ok_or("its port is none")?
            }
            _ => return Err("its port is none"),
        };
        let host = host.to_ascii_lowercase();
        if !authority.starts_with('[') {
            named(&host)?;
        }
        let mut escaped = String::with_capacity(path.len() + 1);
        if !path.starts_with('/') {
            escaped.push('/');
        }
        for byte in path.bytes() {
            if byte.is_ascii_graphic() && !b"\"<>^`{|}".contains(&byte) {
                escaped.push(char::from(byte));
            } else {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }
        Ok(Address { secure, host, port, path: escaped })
    }

    /// The number that the host is, where it is one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Where a reference that stands here leads to.
    pub(super) fn join(&self, reference: &str) -> Result<Address, &'static str> {
        let reference = reference.trim();
        let head = reference.split(['/', '?', '#']).next().unwrap_or_default();
        if head.contains(':') {
            return Address::read(reference);
        }
        let scheme = if self.secure { "https" } else { "http" };
        if reference.starts_with("//") {
            return Address::read(&format!("{scheme}:{reference}"));
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let whole = match reference {
            _ if reference.starts_with('/') => reference.to_owned(),
            _ if reference.starts_with('?') => format!("{path}{reference}"),
            "" => path.to_owned(),
            _ => format!("{}/{reference}", path.rsplit_once('/').map_or("", |(folder, _)| folder)),
        };
        Address::read(&format!("{}{whole}", self.origin()))
    }

    fn origin(&self) -> String {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        match self.host.contains(':') {
            true => format!("{scheme}://[{}]{port}", self.host),
            false => format!("{scheme}://{}{port}", self.host),
        }
    }
}

/// Whether a host is a name or an address in the one usual spelling.
fn named(host: &str) -> Result<(), &'static str> {
    if !host.is_ascii() {
        return Err("its host has other letters than a to z; write it as xn--…");
    }
    let plain = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let bare = host.strip_suffix('.').unwrap_or(host);
    if bare.len() > 253 || !bare.split('.').all(plain) {
        return Err("expected a host's name or address");
    }
    // 2130706433, 0x7f.1, 0177.0.0.1 and 127.1 are addresses to some resolvers.
    let last = bare.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    if number && host.parse::<Ipv4Addr>().is_err() {
        return Err("expected a host's name, or an address as four numbers");
    }
    Ok(())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_one_way() {
        let rows = [
            ("https://Example.org/a?b=1#c", Some("https://example.org/a?b=1")),
            ("http://example.org:80", Some("http://example.org/")),
            (
                "https://zh.wikipedia.org/wiki/北京",
                Some("https://zh.wikipedia.org/wiki/%E5%8C%97%E4%BA%AC"),
            ),
            ("http://[2606:4700::1]:8080/x", Some("http://[2606:4700::1]:8080/x")),
            ("ftp://example.org/", None),
            ("file:///etc/passwd", None),
            ("javascript:alert(1)", None),
            ("//example.org/", None),
            ("http://user@example.org/", None),
            ("http://user:word@example.org/", None),
            ("http://a@b@example.org/", None),
            ("http://example.org\\@10.0.0.1/", None),
            ("http://example.org:0/", None),
            ("http://example.org:+80/", None),
            ("http://example.org:99999/", None),
            ("http://2130706433/", None),
            ("http://0x7f.0.0.1/", None),
            ("http://0177.0.0.1/", None),
            ("http://127.1/", None),
            ("http://①②⑦.0.0.1/", None),
            ("http://ｅxample.org/", None),
            ("http://exa mple.org/", None),
            ("http://example.org/\r\nHost: x", None),
            ("http://[::1/", None),
            ("http://[::1%eth0]/", None),
            ("http://[::1]x/", None),
            ("http://a..b/", None),
            ("http:///x", None),
        ];
        for (text, expected) in rows {
            let read = Address::read(text).ok().map(|address| address.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
        let base = Address::read("https://h.org/a/b?q").unwrap();
        let join = |reference: &str| base.join(reference).ok().map(|address| address.to_string());
        assert_eq!(join("c").as_deref(), Some("https://h.org/a/c"));
        assert_eq!(join("/c?d").as_deref(), Some("https://h.org/c?d"));
        assert_eq!(join("?d").as_deref(), Some("https://h.org/a/b?d"));
        assert_eq!(join("//other.org/c").as_deref(), Some("https://other.org/c"));
        assert_eq!(join("file:///etc/passwd"), None);
        assert_eq!(join("mailto:x@y.z"), None);
    }
}
