use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use offshoot_store::copy_range_in_kernel;
use offshoot_tree::{BLOCK_SIZE, Content, Extent, Leaf, Node, Tree};

use crate::directory::Maker;
use crate::failure::{During, Failure};
use crate::packs::Pack;

/// The shortest range worth sharing; what is shorter is copied sooner.
const MIN_SHARED_BYTES: u64 = 64 << 10;
/// The longest range that is copied through memory.
const MAX_BUFFERED_BYTES: u64 = 1 << 20;
/// How much is copied before anybody hears of it.
const PIECE_BYTES: u64 = 32 << 20;

/// How many bytes of contents a tree has, holes not counted: what [`Options::progress`](crate::Options::progress)
/// is told of in all.
pub fn content_bytes(tree: &Tree) -> u64 {
    let contents = tree.inodes().filter_map(|(_, inode)| match &inode.node {
        Node::Leaf(Leaf::File(content)) => Some(content),
        _ => None,
    });
    let bytes = |content: &Content, extent: &Extent| {
        let start = extent.logical_block.saturating_mul(BLOCK_SIZE);
        content.size.saturating_sub(start).min(extent.block_count.saturating_mul(BLOCK_SIZE))
    };
    contents
        .flat_map(|content| content.extents.iter().map(move |extent| bytes(content, extent)))
        .fold(0, u64::saturating_add)
}

/// Bytes of a pack and where they go.
struct Range {
    from: u64,
    to: u64,
    length: u64,
}

impl Maker<'_> {
    /// Fills a new, empty file. Holes stay holes.
    pub(crate) fn fill_file(&mut self, file: &File, content: &Content) -> Result<(), Failure> {
        let mut end = 0;
        for extent in &content.extents {
            let pack = self.job.packs.get(content.source).ok_or(io::ErrorKind::NotFound);
            let pack = pack.during("find the contents of")?;
            let to = extent.logical_block * BLOCK_SIZE;
            end = content.size.min(to + extent.block_count * BLOCK_SIZE);
            let from = extent.source_block * BLOCK_SIZE;
            self.transfer(pack, file, &Range { from, to, length: end - to })?;
        }
        if end < content.size {
            file.set_len(content.size).during("set the length of")?;
        }
        Ok(())
    }

    fn transfer(&mut self, pack: &Pack<'_>, file: &File, range: &Range) -> Result<(), Failure> {
        let Range { from, to, length } = *range;
        // Only whole blocks can be shared: the last one would have to be cut, which copies it.
        let whole = length - length % BLOCK_SIZE;
        let mut done = 0;
        if whole >= MIN_SHARED_BYTES && pack.share(from, file, to, whole).during("share the contents of")? {
            self.summary.bytes_shared += whole;
            self.wrote(whole);
            done = whole;
        }
        while done < length {
            let piece = PIECE_BYTES.min(length - done);
            if length - done > MAX_BUFFERED_BYTES {
                self.check_cancelled()?;
                copy_range_in_kernel(pack.file, from + done, file, to + done, piece)
                    .during("copy the contents of")?;
            } else {
                self.copy_buffered(pack.file, from + done, file, to + done, piece)
                    .during("copy the contents of")?;
            }
            self.summary.bytes_copied += piece;
            self.wrote(piece);
            done += piece;
        }
        Ok(())
    }

    fn copy_buffered(&mut self, pack: &File, from: u64, file: &File, to: u64, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let bytes = &mut self.buffer[..length];
        pack.read_exact_at(bytes, from)?;
        file.write_all_at(bytes, to)
    }

    fn wrote(&self, bytes: u64) {
        if let Some(progress) = self.job.options.progress {
            progress(bytes);
        }
    }
}
