//! Packs and documents, from where their images came from.

use offshoot_oci::ImageName;
use offshoot_store::RecordArea;

use super::check::Item;
use super::mend::Outcome;
use super::{Depth, Finding};
use crate::pull::Pulled;
use crate::records::ImageRecord;
use crate::{Error, Progress, PullOptions, Store};

impl Store {
    /// A document or a pack, by pulling the images that have it. What cannot be had again is put back.
    pub(super) fn fetch_again(
        &self,
        finding: &Finding,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Outcome>, Error> {
        // Nothing is touched that nobody knows a source of.
        let images = self.images_with(&finding.item)?;
        if images.is_empty() {
            return Err(Error::NotFound { what: "image that has", name: finding.subject.to_string() });
        }
        let Some(aside) = self.set_aside_damaged(finding, progress)? else { return Ok(None) };
        let path = finding.item.path(self);
        let mut last = Error::NotFound { what: "image that has", name: finding.subject.to_string() };
        for image in images {
            let pulled = self.pull_again(&image, options, progress);
            // Perhaps by others.
            if path.exists() {
                return Ok(Some(Outcome::FetchedAgain));
            }
            last = pulled.err().unwrap_or(Error::SourceChanged { image: image.reference });
        }
        let _ = self.directory.put_back(&aside, &path);
        if aside.exists() { Ok(Some(Outcome::SetAside(aside))) } else { Err(last) }
    }

    /// The documents that an image's record names.
    pub(super) fn fetch_documents(
        &self,
        finding: &Finding,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Option<Outcome>, Error> {
        let Item::Record(RecordArea::Images, name) = &finding.item else { return Ok(None) };
        let Some(image) = self.directory.record::<ImageRecord>(RecordArea::Images, name)? else {
            return Ok(None);
        };
        // With another document that was damaged it may have been pulled already.
        if !self.found_now(&finding.item, Depth::Quick, progress)?.is_empty() {
            self.pull_again(&image, options, progress)?;
        }
        Ok(Some(Outcome::FetchedAgain))
    }

    /// An image for the platform that it was pulled for; what is whole is not fetched again.
    pub(super) fn pull_again(
        &self,
        image: &ImageRecord,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled, Error> {
        let not_a_name = || Error::NotFound { what: "source of the image", name: image.reference.clone() };
        let name: ImageName = image.reference.parse().map_err(|_| not_a_name())?;
        let platform = image.platform.parse().map_err(|_| not_a_name())?;
        self.pull_for_use(&name, &PullOptions { platform: Some(platform), ..options.clone() }, progress)
    }

    /// The images that a document or pack is of.
    fn images_with(&self, item: &Item) -> Result<Vec<ImageRecord>, Error> {
        let has = |image: &ImageRecord| match item {
            Item::Blob(digest) => [image.manifest_digest, image.config_digest].contains(digest),
            Item::Entry(_, name) => image.layers.iter().any(|layer| *name == layer.diff_id.into()),
            _ => false,
        };
        let mut images = Vec::new();
        let mut unread = None;
        for (_, image) in self.directory.each_record::<ImageRecord>(RecordArea::Images)? {
            match image {
                Ok(image) => images.extend(Some(image).filter(has)),
                Err(error) => unread = Some(error),
            }
        }
        // It may be of the one that cannot be read.
        unread.filter(|_| images.is_empty()).map_or(Ok(images), |error| Err(error.into()))
    }
}
