//! The files that HTTPS takes: certificates, and a key that nobody else may read. What they must be is
//! the server's affair; that they are small regular files, and whose, is looked at here.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use ondine_server::Identity;

use crate::failure::Failure;
use crate::output;

/// Far above any chain of certificates.
const BYTES_MAX: u64 = 1 << 20;

/// Reads certificates and their key.
pub(crate) fn read(certificates: &Path, key: &Path) -> Result<Identity, Failure> {
    let (chain, secret) = (bytes(certificates)?, bytes(key)?);
    private(key)?;
    Identity::from_pem(&chain, &secret, SystemTime::now()).map_err(|error| {
        let place = if error.is_of_the_key() { key } else { certificates };
        Failure::from_error(&error).at(place.display())
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || -> Result<Vec<u8>, Failure> {
        // Asked before opening: opening a pipe would wait for its other end.
        if !fs::metadata(path)?.is_file() {
            return Err(Failure::new("is no regular file; expected PEM"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > BYTES_MAX {
            let limit = output::bytes(BYTES_MAX);
            return Err(Failure::new(format!("holds more than {limit}; expected PEM")));
        }
        Ok(bytes)
    };
    read().map_err(|failure| failure.at(path.display()))
}

/// A key that others can read is no secret, and one that others can write is theirs. A group may read
/// it: that is how systems hand keys to services.
#[cfg(unix)]
fn private(key: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(key)?.permissions().mode() & 0o777;
    if mode & 0o027 == 0 {
        return Ok(());
    }
    let place = key.display();
    Err(Failure::new(format!(
        "others can read or change this private key (its mode is {mode:03o})"
    ))
    .at(&place)
    .hint(format!(
        "`chmod 600 {place}`; who may have read it can answer in its name: a new key is safer"
    )))
}

/// Other systems have other words for who may read a file.
#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), Failure> {
    Ok(())
}
