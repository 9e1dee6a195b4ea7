//! An image in a registry of this process, and what watches over its download.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use offshoot_oci::{
    Error, ImageSource, Notice, Platform, RegistryLimits, RegistryOptions, SourceImage, SourceOptions, Watch,
    open,
};
use offshoot_testkit::layout::{Image, Layer, Layout, Tar};
use offshoot_testkit::registry::Registry;
use tempfile::TempDir;

/// Takes the time of pauses down, and does not let it pass.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    pub(crate) pauses: Mutex<Vec<Duration>>,
    pub(crate) notices: Mutex<Vec<Notice>>,
    pub(crate) cancelled: AtomicBool,
    /// After so many questions, the answer is yes.
    pub(crate) patience: Mutex<Option<usize>>,
    asked: AtomicUsize,
}

impl Watch for Watcher {
    fn cancelled(&self) -> bool {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let patience = *self.patience.lock().unwrap();
        self.cancelled.load(Ordering::SeqCst) || patience.is_some_and(|patience| asked >= patience)
    }

    fn notice(&self, notice: &Notice) {
        self.notices.lock().unwrap().push(notice.clone());
    }

    fn pause(&self, duration: Duration) {
        self.pauses.lock().unwrap().push(duration);
    }
}

/// A registry with an image of one layer as `app:v1`.
pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) layout: Layout,
    pub(crate) registry: Registry,
    pub(crate) watcher: Arc<Watcher>,
    pub(crate) manifest: String,
    pub(crate) layer: Layer,
    pub(crate) options: RegistryOptions,
}

impl Fixture {
    /// With a layer of about so many bytes that do not compress.
    pub(crate) fn new(size: usize) -> Self {
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(size)
        .collect();
        let layer = Layer::gzip(&Tar::new().file("f", 0o644, &noise).finish());
        let directory = tempfile::tempdir().unwrap();
        let mut layout = Layout::create(&directory.path().join("layout"));
        let manifest = layout.add("v1", &Image::new().layer(layer.clone()));
        let registry = Registry::serve(&directory.path().join("layout"));
        let watcher = Arc::new(Watcher::default());
        let watch: Arc<dyn Watch> = watcher.clone();
        let options = RegistryOptions {
            plain_http: true,
            host_directories: Vec::new(),
            watch,
            ..RegistryOptions::default()
        };
        Self { directory, layout, registry, watcher, manifest, layer, options }
    }

    /// With so little patience for answers that a test can wait for its end.
    pub(crate) fn impatient(mut self) -> Self {
        self.options.limits = RegistryLimits { stall: Duration::from_secs(1), ..self.options.limits };
        self
    }

    /// The right bytes of the layer.
    pub(crate) fn blob(&self) -> &[u8] {
        self.layer.blob.as_deref().unwrap()
    }

    pub(crate) fn config(&self) -> String {
        let manifest = std::fs::read(self.layout.blob(&self.manifest)).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["config"]["digest"].as_str().unwrap().to_owned()
    }

    pub(crate) fn source_options(&self) -> SourceOptions {
        SourceOptions { registry: self.options.clone(), ..SourceOptions::new("/nonexistent".as_ref()) }
    }

    pub(crate) fn open(&self, reference: &str) -> Box<dyn ImageSource> {
        open(&reference.parse().unwrap(), &self.source_options()).unwrap()
    }

    /// The image `app:v1`.
    pub(crate) fn source(&self) -> Box<dyn ImageSource> {
        self.open(&self.registry.reference("app", "v1"))
    }

    pub(crate) fn resolve(&self) -> Result<SourceImage, Error> {
        self.source().resolve(&Platform::host())
    }

    /// All of the layer's bytes as they come, and how they end.
    pub(crate) fn download(&self) -> (Vec<u8>, Result<(), Error>) {
        let source = self.source();
        let image = source.resolve(&Platform::host()).unwrap();
        read(source.open_layer(&image, 0))
    }

    /// The download gives the right bytes.
    pub(crate) fn assert_downloads(&self) {
        let (bytes, end) = self.download();
        end.unwrap();
        assert_eq!(bytes, self.blob());
    }

    /// The offsets that the layer was asked for from.
    pub(crate) fn offsets(&self) -> Vec<Option<u64>> {
        let of =
            |range: Option<&str>| Some(range?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().unwrap());
        self.registry.seen_of(&self.layer.digest).iter().map(|seen| of(seen.header("range"))).collect()
    }
}

/// Reads to the end, or as far as it goes.
pub(crate) fn read(stream: Result<Box<dyn Read + Send>, Error>) -> (Vec<u8>, Result<(), Error>) {
    let mut bytes = Vec::new();
    let mut stream = match stream {
        Ok(stream) => stream,
        Err(error) => return (bytes, Err(error)),
    };
    let end = stream.read_to_end(&mut bytes).map(drop);
    (bytes, end.map_err(|error| error.downcast::<Error>().unwrap()))
}

/// An error and all its causes, in one line.
pub(crate) fn line(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", line(source)),
        None => error.to_string(),
    }
}
