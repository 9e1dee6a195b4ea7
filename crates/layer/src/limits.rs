/// How much a layer may ask for. Whoever writes a layer decides none of these.
///
/// Sizes are bytes. The defaults are far above what real images have, and low enough that a hostile layer
/// fails before it fills a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The tar once decompressed. Default: 128 GiB.
    pub tar_bytes: u64,
    /// Entries of the tar that mean something. Default: 8 Mi.
    pub entries: u64,
    /// What all entries together take in memory: paths, targets, attributes, extents. Default: 512 MiB, room for some
    /// three million files.
    pub index_bytes: u64,
    /// A path, or a link's target. Default: 4,095, the longest that Linux takes.
    pub path_bytes: usize,
    /// Names in a path. Default: 256.
    pub path_depth: usize,
    /// One file's size, holes included. Default: 16 TiB, the largest that ext4 holds.
    pub file_bytes: u64,
    /// Extents of all files together: each costs memory. Default: 8 Mi.
    pub extents: u64,
    /// One entry's extended attributes, names and values. Default: 128 KiB.
    pub xattr_bytes: usize,
    /// How many extended attributes one entry may have. Default: 256.
    pub xattrs: usize,
    /// What describes one entry beside its header: PAX records, GNU long names, sparse maps. Default: 1 MiB.
    pub metadata_bytes: u64,
    /// The window of a zstd frame, that is the memory its decompression takes. Default: 128 MiB, as the
    /// zstd program allows without being asked.
    pub zstd_window_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tar_bytes: 128 << 30,
            entries: 8 << 20,
            index_bytes: 512 << 20,
            path_bytes: 4095,
            path_depth: 256,
            file_bytes: 16 << 40,
            extents: 8 << 20,
            xattr_bytes: 128 << 10,
            xattrs: 256,
            metadata_bytes: 1 << 20,
            zstd_window_bytes: 128 << 20,
        }
    }
}
