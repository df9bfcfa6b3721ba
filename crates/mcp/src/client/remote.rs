//! A server that is asked over HTTP: only this machine in the clear, everybody else encrypted, and no
//! redirect followed: a server that is moved is named anew by whoever trusts it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::error::McpError;

/// How long a connection may take to come to be.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// An address to ask.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// `https://…`, or `http://` and this machine.
    pub url: String,
    /// What is sent as `Authorization: Bearer …`.
    pub token: Option<String>,
    /// Certificates in PEM that are believed instead of the web's authorities.
    pub roots: Option<Vec<u8>>,
}

impl Endpoint {
    /// An address, without a token.
    pub fn new(url: impl Into<String>) -> Endpoint {
        Endpoint { url: url.into(), ..Endpoint::default() }
    }

    /// The same with a token.
    pub fn token(self, token: impl Into<String>) -> Endpoint {
        Endpoint { token: Some(token.into()), ..self }
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What carries messages there and back.
pub(super) fn transport(
    endpoint: &Endpoint,
    message_bytes: usize,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, McpError> {
    let url = address(&endpoint.url)?;
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // The environment decides nothing here; and this machine is not asked through others.
        .no_proxy()
        .connect_timeout(CONNECT_TIME)
        .pool_max_idle_per_host(0)
        .tls_backend_preconfigured(encryption(endpoint.roots.as_deref())?)
        .build()
        .map_err(|error| McpError::Address(error.to_string()))?;
    let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
    config.auth_header.clone_from(&endpoint.token);
    config.max_sse_event_size = message_bytes;
    config.max_json_response_size = message_bytes;
    config.max_error_response_size = 4096;
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// An address that may be asked.
fn address(text: &str) -> Result<Url, McpError> {
    let wrong = |why: String| McpError::Address(format!("the address {text:?} {why}"));
    let url = Url::parse(text).map_err(|error| wrong(format!("is none: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(McpError::Address(
            "the address holds a name or a password; a token is given apart from it".into(),
        ));
    }
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let here = bare == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => Err(wrong("would be asked in the clear, which only this machine is".into())),
        _ => Err(wrong("begins neither with https:// nor with http://".into())),
    }
}

fn encryption(roots: Option<&[u8]>) -> Result<ClientConfig, McpError> {
    let mut store = RootCertStore::empty();
    match roots {
        None => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let failed =
                    |error: String| McpError::Address(format!("the certificates: {error}"));
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                store.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| McpError::Address(error.to_string()))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_in_the_clear() {
        let rows = [
            ("https://example.com/mcp", true),
            ("http://127.0.0.1:80/mcp", true),
            ("http://127.9.9.9/mcp", true),
            ("http://localhost:1/mcp", true),
            ("http://[::1]:1/mcp", true),
            ("http://example.com/mcp", false),
            ("http://localhost.example.com/mcp", false),
            ("http://0.0.0.0/mcp", false),
            ("https://user:secret@example.com/mcp", false),
            ("file:///etc/passwd", false),
            ("mcp", false),
        ];
        for (text, expected) in rows {
            assert_eq!(address(text).is_ok(), expected, "{text}");
        }
        let said = address("https://user:secret@example.com/").unwrap_err().to_string();
        assert!(!said.contains("secret"), "{said}");
        assert!(!format!("{:?}", Endpoint::new("https://a").token("secret")).contains("secret"));
    }
}
