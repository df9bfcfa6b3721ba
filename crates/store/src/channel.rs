//! What a name remembers of the channel that it follows, and what it makes of a new offer. Pure:
//! nothing is fetched or written here.
//!
//! ```text
//!   version      what the name stands for
//!   highest      the highest version that was ever seen, and its content: nothing below it comes
//!                again by itself, also after a rollback
//!   declined     a version that was rolled back from, or that failed its check
//!   spare        the one other version that is on the disk
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::name::ModelName;
use crate::release::{Key, Release};

/// What a name remembers of its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Whose releases are followed.
    pub key: Key,
    /// The version that the name stands for.
    pub version: u64,
    /// The highest version that was ever offered with this name's key.
    pub highest: u64,
    /// What that version's content is.
    pub highest_blob: Digest,
    /// A version that is not taken again unless somebody asks for it.
    pub declined: Option<u64>,
    /// The version before, or the one that was rolled back from.
    pub spare: Option<Spare>,
}

/// A version that a name does not stand for now, and that is still here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spare {
    /// Which version.
    pub version: u64,
    /// Its content.
    pub blob: Digest,
    /// Its length.
    pub bytes: u64,
    /// When it first became the name's content, in seconds since 1970.
    pub created_s: u64,
    /// What the caller's check found out about it.
    pub about: BTreeMap<String, String>,
}

/// What else than the next version may be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// A version below the highest that was seen.
    pub downgrade: bool,
    /// A version that was rolled back from, or that failed its check.
    pub declined: bool,
}

/// A release that was verified, for a name.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) release: Release,
    pub(crate) key: Key,
    pub(crate) terms: Terms,
    /// The name must be there already.
    pub(crate) update: bool,
}

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is to be fetched and switched to.
    Take,
    /// It is what the name stands for.
    Here,
    /// It was declined before.
    Declined,
}

impl Offer {
    /// Compares an offer with what a name remembers.
    pub(crate) fn judge(
        &self,
        name: &ModelName,
        now: Option<&Manifest>,
    ) -> Result<Verdict, StoreError> {
        let Some((now, channel)) = now.and_then(|now| Some((now, now.channel.as_ref()?))) else {
            return Ok(Verdict::Take);
        };
        let Release { version, digest, .. } = self.release;
        let spare = channel.spare.as_ref().map(|spare| (spare.version, spare.blob));
        let known =
            [(channel.version, now.blob), (channel.highest, channel.highest_blob)].into_iter();
        if known.chain(spare).any(|(known, blob)| known == version && blob != digest) {
            return Err(StoreError::Rewritten { name: name.clone(), version });
        }
        if version == channel.version {
            return Ok(Verdict::Here);
        }
        if version < channel.highest && !self.terms.downgrade {
            let (name, highest) = (name.clone(), channel.highest);
            return Err(StoreError::Downgrade { name, offered: version, highest });
        }
        let declined = channel.declined == Some(version);
        Ok(if declined && !self.terms.declined { Verdict::Declined } else { Verdict::Take })
    }

    /// What is remembered of an offer that was seen, whatever becomes of it.
    pub(crate) fn seen(&self, channel: &Channel) -> Channel {
        let mut channel = Channel { key: self.key.clone(), ..channel.clone() };
        if self.release.version > channel.highest {
            (channel.highest, channel.highest_blob) = (self.release.version, self.release.digest);
        }
        channel
    }

    /// What is remembered when a name, which stands for `now`, is switched to the offer.
    pub(crate) fn taken(&self, now: Option<&Manifest>) -> Channel {
        let Release { version, digest, .. } = self.release;
        let fresh = Channel {
            key: self.key.clone(),
            version,
            highest: version,
            highest_blob: digest,
            declined: None,
            spare: None,
        };
        let Some((now, channel)) = now.and_then(|now| Some((now, now.channel.as_ref()?))) else {
            return fresh;
        };
        let seen = self.seen(channel);
        Channel {
            version,
            declined: seen.declined.filter(|declined| *declined > version),
            spare: Some(Spare::of(now, channel)),
            ..seen
        }
    }
}

impl Spare {
    fn of(manifest: &Manifest, channel: &Channel) -> Spare {
        Spare {
            version: channel.version,
            blob: manifest.blob,
            bytes: manifest.bytes,
            created_s: manifest.created_s,
            about: manifest.about.clone(),
        }
    }
}

impl Channel {
    /// The version that a rollback would go to.
    pub fn rollback(&self) -> Option<&Spare> {
        self.spare.as_ref().filter(|spare| self.declined != Some(spare.version))
    }
}

impl Manifest {
    /// The same name with its two versions changed over, where that is a rollback.
    pub(crate) fn rolled_back(&self) -> Option<Manifest> {
        let channel = self.channel.as_ref()?;
        let spare = channel.rollback()?.clone();
        Some(Manifest {
            blob: spare.blob,
            bytes: spare.bytes,
            created_s: spare.created_s,
            about: spare.about,
            etag: None,
            channel: Some(Channel {
                version: spare.version,
                declined: Some(channel.version),
                spare: Some(Spare::of(self, channel)),
                ..channel.clone()
            }),
            ..self.clone()
        })
    }
}

/// A channel as it lies on the disk.
#[derive(Serialize, Deserialize)]
pub(crate) struct OnDisk {
    key: String,
    version: u64,
    highest: u64,
    highest_blob: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    declined: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spare: Option<SpareOnDisk>,
}

#[derive(Serialize, Deserialize)]
struct SpareOnDisk {
    version: u64,
    blob: String,
    bytes: u64,
    created_s: u64,
    #[serde(default)]
    about: BTreeMap<String, String>,
}

impl From<&Channel> for OnDisk {
    fn from(channel: &Channel) -> OnDisk {
        OnDisk {
            key: channel.key.to_string(),
            version: channel.version,
            highest: channel.highest,
            highest_blob: format!("sha256:{}", channel.highest_blob),
            declined: channel.declined,
            spare: channel.spare.as_ref().map(|spare| SpareOnDisk {
                version: spare.version,
                blob: format!("sha256:{}", spare.blob),
                bytes: spare.bytes,
                created_s: spare.created_s,
                about: spare.about.clone(),
            }),
        }
    }
}

impl TryFrom<OnDisk> for Channel {
    type Error = StoreError;

    fn try_from(on_disk: OnDisk) -> Result<Channel, StoreError> {
        let OnDisk { key, version, highest, highest_blob, declined, spare } = on_disk;
        let spare = match spare {
            Some(SpareOnDisk { version, blob, bytes, created_s, about }) => {
                let blob = Digest::from_registry(&blob)?;
                Some(Spare { version, blob, bytes, created_s, about })
            }
            None => None,
        };
        let highest_blob = Digest::from_registry(&highest_blob)?;
        Ok(Channel { key: key.parse()?, version, highest, highest_blob, declined, spare })
    }
}
