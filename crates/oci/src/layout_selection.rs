use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use offshoot_store::Digest;

use crate::{Descriptor, Error, Index, Missing, Reference};

/// A manifest's tag within a layout (image-spec, `annotations.md`).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full reference, as containerd and BuildKit write it.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Which image of a layout is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// The only one.
    Only,
    /// The one of that tag, or that full name.
    Tag(String),
    /// Whatever blob has that digest.
    Digest(Digest),
}

impl Selection {
    pub(crate) fn new(tag: Option<&str>, digest: Option<Digest>) -> Self {
        match (digest, tag) {
            (Some(digest), _) => Self::Digest(digest),
            (None, Some(tag)) => Self::Tag(tag.to_owned()),
            (None, None) => Self::Only,
        }
    }
}

/// The entries of a layout's index that carry the tag: at least one. Several are one image for several platforms,
/// or leave open which is meant.
pub(crate) fn tagged<'a>(index: &'a Index, tag: &str, place: &Path) -> Result<Vec<&'a Descriptor>, Error> {
    let exact: Vec<_> = index.manifests.iter().filter(|entry| names(entry).any(|name| name == tag)).collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let wanted = tag.parse::<Reference>().ok();
    let fits = |name: &str| {
        let parsed = name.parse::<Reference>().ok();
        let has_tag = name.rsplit_once(':').is_some_and(|(_, own)| own == tag);
        parsed.is_some() && (has_tag || parsed == wanted)
    };
    let by_reference: Vec<_> = index.manifests.iter().filter(|entry| names(entry).any(fits)).collect();
    if by_reference.is_empty() {
        let available: BTreeSet<&str> = index.manifests.iter().flat_map(names).collect();
        let available = available.into_iter().map(str::to_owned).collect();
        return Err(Missing::Tag { place: place.to_owned(), tag: tag.to_owned(), available }.into());
    }
    Ok(by_reference)
}

/// The entries of a layout's index if they can all be the one image that it has: one blob, or several under one
/// name.
pub(crate) fn only<'a>(index: &'a Index, place: &Path) -> Result<Vec<&'a Descriptor>, Error> {
    let mut named: BTreeMap<Digest, BTreeSet<&str>> = BTreeMap::new();
    for entry in &index.manifests {
        named.entry(entry.digest).or_default().extend(names(entry));
    }
    if named.is_empty() {
        return Err(Missing::Image(place.to_owned()).into());
    }
    let name_sets: BTreeSet<_> = named.values().collect();
    if name_sets.len() > 1 {
        return Err(ambiguous(&index.manifests.iter().collect::<Vec<_>>(), place));
    }
    Ok(index.manifests.iter().collect())
}

/// The error that lists what there is.
pub(crate) fn ambiguous(entries: &[&Descriptor], place: &Path) -> Error {
    let mut available = BTreeSet::new();
    for entry in entries {
        match names(entry).next() {
            Some(name) => available.insert(name.to_owned()),
            None => available.insert(format!("@{}", entry.digest)),
        };
    }
    // One name for several: only their digests tell them apart.
    if available.len() < 2 {
        available = entries.iter().map(|entry| format!("@{}", entry.digest)).collect();
    }
    Error::Ambiguous { place: place.to_owned(), available: available.into_iter().collect() }
}

fn names(entry: &Descriptor) -> impl Iterator<Item = &str> {
    [REF_NAME, CONTAINERD_NAME].into_iter().filter_map(|key| entry.annotations.get(key)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u8, ref_name: &str, containerd: &str) -> Descriptor {
        let annotations = [(REF_NAME, ref_name), (CONTAINERD_NAME, containerd)]
            .into_iter()
            .filter(|(_, name)| !name.is_empty())
            .map(|(key, name)| (key.to_owned(), name.to_owned()))
            .collect();
        let digest = Digest::of(&[number]);
        Descriptor { media_type: String::new(), digest, size: 1, platform: None, annotations }
    }

    #[test]
    fn tags_and_full_names() {
        let manifests = vec![
            entry(1, "debian", ""),
            entry(2, "3.21", "docker.io/library/alpine:3.21"),
            entry(3, "registry.example.com/team/app:v1", ""),
            entry(4, "latest", ""),
            entry(5, "", "docker.io/library/busybox:1"),
        ];
        let index = Index { manifests };
        for (tag, expected) in [
            ("debian", Some(1)),
            ("3.21", Some(2)),
            ("alpine:3.21", Some(2)),
            ("v1", Some(3)),
            ("registry.example.com/team/app:v1", Some(3)),
            ("latest", Some(4)),
            ("busybox:1", Some(5)),
            ("1", Some(5)),
            ("library", None),
            ("v2", None),
            ("21", None),
        ] {
            let found = tagged(&index, tag, Path::new("p")).map(|entries| {
                assert_eq!(entries.len(), 1);
                entries[0].digest
            });
            match (found, expected) {
                (Ok(digest), Some(number)) => assert_eq!(digest, Digest::of(&[number]), "{tag}"),
                (Err(Error::NotFound(Missing::Tag { available, .. })), None) => {
                    assert_eq!(available.len(), 6);
                }
                (found, _) => panic!("{tag}: {found:?}"),
            }
        }
    }

    #[test]
    fn the_only_image() {
        let place = Path::new("p");
        let count = |manifests| only(&Index { manifests }, place).map(|entries| entries.len());
        assert!(matches!(count(vec![]), Err(Error::NotFound(Missing::Image(_)))));
        assert_eq!(count(vec![entry(1, "a", "")]).unwrap(), 1);
        // One image under two names; two platforms under one name, or under none.
        assert_eq!(count(vec![entry(1, "a", ""), entry(1, "b", "")]).unwrap(), 2);
        assert_eq!(count(vec![entry(1, "a", ""), entry(2, "a", "")]).unwrap(), 2);
        assert_eq!(count(vec![entry(1, "", ""), entry(2, "", "")]).unwrap(), 2);
        let several = count(vec![entry(1, "a", ""), entry(2, "", "")]);
        let Err(Error::Ambiguous { available, .. }) = several else { panic!("{several:?}") };
        assert_eq!(available, [format!("@{}", Digest::of(&[2])), "a".to_owned()]);
    }
}
