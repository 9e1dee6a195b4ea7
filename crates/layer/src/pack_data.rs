use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use offshoot_store::Checksum;
use offshoot_tree::{Change, Leaf};

use crate::{block, length};

/// Large enough that the reads cost nothing beside the checksums.
const READ_LEN: usize = 1 << 20;

/// A pack's data file, and what is known of its blocks.
#[derive(Debug)]
pub struct PackData {
    file: File,
    /// Where files' contents end, ascending.
    ends: Vec<End>,
}

#[derive(Debug)]
struct End {
    /// The block behind.
    block: u64,
    /// Of all before it.
    checksum: Checksum,
}

impl PackData {
    pub(crate) fn new(file: File, changes: &[Change], checksums: &[u32]) -> Self {
        let ends = changes.iter().zip(checksums).filter_map(|(change, &checksum)| {
            let Change::Leaf { leaf: Leaf::File(content), .. } = change else { return None };
            let last = content.extents.last()?;
            let block = last.source_block.saturating_add(last.block_count);
            Some(End { block, checksum: Checksum::from_value(checksum) })
        });
        Self { ends: ends.collect(), file }
    }

    /// The file that every [`Extent`](offshoot_tree::Extent) is about, open for reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The same, for keeps.
    pub fn into_file(self) -> File {
        self.file
    }

    /// The checksum that so many blocks had when they were packed. Nothing is read but what lies between the start of a
    /// file's contents and an end of the range within them.
    pub fn checksum(&self, start_block: u64, blocks: u64) -> io::Result<Checksum> {
        let before = self.up_to(start_block)?;
        let whole = self.up_to(start_block.saturating_add(blocks))?;
        Ok(whole.since(before, block::start(blocks)))
    }

    /// The first block, from that one on, before which a file's contents end; `None` if there is no more.
    pub fn next_end(&self, block: u64) -> Option<u64> {
        let next = self.ends.partition_point(|end| end.block < block);
        self.ends.get(next).map(|end| end.block)
    }

    /// The checksum of all blocks before that one.
    fn up_to(&self, block: u64) -> io::Result<Checksum> {
        let known = self.ends.partition_point(|end| end.block <= block);
        let known = known.checked_sub(1).and_then(|last| self.ends.get(last));
        let (from, checksum) = known.map_or((0, Checksum::new()), |end| (end.block, end.checksum));
        let blocks = block.saturating_sub(from);
        read(&self.file, block::start(from), block::start(blocks), checksum, &mut Vec::new())
    }
}

/// A checksum with so many bytes of a file behind.
pub(crate) fn read(
    file: &File,
    mut offset: u64,
    mut bytes: u64,
    mut checksum: Checksum,
    buffer: &mut Vec<u8>,
) -> io::Result<Checksum> {
    while bytes > 0 {
        let count = READ_LEN.min(length::in_memory(bytes));
        buffer.resize(count, 0);
        file.read_exact_at(buffer, offset)?;
        checksum = checksum.update(buffer);
        offset = offset.saturating_add(length::in_file(count));
        bytes = bytes.saturating_sub(length::in_file(count));
    }
    Ok(checksum)
}
