use serde::{Deserialize, Serialize};

/// The unit of file contents everywhere: 4 KiB, as in packs and in the ext4 profile.
pub const BLOCK_SIZE: u64 = 4096;

/// Which source of file contents a [`Content`] lies in: the index of a layer's pack in its image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId(pub u32);

/// Where a file's bytes are: extents in one source; what no extent covers is a hole and reads as zeros.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The file's size in bytes.
    pub size: u64,
    /// The source that holds every extent; set when layers are merged.
    pub source: SourceId,
    /// Ascending by `logical_block`, not overlapping, within the size. The last block of the file is
    /// padded with zeros in the source.
    pub extents: Vec<Extent>,
}

impl Content {
    /// How many blocks of data the extents have.
    pub fn data_blocks(&self) -> u64 {
        self.extents.iter().map(|extent| extent.block_count).sum()
    }
}

/// A run of a file's blocks that lie together in its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// First block within the file.
    pub logical_block: u64,
    /// First block within the source.
    pub source_block: u64,
    /// How many blocks; never zero.
    pub block_count: u64,
}
