use offshoot_store::DigestError;

/// What this version does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A source whose program is not there.
    #[error("it needs {needs}, which is not installed; Debian's package is {package}")]
    Program {
        /// The program, or several of which one is enough.
        needs: &'static str,
        /// The package, or several.
        package: &'static str,
    },
    /// Docker's first manifest format.
    #[error("it is a Docker schema 1 manifest, which is obsolete; push the image again with a current tool")]
    Schema1,
    /// Neither a manifest nor an index.
    #[error("it is of the type {0}, not an image manifest or index")]
    ManifestMediaType(String),
    /// An artifact: a chart, a signature, a bill of materials.
    #[error("it is an artifact of the type {0}, not an image")]
    Artifact(String),
    /// A layer that is not a tar.
    #[error(
        "a layer's media type is {0:?}; known are tar, tar+gzip and tar+zstd as {prefix} and Docker's \
         image.rootfs.diff.tar, .tar.gzip and .tar.zstd",
        prefix = "application/vnd.oci.image.layer.v1.tar…"
    )]
    LayerMediaType(String),
    /// A layer that is not distributed with its image.
    #[error("its layer {digest} is not distributed with the image{}", at_urls(urls))]
    ForeignLayer {
        /// Which.
        digest: String,
        /// Where it is, says the manifest.
        urls: Vec<String>,
    },
    /// A tarball in a compression that layers cannot have.
    #[error("it is compressed with {0}, which layers cannot be; plain tars, gzip and zstd can be used")]
    Compression(&'static str),
    /// An archive in a compression other than gzip and zstd.
    #[error("it is compressed with {0}; decompress it first, for instance into standard input")]
    CompressedArchive(&'static str),
    /// What `docker save` wrote before version 1.10.
    #[error(
        "it has repositories and no manifest.json, as Docker wrote archives before version 1.10; load it into a \
         current Docker and save it again"
    )]
    AncientDockerArchive,
    /// A blob named by another algorithm than SHA-256.
    #[error("it names a digest of another kind")]
    Digest(#[source] DigestError),
}

fn at_urls(urls: &[String]) -> String {
    match urls {
        [] => String::new(),
        urls => format!(", but said to be at {}", urls.join(", ")),
    }
}
