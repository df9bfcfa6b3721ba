//! The next version of a model that follows signed releases, and the way back.
//!
//! An update is a pull whose release was verified and judged: the new content comes beside the old
//! one, is checked, and the name is switched by one rename. Both contents stay.

use crate::Store;
use crate::channel::{Offer, Terms, Verdict};
use crate::error::StoreError;
use crate::fetch::Watch;
use crate::manifest::Manifest;
use crate::name::ModelName;
use crate::pull::{Check, Pull, Wanted};
use crate::source::Source;

/// What came of an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// What the name stands for now.
    pub manifest: Manifest,
    /// The version before.
    pub from: u64,
    /// The version that it has now.
    pub version: u64,
    /// The version on offer: another one than it has where it was declined before.
    pub offered: u64,
    /// What the publisher says about the version on offer.
    pub notes: Option<String>,
}

impl Store {
    /// Asks for the newest release of a model, and switches to it. What was there before is one
    /// [`Store::rollback`] away.
    ///
    /// # Errors
    /// Those of [`Store::pull`], a model that follows no releases, and a release that is not signed,
    /// expired, or older than one that was seen. The name then stands for what it did before.
    pub fn update(
        &self,
        name: &ModelName,
        terms: Terms,
        check: &Check<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Updated, StoreError> {
        let updated = self.update_into(name, terms, check, watch);
        // As after a pull: the garbage can wait for the next one.
        let _ = self.sweep();
        updated
    }

    fn update_into(
        &self,
        name: &ModelName,
        terms: Terms,
        check: &Check<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Updated, StoreError> {
        let manifest = self.get(name)?;
        let unsigned =
            || StoreError::Unsigned { name: name.clone(), from: manifest.source.clone() };
        let channel = manifest.channel.as_ref().ok_or_else(unsigned)?;
        let source: Source = manifest.source.parse()?;
        let key = Some(channel.key.clone());
        let pull = Pull { source, name: Some(name.clone()), digest: None, key };
        let mut job = self.wanted(&pull, terms, watch)?;
        let offer = job.offer.as_mut().ok_or_else(unsigned)?;
        offer.update = true;
        let (offered, notes) = (offer.release.version, offer.release.notes.clone());
        let manifest = match self.consider(&job)? {
            (Verdict::Here | Verdict::Declined, Some(manifest)) => manifest,
            _ => self.bring(job, check, watch)?.manifest,
        };
        let from = channel.version;
        let version = manifest.channel.as_ref().map_or(from, |channel| channel.version);
        Ok(Updated { manifest, from, version, offered, notes })
    }

    /// Makes a name stand for the version before again, at once and without asking anybody. The
    /// version that it leaves stays here, and is taken again only where somebody asks for it.
    ///
    /// # Errors
    /// There is no such name, it follows no releases, or no earlier version is here.
    pub fn rollback(&self, name: &ModelName) -> Result<Manifest, StoreError> {
        let _names = self.lock_names()?;
        let manifest = self.get(name)?;
        if manifest.channel.is_none() {
            let (name, from) = (name.clone(), manifest.source);
            return Err(StoreError::Unsigned { name, from });
        }
        let back = manifest.rolled_back().filter(|back| self.has(Some(back)));
        let back = back.ok_or_else(|| StoreError::NoRollback { name: name.clone() })?;
        back.write(&self.layout, name)?;
        Ok(back)
    }

    /// Compares an offer with what its name remembers, and remembers that it was made: what is
    /// offered later must not be below it. Gives what the name stands for, too.
    pub(crate) fn consider(&self, job: &Wanted) -> Result<(Verdict, Option<Manifest>), StoreError> {
        let Some(offer) = &job.offer else { return Ok((Verdict::Take, None)) };
        let (mut verdict, now) = self.remember(job, offer)?;
        if verdict == Verdict::Here && !self.has(now.as_ref()) {
            // Somebody deleted the content by hand.
            verdict = Verdict::Take;
        }
        Ok((verdict, now))
    }

    fn remember(
        &self,
        job: &Wanted,
        offer: &Offer,
    ) -> Result<(Verdict, Option<Manifest>), StoreError> {
        let _names = self.lock_names()?;
        let mut now = self.named(job)?;
        let verdict = offer.judge(&job.name, now.as_ref())?;
        if let Some(now) = &mut now
            && let Some(channel) = &now.channel
            && offer.seen(channel) != *channel
        {
            now.channel = Some(offer.seen(channel));
            now.write(&self.layout, &job.name)?;
        }
        Ok((verdict, now))
    }

    /// Remembers that an offer's content is not what the caller's check wants.
    pub(crate) fn decline(&self, job: &Wanted) -> Result<(), StoreError> {
        let Some(offer) = &job.offer else { return Ok(()) };
        let _names = self.lock_names()?;
        let Some(mut now) = self.named(job)? else { return Ok(()) };
        if let Some(channel) = &mut now.channel {
            channel.declined = Some(offer.release.version);
            now.write(&self.layout, &job.name)?;
        }
        Ok(())
    }
}
