use std::num::NonZero;
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot_layer::{Limits, Packed, Request};
use offshoot_oci::{
    Document, ImageName, ImageSource, LayerSource, LocalOptions, PackedLayer, Platform, RegistryOptions,
    SourceImage, SourceOptions, media_type,
};
use offshoot_store::{Area, Digest, EntryName, Expected, Lease, RecordArea};

use crate::progress::{Cancellable, Event, Progress};
use crate::records::{self, ImageRecord, LayerRecord};
use crate::{Error, Store};

/// What a pull may be told.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Which image of an index; the host's by default.
    pub platform: Option<Platform>,
    /// What a layer may ask for.
    pub limits: Limits,
    /// When an image is fetched that may be in the store already.
    pub policy: PullPolicy,
    /// How registries are talked to. Its place for downloads under way is the store's, unless one is named.
    pub registry: RegistryOptions,
    /// How podman's, buildah's and Docker's programs are run.
    pub local: LocalOptions,
}

/// When an image is fetched that may be in the store already.
///
/// ```
/// assert_eq!("never".parse(), Ok(offshoot::PullPolicy::Never));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// An image of a registry that is in the store, whole, is used as it is; what is on this host is looked at.
    #[default]
    Missing,
    /// The source is always asked what the name stands for now; layers that are packed are not fetched again.
    Always,
    /// Only the store is looked at; neither a network nor any other source is needed.
    Never,
}

/// A policy that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a pull policy: missing, always and never are")]
pub struct UnknownPolicy(String);

impl FromStr for PullPolicy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text {
            "missing" => Ok(Self::Missing),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(UnknownPolicy(text.to_owned())),
        }
    }
}

/// The most layers that are packed at once; each keeps about two cores busy.
const MAX_PARALLEL_LAYERS: usize = 4;

impl Store {
    /// Fetches an image and packs its layers; those that are packed already are not read again.
    ///
    /// `Ok` promises that manifest, config and every layer are what their digests say, and in the store for good.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let image = store.pull(&"scratch:".parse()?, &PullOptions::default(), &Quiet)?;
    /// assert!(image.layers.is_empty());
    /// assert_eq!(store.images()?, [image]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pull(
        &self,
        image: &ImageName,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<ImageRecord, Error> {
        Ok(self.pull_for_use(image, options, progress)?.record)
    }

    /// The same for a caller who needs what was pulled: it stays for as long as what is returned.
    pub(crate) fn pull_for_use(
        &self,
        image: &ImageName,
        options: &PullOptions,
        progress: &dyn Progress,
    ) -> Result<Pulled, Error> {
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let reference = image.canonical().map_err(Error::image_name(image))?;
        let is_remote = is_remote(image);
        if let Some(KnownImage { record, config }) = self.known_image(image, options)?
            && let Some(packs) = self.lease_packs(&record)?
        {
            return Ok(Pulled { record, config, packs });
        }
        if options.policy == PullPolicy::Never {
            return Err(Error::NotPulled { image: reference, platform: platform.to_string() });
        }
        let spool = self.directory.stage()?;
        let mut registry = options.registry.clone();
        registry.partials.get_or_insert_with(|| self.directory.downloads());
        let local = options.local.clone();
        let source = SourceOptions { registry, local, ..SourceOptions::new(spool.path()) };
        let source = offshoot_oci::open(image, &source)?;
        let resolved = source.resolve(&platform)?;
        // A network is waited for more than a processor.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let parallel = if is_remote { MAX_PARALLEL_LAYERS } else { cores.min(MAX_PARALLEL_LAYERS) };
        let packed = self.pack_layers(source.as_ref(), &resolved, &options.limits, parallel, progress)?;
        let (layers, packs): (Vec<_>, Vec<_>) = packed.into_iter().unzip();
        // A pack that was found may be somebody's who has not come to sync it.
        self.directory.sync_area(Area::Layers)?;
        let (manifest, config) = match (resolved.manifest, resolved.config) {
            (Some(manifest), Some(config)) => (manifest, config),
            _ => synthesize(&platform, &resolved.layers, &layers),
        };
        // They stay until the record names them.
        let (manifest_digest, _manifest) = self.directory.put_blob(&manifest.bytes)?;
        let (config_digest, _config) = self.directory.put_blob(&config.bytes)?;
        let record = ImageRecord {
            version: records::VERSION,
            platform: platform.to_string(),
            manifest_digest,
            config_digest,
            layers,
            pulled_at: records::now(),
            reference,
        };
        let name = image_entry(&record.reference, &record.platform);
        self.directory.put_record(RecordArea::Images, &name, &record)?;
        Ok(Pulled { record, config: config.bytes, packs })
    }

