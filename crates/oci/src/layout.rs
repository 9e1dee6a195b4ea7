use std::io::Read;
use std::path::Path;

use offshoot_store::{Digest, Expected, VerifyError};

use crate::file_section::FileSection;
use crate::image_search::{Documents, Search};
use crate::layout_selection::{self, Selection};
use crate::{
    Descriptor, Error, ImageSource, Index, Malformed, Manifest, Missing, Platform, SourceImage, document,
};

/// Where the files of an OCI image layout are: a directory or an archive.
pub(crate) trait LayoutFiles: Send + Sync {
    /// The directory or archive, for errors.
    fn place(&self) -> &Path;
    /// `oci-layout` or `index.json`.
    fn file(&self, name: &'static str) -> Result<FileSection, Error>;
    /// A blob, not verified.
    fn blob(&self, digest: Digest) -> Result<FileSection, Error>;
}

/// An OCI image layout (image-spec, `image-layout.md`), and which image of it is meant.
#[derive(Debug)]
pub(crate) struct Layout<F> {
    files: F,
    index: Index,
    selection: Selection,
}

impl<F: LayoutFiles> Layout<F> {
    /// Checks that it is a layout, and reads its index.
    pub(crate) fn new(files: F, selection: Selection) -> Result<Self, Error> {
        let read = |file: &'static str| {
            let name = format!("{} of {}", file, files.place().display());
            let (_, bytes) = document::read(files.file(file)?, Expected::default())
                .map_err(|error| error.named(&name, files.place()))?;
            Ok::<_, Error>((name, bytes))
        };
        let (name, bytes) = read("oci-layout")?;
        check_version(&bytes).map_err(Error::malformed(&name))?;
        let (name, bytes) = read("index.json")?;
        let Manifest::Index(index) = Manifest::parse(&bytes, &name, None)? else {
            return Err(Error::malformed(&name)(Malformed::Field("manifests")));
        };
        Ok(Self { files, index, selection })
    }

    /// A verified blob of the bounded size of documents.
    fn document(&self, what: &str, digest: Digest, size: Option<u64>) -> Result<(String, Vec<u8>), Error> {
        let name = format!("{what} {digest}");
        let section = self.files.blob(digest)?;
        let (_, bytes) = document::read(section, Expected { digest: Some(digest), size })
            .map_err(|error| error.named(&name, self.files.place()))?;
        Ok((name, bytes))
    }
}

impl<F: LayoutFiles> Documents for Layout<F> {
    fn place(&self) -> String {
        self.files.place().display().to_string()
    }

    fn manifest(&self, what: &str, digest: Digest, size: Option<u64>) -> Result<(String, Vec<u8>), Error> {
        self.document(what, digest, size)
    }

    fn config(&self, digest: Digest, size: u64) -> Result<(String, Vec<u8>), Error> {
        self.document("the config", digest, Some(size))
    }

    fn ambiguous(&self, roots: &[&Descriptor]) -> Error {
        layout_selection::ambiguous(roots, self.files.place())
    }
}

impl<F: LayoutFiles> ImageSource for Layout<F> {
    fn resolve(&self, platform: &Platform) -> Result<SourceImage, Error> {
        let search = Search { documents: self, platform };
        let place = self.files.place();
        let resolved = match &self.selection {
            Selection::Digest(digest) => {
                let (name, bytes) = self.document("the manifest", *digest, None)?;
                search.root(&name, *digest, &bytes, None)?
            }
            Selection::Tag(tag) => search.select(&layout_selection::tagged(&self.index, tag, place)?)?,
            Selection::Only => search.select(&layout_selection::only(&self.index, place)?)?,
        };
        Ok(resolved.into_image())
    }

    fn open_layer(&self, image: &SourceImage, index: usize) -> Result<Box<dyn Read + Send>, Error> {
        let expected = image.layers.get(index).map(|layer| layer.expected).unwrap_or_default();
        let digest = expected.digest.ok_or(Missing::Layer(index))?;
        let section = self.files.blob(digest)?;
        // Known before a byte is read, and clearer than what a decoder says of half a blob.
        match expected.size {
            Some(expected) if expected != section.size() => Err(Error::Verify {
                what: format!("the layer {digest}"),
                source: VerifyError::Size { expected, actual: section.size() },
            }),
            _ => Ok(Box::new(section)),
        }
    }
}

/// `{"imageLayoutVersion": "1.0.0"}`, or another version that promises to be compatible.
fn check_version(bytes: &[u8]) -> Result<(), Malformed> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct OciLayout {
        image_layout_version: String,
    }
    let layout: OciLayout = serde_json::from_slice(bytes).map_err(Malformed::Json)?;
    if !layout.image_layout_version.starts_with("1.") {
        return Err(Malformed::LayoutVersion(layout.image_layout_version));
    }
    Ok(())
}
