use std::io::BufRead;

use offshoot_tree::{Device, Timestamp};

use crate::tar::Failure;
use crate::tar::header::{self, Header, RECORD};
use crate::tar::pax::Pax;
use crate::tar::sparse::{self, MapParser, Segment};
use crate::{Error, Limit, Limits, RawPath, TarProblem, block, length};

/// One entry of a tar, with all that its extended headers said applied.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it begins in the tar, extended headers included. Bytes.
    pub(crate) offset: u64,
    /// As the archive has it; within `path_bytes`.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug)]
pub(crate) enum Kind {
    /// A regular file: its size in bytes and, of a sparse one, the parts that [`Reader::data`] gives, one
    /// after another; checked to ascend, to lie within the size and to add up to the data.
    File {
        size: u64,
        segments: Option<Vec<Segment>>,
    },
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    CharDevice(Device),
    BlockDevice(Device),
    Fifo,
}

/// Reads a tar, entry by entry.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    source: R,
    limits: Limits,
    /// Bytes of the tar taken so far.
    offset: u64,
    /// Contents of the current entry not yet taken, and the padding behind them.
    data: u64,
    padding: u64,
}

/// What extended headers have said before the entry itself comes.
#[derive(Debug, Default)]
struct Extended {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    /// The entry's name, once known, for error messages.
    path: Option<RawPath>,
    /// Bytes of extended headers.
    bytes: u64,
}

impl<R: BufRead> Reader<R> {
    pub(crate) fn new(source: R, limits: Limits) -> Self {
        Self { source, limits, offset: 0, data: 0, padding: 0 }
    }

