use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use offshoot_store::{Digest, Expected, Hasher, VerifyingReader, Writeback, new_private_file};
use offshoot_tree::{Change, Leaf};

use crate::change::{self, Meaning};
use crate::chunk::{Chunk, ChunkReader, Interrupted, Message, Pool};
use crate::compression::MAGIC_LEN;
use crate::data::{ContentsError, DataWriter, Placement};
use crate::decode::{Decoder, Step};
use crate::index::{self, Head, Index};
use crate::tar::{Failure, Reader};
use crate::{Compression, Error, Limit, Limits, RawPath, TarProblem, length};

/// The blob as it is read. Few and small: the reader is the fastest stage.
const BLOB_CHUNKS: (usize, usize) = (4, 256 << 10);
/// The tar as it is decompressed.
const TAR_CHUNKS: (usize, usize) = (12, 256 << 10);

/// What to make of a layer.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What the blob must turn out to be. Where both digest and size are given, a blob that breaks off or
    /// cannot be decoded is read to its end, so that the error tells a damaged blob from a bad image.
    pub expected: Expected,
    /// What the decompressed tar's digest must turn out to be.
    pub diff_id: Option<Digest>,
    /// What the layer may ask for.
    pub limits: Limits,
    /// Whether the pack is to survive a power cut: written through to the disk before `pack` returns.
    pub sync: bool,
    /// Called with the bytes of the blob that were read since the last call.
    pub progress: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl Default for Request<'_> {
    /// Any blob, the default limits, synced.
    fn default() -> Self {
        Self {
            expected: Expected::default(),
            diff_id: None,
            limits: Limits::default(),
            sync: true,
            progress: None,
        }
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("expected", &self.expected)
            .field("diff_id", &self.diff_id)
            .field("limits", &self.limits)
            .field("sync", &self.sync)
            .finish_non_exhaustive()
    }
}

/// What a layer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the decompressed tar.
    pub diff_id: Digest,
    /// The digest of the blob.
    pub blob: Digest,
    /// The blob's size in bytes.
    pub blob_bytes: u64,
    /// The decompressed tar's size in bytes.
    pub tar_bytes: u64,
    /// How many changes the pack has.
    pub entries: u64,
    /// The size of the pack's data file in bytes: blocks of 4 KiB that are not all zero.
    pub data_bytes: u64,
}

/// Decodes a layer's blob into the files `index` and `data` in `directory`, which exists, has neither and is
/// the caller's alone; publishing it by a rename is up to the caller.
///
/// `Ok` says: the whole stream was read and has the digest and size that were expected, its tar has the
/// `diff_id` that was expected, both files are whole and, with `request.sync`, they and the directory's entries
/// for them are on disk. On any error the files are of no use and the caller removes them.
///
/// A gzip stream may have many members and a zstd stream many frames, with nothing but zeros after the last.
/// Whatever follows the end of the archive within the tar counts for the digest and for nothing else. An empty
/// stream is an empty layer.
///
/// It runs on five threads, and needs about 8 MiB besides what the entries take; a zstd frame's window adds to
/// that. All have ended when it returns.
pub fn pack(
    input: Box<dyn Read + Send + '_>,
    directory: &Path,
    request: &Request<'_>,
) -> Result<Packed, Error> {
    let data_path = directory.join(index::DATA);
    let data = new_private_file(&data_path).map_err(|source| Error::Host {
        operation: "create",
        path: data_path.clone(),
        source,
    })?;
    let run = run(input, &data, &data_path, request)?;
    let Ends { blob, blob_bytes, tar_bytes, diff_id, layer } = run;
    if let Some(expected) = request.diff_id.filter(|expected| *expected != diff_id) {
        return Err(Error::DiffId { expected, actual: diff_id });
    }
    let head = Head { diff_id, blob, blob_bytes, tar_bytes, data_bytes: layer.data_bytes };
    let index = Index { head, changes: layer.changes, checksums: layer.checksums };
    index.write(&directory.join(index::INDEX), request.sync)?;
    if request.sync {
        let sync = |source| Error::Host { operation: "sync", path: directory.to_owned(), source };
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(sync)?;
    }
    let entries = length::in_file(index.changes.len());
    Ok(Packed { diff_id, blob, blob_bytes, tar_bytes, entries, data_bytes: layer.data_bytes })
}

/// What the stages have found when all went well.
struct Ends {
    blob: Digest,
    blob_bytes: u64,
    tar_bytes: u64,
    diff_id: Digest,
    layer: Layer,
}

/// What the tar said.
struct Layer {
    changes: Vec<Change>,
    checksums: Vec<u32>,
    data_bytes: u64,
}

