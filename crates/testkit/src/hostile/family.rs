use super::case::Case;
use super::{
    advisories, archives, bombs, compression, configs, devices, digests, directories, hard_links, headers,
    links, manifests, names, paths, pax, registries, sparse, times_and_ids, whiteouts, xattrs,
};

/// What kind of thing is hostile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Paths that climb out or start at the host's root.
    Paths,
    /// Symbolic links to the host, and what is written through them.
    Links,
    /// Hard links: forward, to themselves, in loops, to directories, across layers, to the host.
    HardLinks,
    /// Whiteouts of what is above, of dots, through links.
    Whiteouts,
    /// Names that are too long, no text, alike, or somebody else's.
    Names,
    /// Tar headers that lie.
    Headers,
    /// Extended headers that lie, contradict their header or have no end.
    Pax,
    /// Maps of sparse files.
    Sparse,
    /// Times and owners at and beyond what a filesystem holds.
    TimesAndIds,
    /// Extended attributes.
    Xattrs,
    /// Device nodes and pipes.
    Devices,
    /// Compressed streams that end early, late or never.
    Compression,
    /// Little that wants much.
    Bombs,
    /// Digests that are none, or another's.
    Digests,
    /// Manifests and indexes of every wrong shape.
    Manifests,
    /// Configurations of every wrong shape.
    Configs,
    /// Archives of images.
    Archives,
    /// Directories of the host.
    Directories,
    /// Registries that misbehave.
    Registries,
    /// What was reported against others, each by its identifier.
    Advisories,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Paths,
        Self::Links,
        Self::HardLinks,
        Self::Whiteouts,
        Self::Names,
        Self::Headers,
        Self::Pax,
        Self::Sparse,
        Self::TimesAndIds,
        Self::Xattrs,
        Self::Devices,
        Self::Compression,
        Self::Bombs,
        Self::Digests,
        Self::Manifests,
        Self::Configs,
        Self::Archives,
        Self::Directories,
        Self::Registries,
        Self::Advisories,
    ];

    /// As `docs/threat-model.md` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paths => "paths",
            Self::Links => "links",
            Self::HardLinks => "hard links",
            Self::Whiteouts => "whiteouts",
            Self::Names => "names",
            Self::Headers => "headers",
            Self::Pax => "PAX",
            Self::Sparse => "sparse files",
            Self::TimesAndIds => "times and owners",
            Self::Xattrs => "extended attributes",
            Self::Devices => "devices",
            Self::Compression => "compression",
            Self::Bombs => "bombs",
            Self::Digests => "digests",
            Self::Manifests => "manifests",
            Self::Configs => "configs",
            Self::Archives => "archives",
            Self::Directories => "directories",
            Self::Registries => "registries",
            Self::Advisories => "advisories",
        }
    }

    /// Its cases. `victim` is a directory of the host, absolute, with the files `precious` and `dir/precious`, that
    /// they try to reach.
    pub fn cases(self, victim: &str) -> Vec<Case> {
        let mut cases = match self {
            Self::Paths => paths::cases(victim),
            Self::Links => links::cases(victim),
            Self::HardLinks => hard_links::cases(victim),
            Self::Whiteouts => whiteouts::cases(victim),
            Self::Names => names::cases(),
            Self::Headers => headers::cases(),
            Self::Pax => pax::cases(),
            Self::Sparse => sparse::cases(),
            Self::TimesAndIds => times_and_ids::cases(),
            Self::Xattrs => xattrs::cases(),
            Self::Devices => devices::cases(),
            Self::Compression => compression::cases(),
            Self::Bombs => bombs::cases(),
            Self::Digests => digests::cases(victim),
            Self::Manifests => manifests::cases(),
            Self::Configs => configs::cases(),
            Self::Archives => archives::cases(victim),
            Self::Directories => directories::cases(victim),
            Self::Registries => registries::cases(),
            Self::Advisories => advisories::cases(victim),
        };
        for case in &mut cases {
            case.family = self;
        }
        cases
    }
}
