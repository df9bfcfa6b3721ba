//! Where a daemon is. Connects to nothing.

use ureq::http::Uri;

use crate::error::ClientError;

/// A daemon's address, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    base: String,
    /// Whether it is the machine that we are on.
    pub(crate) is_this_machine: bool,
}

impl Address {
    /// Reads `http://127.0.0.1:11435` and its like.
    pub(crate) fn new(url: &str) -> Result<Address, ClientError> {
        let (address, path) = Address::with_path(url)?;
        if !path.is_empty() {
            let reason = "a path does not belong there";
            return Err(ClientError::Address { url: url.to_owned(), reason });
        }
        Ok(address)
    }

    /// Reads `https://host/v1` and its like: all that is asked for is below that path.
    pub(crate) fn below(url: &str) -> Result<Address, ClientError> {
        let (mut address, path) = Address::with_path(url)?;
        address.base += &path;
        Ok(address)
    }

    /// The address, and its path without a slash at its end.
    fn with_path(url: &str) -> Result<(Address, String), ClientError> {
        let wrong = |reason| ClientError::Address { url: url.to_owned(), reason };
        let uri: Uri = url.trim().parse().map_err(|_| wrong("it is no address"))?;
        let authority = uri.authority().ok_or_else(|| wrong("it names no machine"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a name and a password do not belong there"));
        }
        if uri.query().is_some() {
            return Err(wrong("a question does not belong there"));
        }
        let host = authority.host();
        let is_this_machine = host.eq_ignore_ascii_case("localhost")
            || host
                .trim_matches(['[', ']'])
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_this_machine => {}
            Some("http") => return Err(wrong("a token would travel readable; use https")),
            _ => return Err(wrong("it begins with neither http:// nor https://")),
        }
        let scheme = uri.scheme_str().unwrap_or_default();
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok((Address { base: format!("{scheme}://{authority}"), is_this_machine }, path))
    }

    /// The address itself.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The address of a path, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// A text as one step of a path: what has a meaning there is written by its bytes.
pub(crate) fn step(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_machine_and_the_token_is_safe_on_the_way() {
        let rows = [
            ("http://127.0.0.1:11435", Some("http://127.0.0.1:11435")),
            (" http://127.0.0.1:11435/ ", Some("http://127.0.0.1:11435")),
            ("http://localhost:1", Some("http://localhost:1")),
            ("http://[::1]:1", Some("http://[::1]:1")),
            ("https://example.org", Some("https://example.org")),
            ("http://example.org", None),
            ("http://127.0.0.1.example.org", None),
            ("http://user:word@127.0.0.1", None),
            ("http://127.0.0.1/v1", None),
            ("http://127.0.0.1?x", None),
            ("ftp://127.0.0.1", None),
            ("127.0.0.1:11435", None),
            ("/v1", None),
            ("", None),
        ];
        for (url, expected) in rows {
            let address = Address::new(url).ok();
            assert_eq!(address.as_ref().map(Address::base), expected, "{url}");
        }
    }

    #[test]
    fn an_endpoint_may_be_below_a_path() {
        let rows = [
            ("https://example.org/v1", Some("https://example.org/v1")),
            ("https://example.org/api/v1/", Some("https://example.org/api/v1")),
            ("http://127.0.0.1:8080/v1", Some("http://127.0.0.1:8080/v1")),
            ("http://example.org/v1", None),
            ("https://example.org/v1?key=x", None),
            ("https://me@example.org/v1", None),
        ];
        for (url, expected) in rows {
            let address = Address::below(url).ok();
            assert_eq!(address.as_ref().map(Address::base), expected, "{url}");
        }
    }

    #[test]
    fn a_step_of_a_path_stays_one() {
        assert_eq!(step("session_0a-b"), "session_0a-b");
        assert_eq!(step("../é?"), "%2E%2E%2F%C3%A9%3F");
    }
}
