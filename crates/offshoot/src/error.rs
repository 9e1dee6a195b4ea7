use std::io;
use std::path::{Path, PathBuf};

use offshoot_oci::ImageName;
use offshoot_store::Digest;

use crate::resize2fs::Resize2fsError;
use crate::{Damage, IdError, Problem, Strategy, TemplateId, VmId};

/// What can go wrong; [`kind`](Self::kind) says what a caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store itself.
    #[error(transparent)]
    Store(#[from] offshoot_store::Error),
    /// The image, or where it comes from.
    #[error(transparent)]
    Source(#[from] offshoot_oci::Error),
    /// A layer cannot be packed.
    #[error("cannot unpack layer {} of the image{}", index + 1, described(blob.as_ref()))]
    Layer {
        /// Its position, from 0 for the lowest.
        index: usize,
        /// Its blob, where that is known.
        blob: Option<Digest>,
        /// Why not.
        source: offshoot_layer::Error,
    },
    /// A pack that was collected.
    #[error(
        "the pack of layer {diff_id} is not in the store any more; pull the image again, or build it again if files were injected"
    )]
    NoPack {
        /// The layer.
        diff_id: Digest,
    },
    /// A pack in the store cannot be read now; nothing is known of its state.
    #[error("cannot read the pack of layer {diff_id}")]
    PackUnreadable {
        /// The layer.
        diff_id: Digest,
        /// Why not.
        source: offshoot_layer::Error,
    },
    /// A pack in the store is not what was written.
    #[error(
        "the pack of layer {diff_id} is damaged; remove its directory from the store's layers/ and pull again"
    )]
    Pack {
        /// The layer.
        diff_id: Digest,
        /// How.
        source: offshoot_layer::Error,
    },
    /// A layer contradicts those below it.
    #[error("layer {diff_id} does not fit the layers below it")]
    Merge {
        /// The layer.
        diff_id: Digest,
        /// How.
        source: offshoot_tree::MergeError,
    },
    /// The disk cannot be made.
    #[error("cannot make a disk of {image}")]
    Disk {
        /// The image's reference.
        image: String,
        /// Why not.
        source: offshoot_ext4::Error,
    },
    /// A clone's or template's directory without a record of its own: nothing of ours leaves such a thing.
    #[error("{} has no record of its own; release the clone, or remove that directory and build the template again", path.display())]
    NoRecord {
        /// The directory.
        path: PathBuf,
    },
    /// An output without a place to be.
    #[error("{} cannot be written: its directory does not exist, or it names no file", path.display())]
    OutputPlace {
        /// The output.
        path: PathBuf,
    },
    /// An output is never replaced.
    #[error("{} exists already; remove it, or name another place", path.display())]
    OutputExists {
        /// The output.
        path: PathBuf,
    },
    /// A clone's id is taken.
    #[error(
        "the clone {vm} exists with another {field}: it has {existing}, asked for was {requested}; release it first or use another id"
    )]
    CloneConflict {
        /// The id.
        vm: VmId,
        /// What differs.
        field: &'static str,
        /// What the clone has.
        existing: String,
        /// What was asked for.
        requested: String,
    },
    /// Somebody else made the clone and released it, or its record is missing.
    #[error(
        "the clone {vm} has no record: it was released just now, or it is damaged; release it and try again"
    )]
    CloneContested {
        /// The id.
        vm: VmId,
    },
    /// A clone for a session alone, of an id that somebody has.
    #[error("the clone {vm} exists already; use another id")]
    CloneTaken {
        /// The id.
        vm: VmId,
    },
    /// A template whose disk is not there, or not whole.
    #[error(
        "the template {id} is damaged: {} is missing, or has another size; 'offshoot verify --repair' builds it again, if it was built from layers", path.display()
    )]
    TemplateDamaged {
        /// The template.
        id: TemplateId,
        /// Its disk.
        path: PathBuf,
    },
    /// What clones stand on is not removed.
    #[error("{what} cannot be removed: {} first", stand(clones))]
    StoodOn {
        /// The template or image.
        what: String,
        /// The VMs whose clones they are.
        clones: Vec<VmId>,
    },
    /// A template that somebody has.
    #[error("the template {id} cannot be removed: a running process uses it; try again when it is done")]
    TemplateInUse {
        /// The template.
        id: TemplateId,
    },
    /// What the record of a clone says is not what is there.
    #[error(
        "the clone {vm} cannot be used: {damage}{}{}",
        quarantined.as_ref().map(|path| format!("; it is now in {}", path.display())).unwrap_or_default(),
        damage.hint()
    )]
    CloneDamaged {
        /// The id.
        vm: VmId,
        /// What is wrong.
        damage: Box<Damage>,
        /// Where its disk was moved to, if it was.
        quarantined: Option<PathBuf>,
    },
    /// A disk that somebody has open.
    #[error("the disk of {vm} is in use: a VMM has {} open; stop the VM first", path.display())]
    InUse {
        /// The VM.
        vm: VmId,
        /// The disk.
        path: PathBuf,
    },
    /// A read-only disk stays as it is.
    #[error("the disk of {vm} is read-only and cannot be changed; release it and clone again")]
    ReadOnlyDisk {
        /// The VM.
        vm: VmId,
    },
    /// Smaller than it is.
    #[error(
        "a disk of {current_bytes} bytes cannot shrink to {requested_bytes}: that would lose data; ask for {current_bytes} or more"
    )]
    Shrink {
        /// What it has.
        current_bytes: u64,
        /// What was asked for.
        requested_bytes: u64,
    },
    /// A growth that died on the way.
    #[error(
        "growing the disk of {vm} to {unfinished_bytes} bytes was interrupted; grow it to that size first, which completes it"
    )]
    UnfinishedGrowth {
        /// The VM.
        vm: VmId,
        /// The size it was to have.
        unfinished_bytes: u64,
    },
    /// The filesystem on a disk cannot be grown.
    #[error("cannot grow the filesystem in {}", path.display())]
    Growth {
        /// The disk.
        path: PathBuf,
        /// Why not.
        source: offshoot_ext4::GrowError,
    },
    /// `resize2fs`, for a filesystem that is not wholly known here.
    #[error("cannot grow the filesystem in {}, which needs resize2fs ({program:?})", path.display())]
    Resize2fs {
        /// The disk.
        path: PathBuf,
        /// What was run.
        program: PathBuf,
        /// What it said, or why it could not be run.
        source: Resize2fsError,
    },
    /// The filesystem on a disk cannot be used as it is.
    #[error("the filesystem in {} cannot be used", path.display())]
    Filesystem {
        /// The disk.
        path: PathBuf,
        /// Why not.
        source: offshoot_ext4::InspectError,
    },
    /// A filesystem that is not at rest.
    #[error("the filesystem in {} is {state}; unmount it, or check it with e2fsck, first", path.display())]
    NotClean {
        /// The disk.
        path: PathBuf,
        /// Its condition.
        state: offshoot_ext4::State,
    },
    /// The filesystem on a disk keeps its UUID.
    #[error("cannot give the filesystem in {} a UUID of its own", path.display())]
    SetUuid {
        /// The disk.
        path: PathBuf,
        /// Why not.
        source: offshoot_ext4::SetUuidError,
    },
    /// A qcow2 overlay.
    #[error("the overlay {} failed", path.display())]
    Overlay {
        /// The overlay.
        path: PathBuf,
        /// How.
        source: offshoot_qcow2::Error,
    },
    /// A filesystem that says yes to a reflink, and does less.
    #[error("the filesystem made {} by reflink, but its contents differ from the template's; use --strategy copy", path.display())]
    BadReflink {
        /// The clone's disk.
        path: PathBuf,
    },
    /// A hard link that could be written would be everybody's disk.
    #[error("a hard link is the template's own file: use it with --read-only, or another strategy")]
    HardlinkWritable,
    /// A strategy that cannot give what else was asked for.
    #[error("a {strategy} clone cannot have {what}; use another strategy")]
    StrategyExcludes {
        /// The strategy.
        strategy: Strategy,
        /// What it cannot have.
        what: &'static str,
    },
    /// What a directory has not.
    #[error("a clone that is a directory cannot have {what}")]
    DirectoryExcludes {
        /// What was asked for.
        what: &'static str,
    },
    /// A clone that is a directory has no disk.
    #[error("the clone {vm} is a directory: there is no disk to {operation}")]
    NoDisk {
        /// The VM.
        vm: VmId,
        /// What was to be done to it.
        operation: &'static str,
    },
    /// Files cannot be written into a directory.
    #[error("cannot unpack to {}", path.display())]
    Unpack {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: offshoot_unpack::Error,
    },
    /// The filesystem under the store cannot link.
    #[error("{} cannot be hard-linked here; use another strategy", path.display())]
    NoHardlink {
        /// The template's disk.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A template without layers.
    #[error(
        "the template {id} was not built from layers, so a disk with more in it cannot be built; use a template that was, or change the disk in its VM"
    )]
    NotBuilt {
        /// The template.
        id: TemplateId,
    },
    /// Something else than a file was to be imported.
    #[error("{} is not a file", path.display())]
    NotAFile {
        /// What it is.
        path: PathBuf,
    },
    /// A directory without a filesystem to import.
    #[error("{} has no STACK/rootfs.ext4 to import", path.display())]
    NothingToImport {
        /// The directory.
        path: PathBuf,
    },
    /// A directory whose name cannot be a template's.
    #[error("{} cannot name a template; rename it", path.display())]
    NotAName {
        /// The directory.
        path: PathBuf,
        /// Why not; nothing where it is not UTF-8.
        source: Option<IdError>,
    },
    /// A file that changed while it was read.
    #[error("{} changed while it was read; try again when nobody writes to it", path.display())]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// A file that is to be imported is not there.
    #[error("there is no file {}", path.display())]
    NoFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("cannot draw random numbers")]
    Random(#[source] io::Error),
    /// Nothing of that name.
    #[error("there is no {what} {name:?} in the store")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The filesystem under the store has no reflinks.
    #[error(
        "the filesystem of {} cannot share blocks (reflink); use --strategy copy, or a store on XFS or btrfs", path.display()
    )]
    NoReflink {
        /// What was to be cloned.
        path: PathBuf,
    },
    /// Bytes that are not the blob they were to be.
    #[error("the blob has the digest {actual}, and was to have {expected}")]
    NotTheBlob {
        /// What was asked for.
        expected: Digest,
        /// What the bytes have.
        actual: Digest,
    },
    /// A blob that is larger than a manifest or config may be.
    #[error("the blob has {bytes} bytes, more than the {} that are kept", crate::blobs::MAX_BLOB_BYTES)]
    LargeBlob {
        /// Its size.
        bytes: usize,
    },
    /// An image that is not to be fetched, and is not in the store.
    #[error("the image {image} for {platform} is not in the store, or not all of it; pull it first")]
    NotPulled {
        /// The reference.
        image: String,
        /// `os/architecture[/variant]`.
        platform: String,
    },
    /// The image has no canonical name: its path is not UTF-8, or has a colon, or the current directory is gone.
    #[error("the image {image} cannot be named in the store")]
    ImageName {
        /// As it was asked for.
        image: String,
        /// Why not.
        source: io::Error,
    },
    /// What a damaged thing was fetched from has something else now.
    #[error(
        "the source of the image {image} has another image by now; pull it, and build what is needed again"
    )]
    SourceChanged {
        /// The reference.
        image: String,
    },
    /// A template that is all there is of it.
    #[error(
        "the template {id} is a snapshot or was imported, so there is nothing to make it from; import it again, or set it aside with --quarantine"
    )]
    NoSource {
        /// The template.
        id: TemplateId,
    },
    /// A template that does not come out as it was.
    #[error(
        "the template {id} cannot be made as it was: its packs are damaged too, or it was written by another version; build its image again"
    )]
    OtherTemplate {
        /// The template.
        id: TemplateId,
    },
    /// A template whose record is damaged, which is all that says what it is made of.
    #[error(
        "the template {id} cannot be made by its record {}, which is damaged itself; put back what it was, or set the template aside with --quarantine and build its image again", path.display()
    )]
    TemplateRecord {
        /// The template.
        id: TemplateId,
        /// Its record, or its directory.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Problem>,
    },
    /// A value has no JSON form.
    #[error("cannot encode a derivation")]
    Encode(#[source] serde_json::Error),
    /// The system refused.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn image_name(image: &ImageName) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::ImageName { image: image.to_string(), source }
    }

    pub(crate) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }

    /// Whether a record in the store cannot be understood.
    pub(crate) fn is_damaged_record(&self) -> bool {
        matches!(
            self,
            Self::Store(
                offshoot_store::Error::Record { .. }
                    | offshoot_store::Error::RecordChanged { .. }
                    | offshoot_store::Error::NotAFile { .. }
            )
        )
    }
}

/// The most clones that an error names.
const MAX_NAMED: usize = 10;

fn stand(clones: &[VmId]) -> String {
    let named: Vec<&str> = clones.iter().take(MAX_NAMED).map(VmId::as_str).collect();
    let more = match clones.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (noun, verb, them) =
        if clones.len() == 1 { ("clone", "stands", "it") } else { ("clones", "stand", "them") };
    format!("the {noun} {}{more} {verb} on it; release {them}", named.join(", "))
}

fn described(blob: Option<&Digest>) -> String {
    blob.map(|blob| format!(" (blob {blob})")).unwrap_or_default()
}