    /// The image as it was last pulled, where that is good enough, and if its documents are there.
    pub(crate) fn known_image(
        &self,
        image: &ImageName,
        options: &PullOptions,
    ) -> Result<Option<KnownImage>, Error> {
        match options.policy {
            PullPolicy::Never => {}
            PullPolicy::Missing if is_remote(image) => {}
            PullPolicy::Missing | PullPolicy::Always => return Ok(None),
        }
        let platform = options.platform.clone().unwrap_or_else(Platform::host);
        let reference = image.canonical().map_err(Error::image_name(image))?;
        let name = image_entry(&reference, &platform.to_string());
        let Some(record) = self.directory.record::<ImageRecord>(RecordArea::Images, &name)? else {
            return Ok(None);
        };
        if !self.directory.has_blob(record.manifest_digest)? {
            return Ok(None);
        }
        let config = self.blob(record.config_digest)?;
        Ok(config.map(|config| KnownImage { record, config }))
    }

    /// The packs of all layers of an image; `None` where one is missing.
    pub(crate) fn lease_packs(&self, image: &ImageRecord) -> Result<Option<Vec<Lease>>, Error> {
        let lease = |layer: &LayerRecord| Ok(self.directory.lease(Area::Layers, &layer.diff_id.into())?);
        image.layers.iter().map(lease).collect()
    }

    /// Packs all layers, several at once, the largest first since the last one to finish counts.
    fn pack_layers(
        &self,
        source: &dyn ImageSource,
        image: &SourceImage,
        limits: &Limits,
        parallel: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>, Error> {
        let count = image.layers.len();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(image.layers[index].expected.size));
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<Result<Found, Error>>>> =
            (0..count).map(|_| Mutex::new(None)).collect();
        let work = || {
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let job = LayerJob { index, count, layer: &image.layers[index], limits, progress };
                let result = self.ensure_packed(&job, source, image);
                if result.is_err() {
                    // Nobody starts another layer of an image that cannot be had.
                    next.store(count, Ordering::Relaxed);
                }
                if let Ok(mut slot) = results[index].lock() {
                    *slot = Some(result);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..parallel.min(count) {
                scope.spawn(work);
            }
            work();
        });
        let results: Vec<_> =
            results.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect();
        let layers = results.into_iter().collect::<Result<Vec<_>, Error>>()?;
        debug_assert_eq!(layers.len(), count);
        Ok(layers)
    }

    /// The pack of one layer: found, or made by exactly one of all who want it at once.
    fn ensure_packed(
        &self,
        job: &LayerJob<'_>,
        source: &dyn ImageSource,
        image: &SourceImage,
    ) -> Result<Found, Error> {
        let started = || {
            job.progress.event(Event::LayerStarted {
                index: job.index,
                count: job.count,
                blob: job.layer.expected.digest,
                bytes: job.layer.expected.size,
            });
        };
        let finished = |reused| job.progress.event(Event::LayerFinished { index: job.index, reused });
        let known = |diff_id| LayerRecord {
            diff_id,
            blob: job.layer.expected.digest,
            blob_bytes: job.layer.expected.size,
        };
        let Some(diff_id) = job.layer.diff_id else {
            started();
            let (packed, lease) = self.pack(job, source.open_layer(image, job.index)?)?;
            finished(false);
            let record = LayerRecord {
                diff_id: packed.diff_id,
                blob: Some(packed.blob),
                blob_bytes: Some(packed.blob_bytes),
            };
            return Ok((record, lease));
        };
        let name = EntryName::from(diff_id);
        let found = |lease| {
            started();
            finished(true);
            Ok((known(diff_id), lease))
        };
        if let Some(lease) = self.directory.lease(Area::Layers, &name)? {
            return found(lease);
        }
        let _maker = self.directory.lock_key(Area::Layers, &name)?;
        if let Some(lease) = self.directory.lease(Area::Layers, &name)? {
            return found(lease);
        }
        started();
        let (_, lease) = self.pack(job, source.open_layer(image, job.index)?)?;
        finished(false);
        Ok((known(diff_id), lease))
    }

