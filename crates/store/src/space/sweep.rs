//! Ranges of bytes, each of which several may have, from the first byte to the last.

/// Bytes of the disk that one holder has by one file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) holder: u32,
    /// The filesystem says that somebody else has them, or some of them, too.
    pub(super) shared: bool,
    /// They are fewer.
    pub(super) encoded: bool,
    /// Nobody has them: they say that what they touch is of one extent.
    pub(super) gap: bool,
    /// By another name of a file that was counted already.
    pub(super) again: bool,
    /// The file has names that are not known.
    pub(super) kept: bool,
}

/// Where a range begins or ends.
#[derive(Clone, Copy, Debug)]
struct Event {
    at: u64,
    range: u32,
    begins: bool,
}

/// Ranges in the order of their begins and ends.
#[derive(Debug)]
pub(super) struct Sweep {
    ranges: Vec<Range>,
    events: Vec<Event>,
}

/// Who has a piece of the disk in which no range begins or ends.
#[derive(Default)]
struct Having {
    these: u32,
    others: u32,
    /// Of them all, those of which the filesystem says that they are shared, and those of different files.
    shared: u32,
    files: u32,
}

impl Having {
    fn change(&mut self, range: &Range, these: bool, begins: bool) {
        count(if these { &mut self.these } else { &mut self.others }, begins);
        if range.kept {
            count(&mut self.others, begins);
        }
        if range.shared {
            count(&mut self.shared, begins);
        }
        if !range.again {
            count(&mut self.files, begins);
        }
    }

    /// Whether nobody has it once these are gone: what is shared has another of the known files as its other.
    fn freed(&self) -> bool {
        self.these > 0 && self.others == 0 && (self.shared == 0 || self.files > 1)
    }
}

fn count(number: &mut u32, begins: bool) {
    *number = if begins { number.saturating_add(1) } else { number.saturating_sub(1) };
}

impl Sweep {
    /// With `whole_extents`, ranges that overlap are parts of one extent, which each of them keeps as a whole.
    pub(super) fn new(mut ranges: Vec<Range>, whole_extents: bool) -> Self {
        ranges.sort_unstable_by_key(|range| range.start);
        shorten_encoded(&mut ranges);
        if whole_extents {
            widen(&mut ranges);
        }
        ranges.retain(|range| range.start < range.end && !range.gap);
        let mut events = Vec::with_capacity(ranges.len() * 2);
        for (index, range) in (0..).zip(&ranges) {
            events.push(Event { at: range.start, range: index, begins: true });
            events.push(Event { at: range.end, range: index, begins: false });
        }
        events.sort_unstable_by_key(|event| (event.at, event.begins));
        Self { ranges, events }
    }

    pub(super) fn on_disk(&self, these: impl Fn(u32) -> bool) -> u64 {
        self.sum(these, |having| having.these > 0)
    }

    /// What each of so many holders has.
    pub(super) fn on_disk_each(&self, holders: usize) -> Vec<u64> {
        // Up to where it is counted already: ranges are in the order of their begins.
        let mut counted = vec![(0, 0); holders];
        for range in &self.ranges {
            if let Some((bytes, until)) = counted.get_mut(range.holder as usize) {
                *bytes += range.end.saturating_sub(range.start.max(*until));
                *until = range.end.max(*until);
            }
        }
        counted.into_iter().map(|(bytes, _)| bytes).collect()
    }

    pub(super) fn freed(&self, these: impl Fn(u32) -> bool) -> u64 {
        self.sum(these, Having::freed)
    }

    /// The length of all pieces that are wanted.
    fn sum(&self, these: impl Fn(u32) -> bool, wanted: impl Fn(&Having) -> bool) -> u64 {
        let mut having = Having::default();
        let (mut from, mut bytes) = (0, 0);
        for (event, range) in self.events() {
            if event.at > from && wanted(&having) {
                bytes += event.at - from;
            }
            from = event.at;
            having.change(range, these(range.holder), event.begins);
        }
        bytes
    }

    /// What each of so many holders would free alone.
    pub(super) fn freed_alone(&self, holders: usize) -> Vec<u64> {
        let mut having = Having::default();
        // How many ranges each has here, how many have any, and the sum of these holders: if it is one, it is that one.
        let (mut ranges, mut different, mut sum) = (vec![0; holders], 0u32, 0u64);
        let mut bytes = vec![0; holders];
        let mut from = 0;
        for (event, range) in self.events() {
            if event.at > from
                && different == 1
                && having.freed()
                && let Some(bytes) = usize::try_from(sum).ok().and_then(|holder| bytes.get_mut(holder))
            {
                *bytes += event.at - from;
            }
            from = event.at;
            having.change(range, true, event.begins);
            let Some(own) = ranges.get_mut(range.holder as usize) else { continue };
            let had = *own > 0;
            count(own, event.begins);
            if had != (*own > 0) {
                count(&mut different, event.begins);
                let holder = u64::from(range.holder);
                sum = if event.begins { sum + holder } else { sum - holder };
            }
        }
        bytes
    }

    fn events(&self) -> impl Iterator<Item = (&Event, &Range)> {
        self.events.iter().filter_map(|event| Some((event, self.ranges.get(event.range as usize)?)))
    }
}