/// Why a stage ended before its time.
enum Stop {
    /// Because of this.
    Error(Error),
    /// Because the stage before or behind it did, for a reason of its own.
    Neighbour,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The threads and the queues between them:
///
/// ```text
/// read, hash ──blob chunks──> decompress ──tar chunks──┬──> hash
///                                                      └──> parse, write (the caller's) ──> sync
/// ```
///
/// A stage that ends, well or not, drops its ends of the queues, and its neighbours notice.
fn run(
    input: Box<dyn Read + Send + '_>,
    data: &File,
    data_path: &Path,
    request: &Request<'_>,
) -> Result<Ends, Error> {
    // Set when reading on to learn the blob's digest would tell nothing.
    let give_up = AtomicBool::new(false);
    let give_up = &give_up;
    let (blob_sender, blob_queue) = channel();
    let (hash_sender, hash_queue) = channel();
    let (tar_sender, tar_queue) = channel();
    let (writeback, wake) = Writeback::new(data, request.sync);
    std::thread::scope(|scope| {
        let read = spawn(scope, "layer-read", move || read(input, &blob_sender, request, give_up))?;
        let limits = &request.limits;
        let decompress = spawn(scope, "layer-inflate", move || {
            decompress(blob_queue, &hash_sender, &tar_sender, limits, give_up)
        })?;
        let hash = spawn(scope, "layer-hash", move || hash(&hash_queue))?;
        let sync = spawn(scope, "layer-sync", move || Writeback::run(data, &wake))?;
        let layer = parse(tar_queue, data, data_path, writeback, limits, give_up);

        let sync = join(sync);
        let read = join(read);
        let decompress = join(decompress);
        let hash = join(hash);
        // The first cause first: what a stage says about a stream counts only if the stage before was content.
        let (blob, blob_bytes) = error_of(read)?.unwrap_or((Digest::of(b""), 0));
        let decompressed = error_of(decompress)?;
        let layer = error_of(layer)?;
        let failed = |source| Error::Host { operation: "sync", path: data_path.to_owned(), source };
        sync.map_err(failed)?;
        let (Some(Decompressed { tar_bytes, plain }), Some(layer)) = (decompressed, layer) else {
            // Cannot be: a stage stops for a neighbour that has stopped for a reason, which came up above.
            return Err(Error::Read(std::io::Error::other(Interrupted)));
        };
        let diff_id = if plain { blob } else { hash };
        Ok(Ends { blob, blob_bytes, tar_bytes, diff_id, layer })
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    stage: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    let spawned = Builder::new().name(name.to_owned()).spawn_scoped(scope, stage);
    spawned.map_err(|source| Error::Host { operation: "start a thread for", path: name.into(), source })
}

fn join<T>(handle: ScopedJoinHandle<'_, T>) -> T {
    // A panic goes on where it would have without threads.
    handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn error_of<T>(end: Result<T, Stop>) -> Result<Option<T>, Error> {
    match end {
        Ok(end) => Ok(Some(end)),
        Err(Stop::Neighbour) => Ok(None),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// Reads and hashes the blob; its digest and size.
fn read(
    input: Box<dyn Read + Send + '_>,
    queue: &Sender<Message<Chunk>>,
    request: &Request<'_>,
    give_up: &AtomicBool,
) -> Result<(Digest, u64), Stop> {
    let expected = request.expected;
    let mut input = VerifyingReader::new(Progress { input, report: request.progress }, expected);
    let pool = Pool::new(BLOB_CHUNKS.0, BLOB_CHUNKS.1);
    loop {
        let mut buffer = pool.take();
        let count = fill(&mut input, &mut buffer).map_err(Error::Read)?;
        if count == 0 {
            break;
        }
        if queue.send(Some(pool.chunk(buffer, count))).is_err() {
            let tells = expected.digest.is_some() && expected.size.is_some();
            if !tells || give_up.load(Ordering::Relaxed) {
                return Err(Stop::Neighbour);
            }
            break;
        }
    }
    let verdict = input.finish().map_err(Error::Read)?.map_err(Error::Blob)?;
    // Only now: whoever sees the end may rely on the verdict. A decoder that is gone has its own error.
    let _ = queue.send(None);
    Ok(verdict)
}

/// Reads until the buffer is full or the input at its end.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match input.read(room) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Tells how much was read.
struct Progress<'a> {
    input: Box<dyn Read + Send + 'a>,
    report: Option<&'a (dyn Fn(u64) + Sync)>,
}

impl Read for Progress<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Some(report) = self.report {
            report(length::in_file(count));
        }
        Ok(count)
    }
}

/// What decompression has found.
struct Decompressed {
    tar_bytes: u64,
    /// Whether the tar is the blob itself, so that nothing was sent to be hashed again.
    plain: bool,
}

fn decompress(
    queue: Receiver<Message<Chunk>>,
    hash: &Sender<Message<Arc<Chunk>>>,
    tar: &Sender<Message<Arc<Chunk>>>,
    limits: &Limits,
    give_up: &AtomicBool,
) -> Result<Decompressed, Stop> {
    let mut input = ChunkReader::new(queue);
    let mut more = input.wait().map_err(|_| Stop::Neighbour)?;
    // Chunks are full but for the last, so that the magic is whole unless the blob is shorter.
    let start = input.rest().get(..MAGIC_LEN).unwrap_or(input.rest());
    let compression = Compression::of_magic(start).map_err(Error::UnsupportedCompression)?;
    let plain = compression == Compression::Plain;
    let mut decoder = Decoder::new(compression, limits)?;
    let pool = Pool::new(TAR_CHUNKS.0, TAR_CHUNKS.1);
    let mut tar_bytes = 0_u64;
    loop {
        let mut buffer = pool.take();
        let mut made = 0_usize;
        while let Some(room) = buffer.get_mut(made..).filter(|room| !room.is_empty()) {
            let step = decoder.step(input.rest(), room)?;
            input.advance(step.taken);
            made = made.saturating_add(step.made);
            if step == Step::default() {
                if !more {
                    break;
                }
                more = input.wait().map_err(|_| Stop::Neighbour)?;
            }
        }
        if made == 0 {
            break;
        }
        tar_bytes = tar_bytes.saturating_add(length::in_file(made));
        if tar_bytes > limits.tar_bytes {
            give_up.store(true, Ordering::Relaxed);
            let offset = tar_bytes.saturating_sub(length::in_file(made));
            return Err(Failure::Limit(Limit::TarBytes, limits.tar_bytes).at(None, offset).into());
        }
        let chunk = Arc::new(pool.chunk(buffer, made));
        if !plain {
            hash.send(Some(Arc::clone(&chunk))).map_err(|_| Stop::Neighbour)?;
        }
        tar.send(Some(chunk)).map_err(|_| Stop::Neighbour)?;
    }
    decoder.finish()?;
    tar.send(None).map_err(|_| Stop::Neighbour)?;
    Ok(Decompressed { tar_bytes, plain })
}

fn hash(queue: &Receiver<Message<Arc<Chunk>>>) -> Digest {
    let mut hasher = Hasher::new();
    while let Ok(Some(chunk)) = queue.recv() {
        hasher.update(&chunk);
    }
    hasher.finish()
}

fn parse(
    queue: Receiver<Message<Arc<Chunk>>>,
    data: &File,
    data_path: &Path,
    writeback: Writeback,
    limits: &Limits,
    give_up: &AtomicBool,
) -> Result<Layer, Stop> {
    let mut reader = Reader::new(ChunkReader::new(queue), *limits);
    let mut writer = DataWriter::new(data, data_path, &writeback, limits.extents);
    let layer = entries(&mut reader, &mut writer, limits).and_then(|(changes, checksums)| {
        let data_bytes = writer.finish()?;
        reader.drain()?;
        Ok(Layer { changes, checksums, data_bytes })
    });
    let layer = layer.map_err(|error| match error {
        // The queue is all that it reads.
        Error::Read(_) => Stop::Neighbour,
        error => {
            let about_host = matches!(error, Error::Host { .. } | Error::Limit { .. });
            give_up.fetch_or(about_host, Ordering::Relaxed);
            Stop::Error(error)
        }
    })?;
    let sync = writeback.is_on();
    drop(writeback);
    if sync {
        data.sync_all().map_err(|source| Error::Host {
            operation: "sync",
            path: data_path.to_owned(),
            source,
        })?;
    }
    Ok(layer)
}

fn entries(
    reader: &mut Reader<ChunkReader<Arc<Chunk>>>,
    writer: &mut DataWriter<'_>,
    limits: &Limits,
) -> Result<(Vec<Change>, Vec<u32>), Error> {
    let mut changes = Vec::new();
    let mut checksums = Vec::new();
    let mut index_bytes = 0_u64;
    while let Some(entry) = reader.next()? {
        let offset = entry.offset;
        let name = entry.path.clone();
        let at = |failure: Failure| failure.at(Some(RawPath::new(&name)), offset);
        if length::in_file(changes.len()) >= limits.entries {
            return Err(at(Failure::Limit(Limit::Entries, limits.entries)));
        }
        let (change, checksum) = match change::meaning(entry, limits).map_err(at)? {
            Meaning::Nothing => continue,
            Meaning::Change(change) => (change, 0),
            Meaning::File { path, metadata, size, segments } => {
                let mut placement = Placement::new(size, segments);
                let mut contents = writer.contents(size);
                let failed = |error| match error {
                    ContentsError::Host(error) => error,
                    ContentsError::Tar(failure) => at(failure),
                };
                while let Some(segment) = placement.next() {
                    contents.skip_to(segment.offset).map_err(failed)?;
                    let piece = reader.data().map_err(at)?;
                    let piece = piece.get(..length::in_memory(segment.length)).unwrap_or(piece);
                    if piece.is_empty() {
                        // The segments were checked to add up to the data.
                        return Err(at(TarProblem::SparseMap.into()));
                    }
                    contents.write(piece).map_err(failed)?;
                    let count = piece.len();
                    reader.consume(count);
                    placement.placed(length::in_file(count));
                }
                let (content, checksum) = contents.finish().map_err(failed)?;
                let checksum = if content.extents.is_empty() { 0 } else { checksum.value() };
                (Change::Leaf { path, metadata, leaf: Leaf::File(content) }, checksum)
            }
        };
        index_bytes = index_bytes.saturating_add(change::weight(&change));
        if index_bytes > limits.index_bytes {
            return Err(at(Failure::Limit(Limit::IndexBytes, limits.index_bytes)));
        }
        changes.push(change);
        checksums.push(checksum);
    }
    Ok((changes, checksums))
}