    /// Skips what is left of the last entry, and reads on to the next; `None` at the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let mut start = self.offset;
        let mut extended = Extended::default();
        let skipped = self.skip(self.data.saturating_add(self.padding));
        let entry = skipped.and_then(|()| {
            (self.data, self.padding) = (0, 0);
            start = self.offset;
            self.entry(start, &mut extended)
        });
        entry.map_err(|failure| failure.at(extended.path, start))
    }

    /// The next piece of the current entry's contents, as it lies in memory; empty at their end.
    pub(crate) fn data(&mut self) -> Result<&[u8], Failure> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let buffer = self.source.fill_buf().map_err(Failure::Source)?;
        if buffer.is_empty() {
            return Err(TarProblem::Truncated.into());
        }
        Ok(buffer.get(..length::in_memory(self.data)).unwrap_or(buffer))
    }

    /// Takes bytes that [`data`](Self::data) has shown.
    pub(crate) fn consume(&mut self, count: usize) {
        self.source.consume(count);
        self.data = self.data.saturating_sub(length::in_file(count));
        self.offset = self.offset.saturating_add(length::in_file(count));
    }

    /// Reads the source to its end, whatever it still has.
    pub(crate) fn drain(mut self) -> Result<(), Error> {
        loop {
            let count = self.source.fill_buf().map_err(Error::Read)?.len();
            if count == 0 {
                return Ok(());
            }
            self.source.consume(count);
        }
    }

    fn entry(&mut self, start: u64, extended: &mut Extended) -> Result<Option<Entry>, Failure> {
        loop {
            let block = self.block()?;
            let Some(block) = block.filter(|block| !block::is_zero(block)) else {
                if extended.bytes > 0 {
                    // Extended headers, and nothing that they would be about.
                    return Err(TarProblem::Truncated.into());
                }
                return self.end(block.is_some()).map(|()| None);
            };
            let header = Header::parse(block)?;
            match header.typeflag() {
                b'x' => {
                    let records = self.metadata(header.size()?, extended)?;
                    extended.pax = Some(Pax::parse(&records)?);
                }
                b'L' => {
                    let name = self.metadata(header.size()?, extended)?;
                    extended.long_name = Some(until_nul(name));
                }
                b'K' => {
                    let name = self.metadata(header.size()?, extended)?;
                    extended.long_link = Some(until_nul(name));
                }
                b'g' => {
                    let size = header.size()?;
                    self.skip(size.saturating_add(padding(size)))?;
                }
                _ => return self.finish(start, &header, extended).map(Some),
            }
        }
    }

    /// At the end of the archive, after its first zero block if it has one.
    fn end(&mut self, has_zero_block: bool) -> Result<(), Failure> {
        if has_zero_block && self.block()?.is_some_and(|block| !block::is_zero(&block)) {
            return Err(TarProblem::LoneZeroBlock.into());
        }
        Ok(())
    }

    /// The entry itself, whose header was read after all extended ones.
    fn finish(&mut self, start: u64, header: &Header, extended: &mut Extended) -> Result<Entry, Failure> {
        let typeflag = header.typeflag();
        let mut pax = extended.pax.take().unwrap_or_default();
        let path = match (pax.path.take(), extended.long_name.take()) {
            (Some(pax), Some(gnu)) if pax != gnu => return Err(TarProblem::TwoNames.into()),
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => header.path(),
        };
        let path = pax.sparse.name.take().unwrap_or(path);
        extended.path = Some(RawPath::new(&path));
        self.check_path_length(&path)?;
        let link = match (pax.link_path.take(), extended.long_link.take()) {
            (Some(pax), Some(gnu)) if pax != gnu => return Err(TarProblem::TwoNames.into()),
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => header.link_name(),
        };
        self.check_path_length(&link)?;
        let kind = match typeflag {
            // Before there was a type for directories, a slash told.
            0 if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => self.file(header, &mut pax, extended)?,
            b'S' if header.is_gnu() => self.old_gnu_sparse(header, &pax, extended)?,
            b'1' => Kind::HardLink(link),
            b'2' => Kind::Symlink(link),
            b'3' => Kind::CharDevice(device(header)?),
            b'4' => Kind::BlockDevice(device(header)?),
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            unknown => return Err(TarProblem::UnknownType(unknown).into()),
        };
        Ok(Entry {
            offset: start,
            path,
            kind,
            mode: header.mode()?,
            uid: id(pax.uid.map_or_else(|| header.uid(), Ok)?, "uid")?,
            gid: id(pax.gid.map_or_else(|| header.gid(), Ok)?, "gid")?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                None => Timestamp { seconds: header.mtime()?, nanoseconds: 0 },
            },
            xattrs: std::mem::take(&mut pax.xattrs),
        })
    }

    /// A file that is not of GNU's old sparse format, but may be of one of the PAX ones.
    fn file(&mut self, header: &Header, pax: &mut Pax, extended: &mut Extended) -> Result<Kind, Failure> {
        self.expect_data(pax.size.map_or_else(|| header.size(), Ok)?)?;
        let segments = match (pax.sparse.version, pax.sparse.map.take()) {
            ((Some(1), Some(0) | None), _) => Some(self.sparse_map(extended)?),
            ((None | Some(0), _), Some(map)) => Some(map),
            ((None | Some(0), _), None) => None,
            _ => return Err(TarProblem::SparseVersion.into()),
        };
        let size = match (&segments, pax.sparse.size) {
            (None, _) => self.data,
            (Some(_), Some(size)) => size,
            (Some(_), None) => return Err(TarProblem::SparseMap.into()),
        };
        self.checked_file(size, segments)
    }

    fn old_gnu_sparse(
        &mut self,
        header: &Header,
        pax: &Pax,
        extended: &mut Extended,
    ) -> Result<Kind, Failure> {
        let (size, mut segments, mut more) = header.sparse()?;
        while more {
            self.count_metadata(length::in_file(RECORD), extended)?;
            let block = self.block()?.ok_or(TarProblem::Truncated)?;
            more = header::sparse_continued(&block, &mut segments)?;
        }
        self.expect_data(pax.size.map_or_else(|| header.size(), Ok)?)?;
        self.checked_file(size, Some(segments))
    }

    /// The map of PAX sparse format 1.0, which is the first part of the entry's data.
    fn sparse_map(&mut self, extended: &mut Extended) -> Result<Vec<Segment>, Failure> {
        let mut parser = MapParser::default();
        let record = length::in_file(RECORD);
        loop {
            self.count_metadata(record, extended)?;
            self.data = self.data.checked_sub(record).ok_or(TarProblem::SparseMap)?;
            let block = self.block()?.ok_or(TarProblem::Truncated)?;
            if parser.block(&block)? {
                return Ok(parser.finish());
            }
        }
    }

    fn checked_file(&self, size: u64, segments: Option<Vec<Segment>>) -> Result<Kind, Failure> {
        if size > self.limits.file_bytes {
            return Err(Failure::Limit(Limit::FileBytes, self.limits.file_bytes));
        }
        if let Some(segments) = &segments {
            sparse::check(segments, size, self.data)?;
        }
        Ok(Kind::File { size, segments })
    }

    fn check_path_length(&self, path: &[u8]) -> Result<(), Failure> {
        if path.len() > self.limits.path_bytes {
            return Err(Failure::Limit(Limit::PathBytes, length::in_file(self.limits.path_bytes)));
        }
        Ok(())
    }

    fn expect_data(&mut self, size: u64) -> Result<(), Failure> {
        // What is larger cannot come; the bound keeps positions within 64 bits.
        if size > self.limits.tar_bytes {
            return Err(Failure::Limit(Limit::TarBytes, self.limits.tar_bytes));
        }
        self.data = size;
        self.padding = padding(size);
        Ok(())
    }

    /// The contents of an extended header.
    fn metadata(&mut self, size: u64, extended: &mut Extended) -> Result<Vec<u8>, Failure> {
        // The header's own block counts too, or empty ones could go on for ever.
        self.count_metadata(size.saturating_add(length::in_file(RECORD)), extended)?;
        let mut contents = Vec::with_capacity(length::in_memory(size));
        self.expect_data(size)?;
        loop {
            let piece = self.data()?;
            if piece.is_empty() {
                break;
            }
            contents.extend_from_slice(piece);
            let count = piece.len();
            self.consume(count);
        }
        self.skip(self.padding)?;
        self.padding = 0;
        Ok(contents)
    }

    fn count_metadata(&self, bytes: u64, extended: &mut Extended) -> Result<(), Failure> {
        extended.bytes = extended.bytes.saturating_add(bytes);
        if extended.bytes > self.limits.metadata_bytes {
            return Err(Failure::Limit(Limit::MetadataBytes, self.limits.metadata_bytes));
        }
        Ok(())
    }

    /// The next 512 bytes; `None` where the source ends before the first.
    fn block(&mut self) -> Result<Option<[u8; RECORD]>, Failure> {
        let mut block = [0; RECORD];
        let mut rest = &mut block[..];
        while !rest.is_empty() {
            let buffer = self.source.fill_buf().map_err(Failure::Source)?;
            if buffer.is_empty() {
                let is_at_border = rest.len() == RECORD;
                return if is_at_border { Ok(None) } else { Err(TarProblem::Truncated.into()) };
            }
            let count = buffer.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(buffer.get(..count).unwrap_or_default());
            rest = later;
            self.source.consume(count);
            self.offset = self.offset.saturating_add(length::in_file(count));
        }
        Ok(Some(block))
    }

    fn skip(&mut self, mut bytes: u64) -> Result<(), Failure> {
        while bytes > 0 {
            let buffer = self.source.fill_buf().map_err(Failure::Source)?;
            if buffer.is_empty() {
                return Err(TarProblem::Truncated.into());
            }
            let count = buffer.len().min(length::in_memory(bytes));
            self.source.consume(count);
            bytes = bytes.saturating_sub(length::in_file(count));
            self.offset = self.offset.saturating_add(length::in_file(count));
        }
        Ok(())
    }
}

/// What follows contents of that many bytes, up to the next header.
fn padding(size: u64) -> u64 {
    let record = length::in_file(RECORD);
    size.checked_next_multiple_of(record).unwrap_or(size).saturating_sub(size)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// All ids but the last, which Linux has for nobody: `chown` would leave the file to whoever unpacks it.
fn id(number: u64, what: &'static str) -> Result<u32, TarProblem> {
    u32::try_from(number).ok().filter(|id| *id != u32::MAX).ok_or(TarProblem::Number(what))
}

/// Linux keeps 12 bits of major and 20 bits of minor number (`include/linux/kdev_t.h`).
fn device(header: &Header) -> Result<Device, TarProblem> {
    let (major, minor) = header.device()?;
    match (u32::try_from(major), u32::try_from(minor)) {
        (Ok(major), Ok(minor)) if major < 1 << 12 && minor < 1 << 20 => Ok(Device { major, minor }),
        _ => Err(TarProblem::Device),
    }
}
