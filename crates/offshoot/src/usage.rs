use offshoot_store::{Capacity, Content, Part, Space, read_own_file};

use crate::records::{CLONE_RECORD, CloneRecord};
use crate::{Error, Store};

/// What a store takes of its disk. Bytes on disk are those of blocks: what is shared is counted once in each sum.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// By part, in the order of [`Part::ALL`].
    pub parts: Vec<PartUsage>,
    /// Each pack, template and clone.
    pub items: Vec<ItemUsage>,
    /// All of it.
    pub total: UsedBytes,
    /// The size of the filesystem that the store is in.
    pub filesystem_bytes: u64,
    /// What of that this process could still write.
    pub free_bytes: u64,
}

/// A part of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartUsage {
    /// Which.
    pub part: Part,
    /// How many things.
    pub count: u64,
    /// What they take.
    pub used: UsedBytes,
}

/// A pack, template or clone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ItemUsage {
    /// Which of these it is.
    pub part: Part,
    /// The layer's digest in hexadecimal, the template's id, the VM's id.
    pub name: String,
    /// What it takes.
    pub used: UsedBytes,
}

/// What something takes of a disk, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsedBytes {
    /// The lengths of its files, holes included.
    pub apparent: u64,
    /// On disk, also what others share.
    pub on_disk: u64,
    /// What becomes free if it alone is removed. Blocks that files outside of the store share are not promised.
    pub exclusive: u64,
}

impl UsedBytes {
    /// What of it stays on disk if it alone is removed.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let total = store.usage()?.total;
    /// assert_eq!(total.shared() + total.exclusive, total.on_disk);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shared(&self) -> u64 {
        self.on_disk.saturating_sub(self.exclusive)
    }
}

impl Store {
    /// Counts what the store takes of its disk. Nothing is read but where files lie, and nothing is changed.
    ///
    /// On a filesystem that does not tell where files lie, all is counted as what each file says of itself.
    ///
    /// ```
    /// # use offshoot::*;
    /// # let directory = tempfile::tempdir()?;
    /// # let root = directory.path().join("store");
    /// # let store = Store::open(&root)?;
    /// let options = BuildOptions { size: DiskSize::Bytes(16 << 20), ..BuildOptions::default() };
    /// let template = store.build(&"scratch:".parse()?, &options, &Quiet)?;
    /// let usage = store.usage()?;
    /// let used = usage.items.iter().find(|item| item.part == Part::Templates).unwrap().used;
    /// assert!(used.apparent >= 16 << 20, "and mostly holes");
    /// assert!(used.on_disk < 8 << 20 && usage.total.on_disk >= used.on_disk);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn usage(&self) -> Result<Usage, Error> {
        let (contents, space) = self.directory.survey()?;
        let parts: Vec<_> = Part::ALL.into_iter().map(|part| part_usage(part, &contents, &space)).collect();
        let total = UsedBytes {
            apparent: parts.iter().map(|part| part.used.apparent).sum(),
            on_disk: space.on_disk(|_| true),
            exclusive: space.freed(|_| true),
        };
        let capacity =
            Capacity::of(self.path()).map_err(Error::io("look at the filesystem of", self.path()))?;
        Ok(Usage {
            parts,
            items: self.items(&contents, &space),
            total,
            filesystem_bytes: capacity.bytes,
            free_bytes: capacity.available_bytes,
        })
    }

    fn items(&self, contents: &[Content], space: &Space) -> Vec<ItemUsage> {
        let (on_disk, exclusive) = (space.on_disk_alone(), space.freed_alone());
        let of = |each: &[u64], content: &Content| each.get(content.holder.index()).copied().unwrap_or(0);
        let kept = |part| matches!(part, Part::Packs | Part::Templates | Part::Clones);
        let items = contents.iter().filter(|content| kept(content.part)).map(|content| ItemUsage {
            part: content.part,
            name: if content.part == Part::Clones { self.vm_of(content) } else { content.name.clone() },
            used: UsedBytes {
                apparent: space.apparent_bytes(content.holder),
                on_disk: of(&on_disk, content),
                exclusive: of(&exclusive, content),
            },
        });
        items.collect()
    }

    /// Whose a clone is; where its record does not say, its directory's name: it takes its bytes all the same.
    fn vm_of(&self, content: &Content) -> String {
        if !content.name.contains(['%', '~']) {
            return content.name.clone();
        }
        let record = self.path().join("clones").join(&content.name).join(CLONE_RECORD);
        let record = read_own_file(&record).ok().flatten();
        let record = record.and_then(|bytes| serde_json::from_slice::<CloneRecord>(&bytes).ok());
        record.map_or_else(|| content.name.clone(), |record| record.vm_id.to_string())
    }
}

fn part_usage(part: Part, contents: &[Content], space: &Space) -> PartUsage {
    let mut of_part = vec![false; contents.len()];
    let mut usage = PartUsage { part, count: 0, used: UsedBytes::default() };
    for content in contents.iter().filter(|content| content.part == part) {
        usage.count += 1;
        usage.used.apparent += space.apparent_bytes(content.holder);
        if let Some(of_part) = of_part.get_mut(content.holder.index()) {
            *of_part = true;
        }
    }
    let is_of_part = |holder: offshoot_store::Holder| of_part.get(holder.index()).copied().unwrap_or(false);
    usage.used.on_disk = space.on_disk(is_of_part);
    usage.used.exclusive = space.freed(is_of_part);
    usage
}
