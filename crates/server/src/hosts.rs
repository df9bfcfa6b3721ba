//! Which names the server answers to, and which web pages may ask it. A page of a stranger can
//! make a browser send requests here, and a name server can make its own name mean this machine
//! (DNS rebinding); neither gets past these two checks. It knows no API and no token.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Uri, header};

use crate::Address;

/// The names that the server answers to besides `localhost`, `127.0.0.1` and `[::1]`.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// More names, without ports.
    pub names: Vec<String>,
    /// Origins that are no web page of these names, whole: `app://notes`.
    pub origins: Vec<String>,
}

const OWN: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What was given is no name of a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a host; expected one such as box.lan or 192.168.1.5, without a port")]
pub struct BadHost(String);

impl Hosts {
    /// Answers to one more name, or address.
    ///
    /// # Errors
    /// It is neither.
    pub fn allow(&mut self, name: &str) -> Result<(), BadHost> {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let name = match bare.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                let part =
                    |part: &str| !part.is_empty() && part.len() < 64 && part.bytes().all(fits);
                if name.len() > 253 || !name.split('.').all(part) {
                    return Err(BadHost(name.to_owned()));
                }
                name.to_owned()
            }
        };
        self.names.push(name);
        Ok(())
    }

    /// Answers to the address that is listened on, where it is one: all addresses of a machine are
    /// none of them. Whether there is a name that other machines can use.
    pub fn listening(&mut self, address: Address) -> bool {
        match address.ip() {
            ip if ip.is_unspecified() => {}
            IpAddr::V6(ip) => self.names.push(format!("[{ip}]")),
            IpAddr::V4(ip) => self.names.push(ip.to_string()),
        }
        !self.names.is_empty()
    }

    /// Whether `host`, perhaps with a port, is one of ours.
    fn knows(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port))
                if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                name
            }
            _ => host,
        };
        OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether the request is addressed to us: exactly one `Host`, of our names, and the same
    /// where the target itself names a host.
    pub(crate) fn addressed(&self, headers: &HeaderMap, target: &Uri) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().is_ok_and(|host| self.knows(host)),
            _ => false,
        };
        host && target.authority().is_none_or(|authority| self.knows(authority.as_str()))
    }

    /// Whether whoever's page sent this may: nobody's, or one of our names.
    pub(crate) fn welcome(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| self.allows(origin)),
            _ => false,
        }
    }

    fn allows(&self, origin: &str) -> bool {
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(|host| self.knows(host)) || self.origins.iter().any(|own| own == origin)
    }
}

/// Asks before a browser's request that is not simple.
pub(crate) const REQUEST_METHOD: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn hosts() -> Hosts {
        Hosts { names: vec!["box.lan".into()], origins: vec!["app://notes".into()] }
    }

    #[test]
    fn only_our_names_are_answered_to() {
        let rows: &[(&[&str], bool)] = &[
            (&["localhost"], true),
            (&["localhost:8080"], true),
            (&["LOCALHOST:1"], true),
            (&["127.0.0.1:80"], true),
            (&["[::1]"], true),
            (&["[::1]:80"], true),
            (&["box.lan:9"], true),
            (&["evil.com"], false),
            (&["127.0.0.1.evil.com"], false),
            (&["localhost.evil.com"], false),
            (&["localhost@evil"], false),
            (&["localhost:80@evil"], false),
            (&["evil@localhost"], false),
            (&["localhost."], false),
            (&["localhost:"], false),
            (&["localhost:8080:80"], false),
            (&["[::ffff:127.0.0.1]"], false),
            (&["0.0.0.0"], false),
            (&["127.1"], false),
            (&["2130706433"], false),
            (&[""], false),
            (&[], false),
            (&["localhost", "localhost"], false),
            (&["localhost", "evil.com"], false),
        ];
        for (values, expected) in rows {
            let headers = headers(header::HOST, values);
            let uri = Uri::from_static("/v1/models");
            assert_eq!(hosts().addressed(&headers, &uri), *expected, "{values:?}");
        }
    }

    #[test]
    fn names_that_are_told_are_names() {
        let known = |name: &str, host: &str| {
            let mut hosts = Hosts::default();
            hosts.allow(name).map(|()| hosts.knows(host))
        };
        let rows = [
            ("box.lan", "box.lan:443", true),
            ("Box", "box", true),
            ("192.168.1.5", "192.168.1.5:80", true),
            ("192.168.1.5", "192.168.1.50", false),
            ("fe80::1", "[fe80::1]:8443", true),
            ("[FE80::1]", "[fe80::1]", true),
            ("box.lan", "evil.box.lan", false),
        ];
        for (name, host, expected) in rows {
            assert_eq!(known(name, host), Ok(expected), "{name} {host}");
        }
        for bad in ["", "a b", "box:80", "https://box", "*.lan", "a..b", ".", "[box]", "a@b"] {
            assert!(known(bad, "x").is_err(), "{bad}");
        }
        let rows = [
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.1.5:1", true),
            ("[fe80::1]:1", true),
        ];
        for (address, expected) in rows {
            let mut hosts = Hosts::default();
            assert_eq!(hosts.listening(address.parse().unwrap()), expected, "{address}");
            assert_eq!(hosts.knows(address), expected, "{address}");
        }
    }

    #[test]
    fn a_target_with_a_host_is_held_to_the_same() {
        let rows = [
            ("http://localhost/v1/models", true),
            ("http://evil.com/v1/models", false),
            ("http://evil@localhost/", false),
        ];
        for (target, expected) in rows {
            let headers = headers(header::HOST, &["localhost"]);
            let uri = target.parse().unwrap();
            assert_eq!(hosts().addressed(&headers, &uri), expected, "{target}");
        }
    }

    #[test]
    fn only_our_own_pages_may_ask() {
        let rows: &[(&[&str], bool)] = &[
            (&[], true),
            (&["http://localhost"], true),
            (&["http://localhost:3000"], true),
            (&["https://127.0.0.1"], true),
            (&["http://[::1]:5"], true),
            (&["https://box.lan"], true),
            (&["app://notes"], true),
            (&["app://notes.evil"], false),
            (&["app://other"], false),
            (&["null"], false),
            (&["http://evil.com"], false),
            (&["http://localhost.evil"], false),
            (&["http://localhost@evil"], false),
            (&["http://evil/localhost"], false),
            (&["file://localhost"], false),
            (&["chrome-extension://localhost"], false),
            (&["http://localhost", "http://localhost"], false),
            (&[""], false),
        ];
        for (values, expected) in rows {
            assert_eq!(hosts().welcome(&headers(header::ORIGIN, values)), *expected, "{values:?}");
        }
    }
}
