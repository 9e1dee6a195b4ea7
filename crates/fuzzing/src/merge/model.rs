use std::collections::{BTreeMap, BTreeSet, VecDeque};

use offshoot_tree::{Change, Leaf, TreePath};

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Its time of modification, which tells which entry described it.
    Directory(i64),
    /// Its size and source, which tell which entry it is.
    File(u64, u32),
    Symlink(Vec<u8>),
    Other,
}

/// A filesystem as a map: no path in it leads through a link.
pub(super) struct Model {
    /// By the names from the root down; the number tells one file's names from those of others.
    entries: BTreeMap<Vec<Vec<u8>>, (Kind, usize)>,
    next: usize,
    layer: u32,
}

/// What a way leads to that ends early.
enum Way {
    Loop,
    Nowhere,
}

impl Model {
    pub(super) fn new() -> Self {
        let root = (Vec::new(), (Kind::Directory(0), 0));
        Self { entries: BTreeMap::from([root]), next: 1, layer: 0 }
    }

    /// `None` if the layer is impossible.
    pub(super) fn apply(&mut self, changes: &[Change]) -> Option<()> {
        let puts: BTreeSet<Vec<Vec<u8>>> = changes
            .iter()
            .filter(|change| !change.is_whiteout())
            .map(|change| names(change.path()))
            .collect();
        for change in changes {
            let (path, itself) = match change {
                Change::Whiteout { path } if !path.is_root() => (names(path), true),
                Change::OpaqueWhiteout { path } => (names(path), false),
                _ => continue,
            };
            let directory = if itself { &path[..path.len() - 1] } else { &path[..] };
            let mut place = match self.resolve(directory, Some(&puts), false) {
                Ok(place) => place,
                Err(Way::Nowhere) => continue,
                Err(Way::Loop) => return None,
            };
            place.extend(path.last().filter(|_| itself).cloned());
            let hidden = |key: &Vec<Vec<u8>>| key.starts_with(&place) && (itself || key.len() > place.len());
            self.entries.retain(|key, _| !hidden(key));
        }
        for change in changes.iter().filter(|change| !change.is_whiteout()) {
            self.put(change)?;
        }
        self.layer += 1;
        Some(())
    }

    fn put(&mut self, change: &Change) -> Option<()> {
        let path = names(change.path());
        let Some((name, parent)) = path.split_last() else {
            let Change::Directory { metadata, .. } = change else { return None };
            self.entries.insert(Vec::new(), (Kind::Directory(metadata.mtime.seconds), 0));
            return Some(());
        };
        let entry = match change {
            Change::HardLink { target, .. } => {
                let target = names(target);
                let (target_name, target_parent) = target.split_last().filter(|_| target != path)?;
                let mut place = self.resolve(target_parent, None, false).ok()?;
                place.push(target_name.clone());
                self.entries.get(&place).filter(|(kind, _)| !matches!(kind, Kind::Directory(_))).cloned()?
            }
            Change::Directory { metadata, .. } => (Kind::Directory(metadata.mtime.seconds), self.number()),
            Change::Leaf { leaf: Leaf::File(content), .. } => {
                (Kind::File(content.size, self.layer), self.number())
            }
            Change::Leaf { leaf: Leaf::Symlink(target), .. } => {
                (Kind::Symlink(target.to_vec()), self.number())
            }
            _ => (Kind::Other, self.number()),
        };
        let mut place = self.resolve(parent, None, true).ok()?;
        place.push(name.clone());
        let is_directory = |entry: Option<&(Kind, usize)>| matches!(entry, Some((Kind::Directory(_), _)));
        if !(is_directory(Some(&entry)) && is_directory(self.entries.get(&place))) {
            self.entries.retain(|key, _| !key.starts_with(&place));
        }
        self.entries.insert(place, entry);
        Some(())
    }

    /// The directory that a path leads to, links followed. With `make`, what is missing is made, and what is neither
    /// directory nor link gives way; with `puts`, a link that the layer replaces leads nowhere.
    fn resolve(
        &mut self,
        path: &[Vec<u8>],
        puts: Option<&BTreeSet<Vec<Vec<u8>>>>,
        make: bool,
    ) -> Result<Vec<Vec<u8>>, Way> {
        let mut place: Vec<Vec<u8>> = Vec::new();
        // Each name, and how much of the path as it is written ends with it.
        let mut pending: VecDeque<(Vec<u8>, usize)> = path.iter().cloned().zip(1..).collect();
        let mut links = 0;
        while let Some((name, written)) = pending.pop_front() {
            match &name[..] {
                b"" | b"." => continue,
                b".." => {
                    place.pop();
                    continue;
                }
                _ => place.push(name),
            }
            match self.entries.get(&place) {
                Some((Kind::Directory(_), _)) => {}
                Some((Kind::Symlink(target), _)) => {
                    if written > 0 && puts.is_some_and(|puts| puts.contains(&path[..written])) {
                        return Err(Way::Nowhere);
                    }
                    links += 1;
                    if links > 40 {
                        return Err(Way::Loop);
                    }
                    place.pop();
                    if target.starts_with(b"/") {
                        place.clear();
                    }
                    for name in target.split(|byte| *byte == b'/').rev() {
                        pending.push_front((name.to_vec(), 0));
                    }
                }
                _ if make && place.last().is_some_and(|name| name.len() <= 255) => {
                    self.next += 1;
                    self.entries.insert(place.clone(), (Kind::Directory(0), self.next));
                }
                _ => return Err(Way::Nowhere),
            }
        }
        Ok(place)
    }

    fn number(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// Every path, what is there, and which of the paths that share a file comes first.
    pub(super) fn listed(&self) -> BTreeMap<Vec<u8>, (Kind, Vec<u8>)> {
        let mut first: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        self.entries
            .iter()
            .map(|(path, (kind, number))| {
                let path = path.join(&b'/');
                let first = first.entry(*number).or_insert_with(|| path.clone());
                (path, (kind.clone(), first.clone()))
            })
            .collect()
    }
}

fn names(path: &TreePath) -> Vec<Vec<u8>> {
    path.components().map(<[u8]>::to_vec).collect()
}
