use std::path::Path;

/// The fewest from the front with which least is missing, without those of them that make no difference: what shares all
/// its bytes with something that stays.
pub(super) fn choose<'a>(paths: &[&'a Path], missing: impl Fn(&[&'a Path]) -> u64) -> Vec<&'a Path> {
    let least = missing(paths);
    let (mut too_few, mut enough) = (0, paths.len());
    while too_few < enough {
        let middle = too_few + (enough - too_few) / 2;
        if missing(&paths[..middle]) == least { enough = middle } else { too_few = middle + 1 }
    }
    let mut chosen = paths[..enough].to_vec();
    for index in (0..chosen.len()).rev() {
        let one = chosen.remove(index);
        if missing(&chosen) > least {
            chosen.insert(index, one);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_none_in_vain() {
        // Bytes that each frees; the second and fourth share theirs, which are free when both are gone.
        let missing = |wanted: u64| {
            move |chosen: &[&Path]| {
                let has = |name: &str| chosen.contains(&Path::new(name));
                let alone = 10 * u64::from(has("a")) + 20 * u64::from(has("c")) + 5 * u64::from(has("e"));
                wanted.saturating_sub(alone + 100 * u64::from(has("b") && has("d")))
            }
        };
        let paths = ["a", "b", "c", "d", "e", "f"].map(Path::new);
        for (wanted, expected) in [
            (0, &[][..]),
            (1, &["a"]),
            (10, &["a"]),
            (11, &["c"]),
            (30, &["a", "c"]),
            (31, &["b", "d"]),
            (130, &["a", "b", "c", "d"]),
            (135, &["a", "b", "c", "d", "e"]),
            // More than there is: all that makes a difference.
            (1000, &["a", "b", "c", "d", "e"]),
        ] {
            assert_eq!(
                choose(&paths, missing(wanted)),
                expected.iter().map(Path::new).collect::<Vec<_>>(),
                "{wanted}"
            );
        }
    }
}
