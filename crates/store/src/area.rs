/// A part of the store whose entries are directories, each published whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Packs, by `diff_id`.
    Layers,
    /// Templates, by id.
    Templates,
    /// Clones, by the id of their VM.
    Clones,
}

impl Area {
    pub(crate) const ALL: [Self; 3] = [Self::Layers, Self::Templates, Self::Clones];

    /// The directory's name in the store.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Templates => "templates",
            Self::Clones => "clones",
        }
    }
}

/// A part of the store whose entries are single JSON records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordArea {
    /// What a reference and platform stand for.
    Images,
    /// What a template's human name stands for.
    Names,
    /// What the bytes of a file were when they were last read: made when the first digest is asked for.
    Digests,
}

impl RecordArea {
    pub(crate) const ALL: [Self; 3] = [Self::Images, Self::Names, Self::Digests];

    /// The directory's name in the store.
    pub const fn directory(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Names => "names",
            Self::Digests => "digests",
        }
    }
}