/// What is encoded ends where something else begins.
fn shorten_encoded(ranges: &mut [Range]) {
    let (mut start, mut beyond) = (u64::MAX, u64::MAX);
    for range in ranges.iter_mut().rev() {
        if range.start < start {
            beyond = start;
            start = range.start;
        }
        if range.encoded {
            range.end = range.end.min(beyond);
        }
    }
}

fn widen(ranges: &mut [Range]) {
    let mut rest = ranges;
    while let Some(first) = rest.first() {
        let (start, mut end) = (first.start, first.end);
        let mut length = 0;
        while let Some(range) = rest.get(length).filter(|range| range.start < end || length == 0) {
            end = end.max(range.end);
            length += 1;
        }
        let (chain, behind) = rest.split_at_mut(length);
        for range in chain {
            (range.start, range.end) = (start, end);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64, holder: u32) -> Range {
        Range { start, end, holder, ..Range::default() }
    }

    fn shared(start: u64, end: u64, holder: u32) -> Range {
        Range { shared: true, ..range(start, end, holder) }
    }

    fn gap(start: u64, end: u64) -> Range {
        Range { gap: true, ..range(start, end, 0) }
    }

    /// On disk of all, freed by 0, by 0 and 1, by each alone.
    fn look(ranges: &[Range], whole_extents: bool) -> (u64, u64, u64, Vec<u64>) {
        let sweep = Sweep::new(ranges.to_vec(), whole_extents);
        let alone = sweep.freed_alone(3);
        let each = sweep.on_disk_each(3);
        for index in 0..3 {
            assert_eq!(alone[index as usize], sweep.freed(|holder| holder == index));
            assert_eq!(each[index as usize], sweep.on_disk(|holder| holder == index));
        }
        (sweep.on_disk(|_| true), alone[0], sweep.freed(|holder| holder < 2), alone)
    }

    #[test]
    fn what_is_shared_is_counted_once() {
        for (ranges, whole, expected) in [
            (vec![], false, (0, 0, 0, [0, 0, 0])),
            (vec![range(0, 10, 0), range(20, 30, 1)], false, (20, 10, 20, [10, 10, 0])),
            (vec![shared(0, 10, 0), shared(0, 10, 1)], false, (10, 0, 10, [0, 0, 0])),
            // A third has it, too.
            (vec![shared(0, 9, 0), shared(0, 9, 1), shared(3, 6, 2)], false, (9, 0, 6, [0, 0, 0])),
            // Shared, and nobody knows with whom.
            (vec![shared(0, 10, 0), range(10, 15, 0)], false, (15, 5, 5, [5, 0, 0])),
            (vec![shared(0, 10, 0), shared(0, 4, 1)], false, (10, 0, 4, [0, 0, 0])),
            // The same file's blocks twice.
            (vec![shared(0, 10, 0), shared(0, 10, 0)], false, (10, 10, 10, [10, 0, 0])),
            // Overlapping in a chain.
            (vec![shared(0, 10, 0), shared(5, 15, 0), shared(12, 20, 1)], false, (20, 5, 8, [5, 0, 0])),
            // Parts of an extent that stays as a whole.
            (vec![shared(0, 10, 0), shared(0, 4, 1)], true, (10, 0, 10, [0, 0, 0])),
            (vec![shared(0, 10, 0), shared(0, 4, 0), shared(5, 8, 2)], true, (10, 0, 0, [0, 0, 0])),
            (vec![shared(0, 10, 0), shared(10, 14, 1), shared(10, 14, 1)], true, (14, 0, 4, [0, 4, 0])),
            (vec![gap(0, 9), range(0, 2, 1)], false, (2, 0, 2, [0, 2, 0])),
            // It was written into.
            (vec![shared(0, 4, 0), shared(0, 4, 1), gap(0, 9), shared(7, 9, 2)], true, (9, 0, 0, [0; 3])),
        ] {
            let (on_disk, first, both, alone) = expected;
            assert_eq!(look(&ranges, whole), (on_disk, first, both, alone.to_vec()), "{ranges:?} {whole}");
        }
    }

    #[test]
    fn names_of_one_file_are_one_file() {
        let name = |holder, again| Range { again, ..range(0, 10, holder) };
        assert_eq!(look(&[name(0, false), name(1, true)], false), (10, 0, 10, vec![0; 3]));
        // Its blocks are another file's that is not known.
        let shared = |holder, again| Range { shared: true, ..name(holder, again) };
        assert_eq!(look(&[shared(0, false), shared(1, true)], false), (10, 0, 0, vec![0; 3]));
        // A name of it is not known.
        let kept = |holder, again| Range { kept: true, ..name(holder, again) };
        assert_eq!(look(&[kept(0, false), kept(1, true)], false), (10, 0, 0, vec![0; 3]));
    }

    #[test]
    fn what_is_encoded_ends_where_the_next_begins() {
        let encoded = |start, end| Range { encoded: true, ..range(start, end, 0) };
        let ranges = [encoded(0, 100), encoded(10, 110), encoded(10, 30), range(50, 60, 1)];
        assert_eq!(look(&ranges, true), (60, 50, 60, vec![50, 10, 0]));
    }
}
