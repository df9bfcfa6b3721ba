//! Which names the server answers to, and which web pages may ask it. A page of a stranger can
//! make a browser send requests here, and a name server can make its own name mean this machine
//! (DNS rebinding); neither gets past these two checks. It knows no API and no token.

use axum::http::{HeaderMap, HeaderName, Uri, header};

/// The names that the server answers to besides `localhost`, `127.0.0.1` and `[::1]`.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// More names, without ports.
    pub names: Vec<String>,
    /// Origins that are no web page of these names, whole: `app://notes`.
    pub origins: Vec<String>,
}

const OWN: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Hosts {
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
