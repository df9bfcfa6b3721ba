//! Who the server says it is where others listen on the way: certificates and a key, given as bytes,
//! become what encrypts a connection. It opens no file, and does not watch whether a certificate is
//! replaced: a service that gets a new one is started anew.

mod validity;

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::common::rfc3339;

/// Why certificates and a key are nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The first file has no certificate.
    #[error("there is no certificate in it; expected PEM, with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// A certificate cannot be read.
    #[error("a certificate in it cannot be read: {0}")]
    BadCertificate(String),
    /// The second file has no key.
    #[error(
        "there is no private key in it; expected PEM, with -----BEGIN PRIVATE KEY----- and without \
         a password"
    )]
    NoKey,
    /// The key cannot be used.
    #[error("the private key in it cannot be used: {0}")]
    BadKey(String),
    /// The certificate was made for another key.
    #[error("the private key in it is not the one that the certificate was made for")]
    KeyMismatch,
    /// Nobody would believe the certificate any more.
    #[error("the certificate in it ended on {ended}; its clients would refuse it")]
    Expired {
        /// When, in UTC.
        ended: String,
    },
    /// Nobody would believe the certificate yet.
    #[error("the certificate in it begins on {begins}; its clients would refuse it until then")]
    NotYet {
        /// When, in UTC.
        begins: String,
    },
}

impl IdentityError {
    /// Whether the key is to blame, and not the certificates.
    pub fn is_of_the_key(&self) -> bool {
        matches!(self, IdentityError::NoKey | IdentityError::BadKey(_) | IdentityError::KeyMismatch)
    }
}

/// Certificates and their key, ready to encrypt connections.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

impl Identity {
    /// Reads PEM: the server's own certificate, followed by those that vouch for it, and its private
    /// key, in PKCS#8, PKCS#1 or SEC1. `now` is the time that the certificate has to be good at.
    ///
    /// # Errors
    /// Something is not there, cannot be read, does not belong together or is out of date.
    pub fn from_pem(
        certificates: &[u8],
        key: &[u8],
        now: SystemTime,
    ) -> Result<Identity, IdentityError> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|error| IdentityError::BadCertificate(error.to_string()))?;
        let Some(own) = chain.first() else { return Err(IdentityError::NoCertificate) };
        in_time(own, now)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => IdentityError::NoKey,
            error => IdentityError::BadKey(error.to_string()),
        })?;
        // The same arithmetic as the store's client has: ring, which needs no tools of its own to build.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        provider
            .key_provider
            .load_private_key(key.clone_key())
            .map_err(|error| IdentityError::BadKey(error.to_string()))?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => IdentityError::KeyMismatch,
            error => IdentityError::BadCertificate(error.to_string()),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Identity(Arc::new(config)))
    }

    /// What greets connections.
    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        self.0.clone().into()
    }
}

/// Whether a certificate is good now.
fn in_time(certificate: &[u8], now: SystemTime) -> Result<(), IdentityError> {
    let Some((begins_s, ends_s)) = validity::of(certificate) else {
        return Err(IdentityError::BadCertificate("it does not say how long it is good".into()));
    };
    let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if now_s < begins_s {
        return Err(IdentityError::NotYet { begins: rfc3339(begins_s as f64) });
    }
    if now_s > ends_s {
        return Err(IdentityError::Expired { ended: rfc3339(ends_s as f64) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A certificate that is good from the one day to the other, and its key.
    fn made(from: (i32, u8, u8), to: (i32, u8, u8)) -> (String, String) {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
        let key = rcgen::KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    /// A moment of the year 2026.
    const NOW_S: u64 = 1_780_000_000;

    fn read(certificate: &str, key: &str) -> Result<Identity, IdentityError> {
        let now = UNIX_EPOCH + Duration::from_secs(NOW_S);
        Identity::from_pem(certificate.as_bytes(), key.as_bytes(), now)
    }

    #[test]
    fn what_belongs_together_is_an_identity_and_each_fault_has_its_name() {
        let (good, key) = made((2020, 1, 1), (2050, 1, 1));
        let (other, other_key) = made((2020, 1, 1), (2049, 12, 31));
        assert!(read(&good, &key).is_ok());
        assert!(read(&format!("{good}{other}"), &key).is_ok(), "the first is the server's own");
        let both = format!("{key}{good}");
        assert!(read(&both, &both).is_ok(), "one file may hold both");
        let old = made((2020, 1, 1), (2021, 2, 3));
        let future = made((2050, 1, 1), (2051, 1, 1));
        let cut = good.replacen("\nM", "\n", 1);
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let bad_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        type Row<'a> = (&'a str, &'a str, fn(&IdentityError) -> bool);
        let rows: &[Row<'_>] = &[
            ("", &key, |e| *e == IdentityError::NoCertificate),
            (&key, &key, |e| *e == IdentityError::NoCertificate),
            (garbage, &key, |e| matches!(e, IdentityError::BadCertificate(_))),
            (&cut, &key, |e| matches!(e, IdentityError::BadCertificate(_))),
            (&good, "", |e| *e == IdentityError::NoKey),
            (&good, &good, |e| *e == IdentityError::NoKey),
            (&good, locked, |e| *e == IdentityError::NoKey),
            (&good, bad_key, |e| matches!(e, IdentityError::BadKey(_))),
            (&good, &other_key, |e| *e == IdentityError::KeyMismatch),
            (&other, &key, |e| *e == IdentityError::KeyMismatch),
            (&old.0, &old.1, |e| e.to_string().contains("2021-02-03")),
            (&future.0, &future.1, |e| e.to_string().contains("2050-01-01")),
        ];
        for (index, (certificate, key, expected)) in rows.iter().enumerate() {
            let error = read(certificate, key).unwrap_err();
            assert!(expected(&error), "row {index}: {error:?}");
            let of_key = (4..=9).contains(&index);
            assert_eq!(error.is_of_the_key(), of_key, "row {index}: {error:?}");
        }
    }
}