    fn pack(
        &self,
        job: &LayerJob<'_>,
        input: Box<dyn std::io::Read + Send + '_>,
    ) -> Result<(Packed, Lease), Error> {
        let staging = self.directory.stage()?;
        let read = |bytes| job.progress.event(Event::LayerRead { index: job.index, bytes });
        let request = Request {
            expected: job.layer.expected,
            diff_id: job.layer.diff_id,
            limits: *job.limits,
            progress: Some(&read),
            sync: true,
        };
        let input = Box::new(Cancellable { inner: input, progress: job.progress });
        let packed = offshoot_layer::pack(input, staging.path(), &request)
            .map_err(|source| Error::Layer { index: job.index, blob: job.layer.expected.digest, source })?;
        let (_, lease) = staging.publish_leased(Area::Layers, &packed.diff_id.into())?;
        Ok((packed, lease))
    }

    /// Packs files of the host as one more layer; its `diff_id`.
    pub(crate) fn pack_injections(
        &self,
        injections: &[offshoot_oci::Injection],
        index: usize,
        limits: &Limits,
        progress: &dyn Progress,
    ) -> Result<(Digest, Lease), Error> {
        let layer = LayerSource { media_type: None, expected: Expected::default(), diff_id: None };
        let job = LayerJob { index, count: index + 1, layer: &layer, limits, progress };
        let (packed, lease) = self.pack(&job, offshoot_oci::injection_tar(injections)?)?;
        Ok((packed.diff_id, lease))
    }
}

/// What a pull found or made.
#[derive(Debug)]
pub(crate) struct Pulled {
    pub(crate) record: ImageRecord,
    pub(crate) config: Vec<u8>,
    pub(crate) packs: Vec<Lease>,
}

/// What is known of an image without looking at its source or its packs.
#[derive(Debug)]
pub(crate) struct KnownImage {
    pub(crate) record: ImageRecord,
    pub(crate) config: Vec<u8>,
}

/// Whether it takes a network to look at an image.
fn is_remote(image: &ImageName) -> bool {
    matches!(image, ImageName::Registry(_))
}

/// A layer whose pack is there, and stays.
type Found = (LayerRecord, Lease);

struct LayerJob<'a> {
    index: usize,
    count: usize,
    layer: &'a LayerSource,
    limits: &'a Limits,
    progress: &'a dyn Progress,
}

/// Where the record of an image for a platform is.
pub(crate) fn image_entry(reference: &str, platform: &str) -> EntryName {
    EntryName::encode(&format!("{reference} {platform}"))
}

/// Manifest and config for a source that has neither.
fn synthesize(platform: &Platform, sources: &[LayerSource], layers: &[LayerRecord]) -> (Document, Document) {
    let packed = sources.iter().zip(layers).filter_map(|(source, layer)| {
        Some(PackedLayer {
            diff_id: layer.diff_id,
            blob: layer.blob?,
            blob_bytes: layer.blob_bytes?,
            media_type: source.media_type.clone().unwrap_or_else(|| media_type::OCI_LAYER.to_owned()),
        })
    });
    offshoot_oci::synthesize(platform, &packed.collect::<Vec<_>>())
}
