use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use crate::Error;

/// Each thing once that cannot be looked at: an entry may be met by its lock, by its record, and by who refers to it.
pub(super) fn each_once(problems: impl IntoIterator<Item = Error>) -> Vec<Error> {
    let mut told = BTreeSet::<PathBuf>::new();
    let is_new = |problem: &Error| {
        let Some(path) = place(problem) else { return true };
        // Whatever is below a path follows it in order.
        let mut after = told.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        let is_told = path.ancestors().any(|above| told.contains(above))
            || after.next().is_some_and(|next| next.starts_with(path));
        !is_told && told.insert(path.to_owned())
    };
    problems.into_iter().filter(is_new).collect()
}

/// What cannot be looked at.
fn place(problem: &Error) -> Option<&Path> {
    match problem {
        Error::Store(error) => Some(error.path()),
        Error::Io { path, .. } | Error::NoRecord { path } => Some(path),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_and_what_is_in_it_are_one() {
        let problem = |path: &&str| Error::NoRecord { path: path.into() };
        for (met, told) in [
            (&[][..], &[][..]),
            (&["t/a", "t/a"], &["t/a"]),
            (&["t/a/record", "t/a"], &["t/a/record"]),
            (&["t/a", "t/a/record"], &["t/a"]),
            (&["t/a/record", "t/a.b", "t/b", "t/a"], &["t/a/record", "t/a.b", "t/b"]),
            (&["n/x.json", "n/y.json", "n/x"], &["n/x.json", "n/y.json", "n/x"]),
        ] {
            let once = each_once(met.iter().map(problem));
            let places: Vec<_> = once.iter().filter_map(place).collect();
            assert_eq!(places, told.iter().map(Path::new).collect::<Vec<_>>(), "{met:?}");
        }
        // Of what is in no place, nothing is known.
        let nowhere = || Error::Random(std::io::ErrorKind::Other.into());
        assert_eq!(each_once([nowhere(), nowhere()]).len(), 2);
    }
}
