//! Addresses of the web, as far as models are fetched from them, and where a redirect may lead.
//!
//! An address is taken apart once, here. It has no user, no password and no fragment, and only
//! characters that mean the same to everybody.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::StoreError;

/// The longest address: signed ones are long.
pub const URL_BYTES_MAX: usize = 8192;

/// An address with `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    secure: bool,
    /// Lower case; an IPv6 address with its brackets.
    host: String,
    port: u16,
    /// From the first slash on, with the query.
    path: String,
}

impl Url {
    /// Whether nobody on the way can read or change what is sent.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Whether another address belongs to the same server.
    pub fn same_origin(&self, other: &Url) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// The address of something below this one. Each part is one step; whatever could be read as
    /// more than one is escaped.
    pub fn below(&self, parts: &[&str]) -> Url {
        let mut path = self.path().trim_end_matches('/').to_string();
        for part in parts {
            path.push('/');
            // A step of only dots would be one upwards, escaped or not: callers refuse them, and
            // here they lose their meaning.
            let dots = !part.is_empty() && part.chars().all(|c| c == '.');
            for byte in part.bytes() {
                let plain = byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'.' | b'~' | b':');
                if plain && !dots {
                    path.push(char::from(byte));
                } else {
                    path.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        Url { path, ..self.clone() }
    }

    /// The same address with a query.
    pub fn with_query(&self, query: &str) -> Url {
        Url { path: format!("{}?{query}", self.path()), ..self.clone() }
    }

    /// The address of a file beside this one, whose name goes on where this one's ends.
    pub(crate) fn and(&self, end: &str) -> Url {
        let at = self.path().len();
        let path = format!("{}{end}{}", self.path(), &self.path[at..]);
        Url { path, ..self.clone() }
    }

    /// Whether the host is written as a place on this machine or in its own network.
    pub fn is_inside(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => {
                ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
            }
            Ok(IpAddr::V6(ip)) => {
                let mapped = ip.to_ipv4_mapped().is_some();
                mapped
                    || ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local()
            }
            Err(_) => self.is_named_inside(),
        }
    }

    fn is_named_inside(&self) -> bool {
        let host = self.host.trim_end_matches('.');
        let last = host.rsplit('.').next().unwrap_or_default();
        matches!(last, "localhost" | "local" | "internal")
    }

    /// Whether this machine itself is meant.
    pub fn is_this_machine(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Where a redirect leads to.
    ///
    /// # Errors
    /// It leads to something that is no address of the web, from a protected connection to an open
    /// one, or from outside into this machine's own network.
    pub fn redirect(&self, location: &str) -> Result<Url, StoreError> {
        let refused = |reason| {
            let to = location.chars().take(URL_BYTES_MAX).collect();
            StoreError::Redirect { from: self.to_string(), to, reason }
        };
        let target = self
            .join(location)
            .map_err(|_| refused("expected an http or https address without a user"))?;
        if self.secure && !target.secure {
            return Err(refused("it leaves https for http"));
        }
        if target.is_inside() && !self.is_inside() {
            return Err(refused("it leads from outside into this machine's own network"));
        }
        Ok(target)
    }

    /// A reference as it stands in a header, seen from here.
    fn join(&self, reference: &str) -> Result<Url, StoreError> {
        let scheme = if self.secure { "https" } else { "http" };
        let absolute = if let Some(rest) = reference.strip_prefix("//") {
            format!("{scheme}://{rest}")
        } else if reference.starts_with('/') {
            format!("{}{reference}", self.origin())
        } else if has_scheme(reference) {
            reference.to_string()
        } else {
            let folder = self.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{}{folder}/{reference}", self.origin())
        };
        absolute.parse()
    }

    fn origin(&self) -> String {
        let (scheme, usual) = if self.secure { ("https", 443) } else { ("http", 80) };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        format!("{scheme}://{}{port}", self.host)
    }
}

/// Whether a reference begins with a scheme, whichever.
fn has_scheme(reference: &str) -> bool {
    let end = reference.find([':', '/', '?']).unwrap_or(0);
    end > 0 && reference[end..].starts_with(':')
}

impl FromStr for Url {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Url, StoreError> {
        let wrong = |reason| {
            let text = text.chars().take(URL_BYTES_MAX).collect();
            Err(StoreError::Url { text, reason })
        };
        if text.len() > URL_BYTES_MAX {
            return wrong("expected at most 8192 bytes");
        }
        let odd = |byte: u8| !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte);
        if text.bytes().any(odd) {
            return wrong("expected plain characters; others are written as %41");
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return wrong("expected it to begin with http:// or https://");
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return wrong("expected it to begin with http:// or https://"),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return wrong("expected no user or password in it");
        }
        let after_bracket = authority.rfind(']').unwrap_or(0);
        let (host, port) = match authority[after_bracket..].rfind(':') {
            Some(at) => {
                let (host, port) = authority.split_at(after_bracket + at);
                match port[1..].parse::<u16>() {
                    Ok(port) if port > 0 => (host, port),
                    _ => return wrong("expected a port from 1 to 65535"),
                }
            }
            None => (authority, if secure { 443 } else { 80 }),
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return wrong("expected a host's name or address");
        }
        let path = if path.starts_with('/') { path.to_string() } else { format!("/{path}") };
        Ok(Url { secure, host, port, path })
    }
}

/// Whether text names a host in the one usual way.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']');
        return inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let labels = host.trim_end_matches('.').split('.');
    let mut last = "";
    for label in labels {
        if label.is_empty() || !label.chars().all(plain) {
            return false;
        }
        last = label;
    }
    // 2130706433, 0x7f.1 and 127.1 are addresses to a resolver: only the usual spelling is taken.
    let number = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    !number || host.parse::<std::net::Ipv4Addr>().is_ok()
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_once() {
        let rows = [
            ("https://Example.COM/a/b.gguf?x=1#part", Some("https://example.com/a/b.gguf?x=1")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080/")),
            ("http://[::1]:80/x", Some("http://[::1]/x")),
            ("https://h?x", Some("https://h/?x")),
            ("ftp://h/x", None),
            ("file:///etc/passwd", None),
            ("https://user@h/x", None),
            ("https://user:word@h/x", None),
            ("https://h:0/x", None),
            ("https://h:99999/x", None),
            ("https:///x", None),
            ("https://a b/x", None),
            ("https://h/模", None),
            ("https://h/\u{7}", None),
            ("https://h\\@evil/x", None),
            ("http://2130706433/", None),
            ("http://0x7f.0.0.1/", None),
            ("http://127.1/", None),
            ("http://a..b/", None),
            ("h/x", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let url = text.parse::<Url>().ok().map(|url| url.to_string());
            assert_eq!(url.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn redirects_have_limits() {
        let rows = [
            ("https://h/a/b", "c", Some("https://h/a/c")),
            ("https://h/a/b?q", "/c?d", Some("https://h/c?d")),
            ("https://h/a", "//other/c", Some("https://other/c")),
            ("https://h/a", "https://other/c", Some("https://other/c")),
            ("http://h/a", "https://h/a", Some("https://h/a")),
            ("https://h/a", "http://h/a", None),
            ("https://h/a", "file:///etc/passwd", None),
            ("https://h/a", "javascript:alert", None),
            ("https://h/a", "https://user@h/a", None),
            ("https://h/a", "https://127.0.0.1/a", None),
            ("https://h/a", "https://10.0.0.1/a", None),
            ("https://h/a", "https://169.254.169.254/a", None),
            ("https://h/a", "https://[::1]/a", None),
            ("https://h/a", "https://[::ffff:10.0.0.1]/a", None),
            ("https://h/a", "https://localhost/a", None),
            ("https://h/a", "https://x.localhost./a", None),
            ("https://h/a", "https://2130706433/a", None),
            ("http://127.0.0.1/a", "http://127.0.0.1:81/b", Some("http://127.0.0.1:81/b")),
        ];
        for (from, to, expected) in rows {
            let target = from.parse::<Url>().unwrap().redirect(to).ok();
            assert_eq!(target.map(|url| url.to_string()).as_deref(), expected, "{from} {to}");
        }
    }

    #[test]
    fn what_stands_beside_keeps_the_query() {
        for (text, expected) in [
            ("https://h/a/m.json", "https://h/a/m.json.minisig"),
            ("https://h/m.json?x=1", "https://h/m.json.minisig?x=1"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().and(".minisig").to_string(), expected);
        }
    }

    #[test]
    fn parts_stay_parts() {
        let base: Url = "https://h/api/".parse().unwrap();
        let rows = [
            (&["a", "b.gguf"][..], "https://h/api/a/b.gguf"),
            (&["refs/pr/1"], "https://h/api/refs%2Fpr%2F1"),
            (&["..", "x"], "https://h/api/%2E%2E/x"),
            (&["a b?#%"], "https://h/api/a%20b%3F%23%25"),
        ];
        for (parts, expected) in rows {
            assert_eq!(base.below(parts).to_string(), expected);
        }
    }
}
