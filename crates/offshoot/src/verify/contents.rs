//! Bulk reading: the checksums and digests of what a store's files hold.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot_store::{Checksum, Digest, Hasher, next_data};

use super::Problem;
use super::reading::Reading;
use crate::checksums::{self, RangeChecksum};

const READ_BYTES: usize = 1 << 20;

/// How many bytes are read to compare a disk with what was kept of it.
pub(super) fn to_read(file: &File, ranges: &[RangeChecksum]) -> io::Result<u64> {
    let mut bytes = ranges.iter().fold(0, |sum: u64, range| sum.saturating_add(range.bytes));
    for gap in gaps(ranges, file.metadata()?.len()) {
        for data in data_within(file, gap) {
            let data = data?;
            bytes = bytes.saturating_add(data.end - data.start);
        }
    }
    Ok(bytes)
}

/// Compares a disk with what was kept of it: its stretches with their checksums, several at once, and what lies between
/// them with zeros.
pub(super) fn changes(
    file: &File,
    ranges: &[RangeChecksum],
    reading: &Reading<'_>,
) -> io::Result<Vec<Problem>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(ranges.len());
    let next = AtomicUsize::new(0);
    let work = || -> io::Result<Vec<Problem>> {
        let mut buffer = vec![0; READ_BYTES];
        let mut problems = Vec::new();
        while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut checksum = Checksum::new();
            checksums::read(file, range.offset, range.end(), &mut buffer, |_, bytes| {
                checksum = checksum.update(bytes);
                reading.read(bytes.len() as u64)
            })?;
            if checksum.value() != range.crc32c {
                problems.push(Problem::Changed { offset: range.offset, bytes: range.bytes, path: None });
            }
        }
        Ok(problems)
    };
    let found = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let joined = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(own).chain(joined).collect::<io::Result<Vec<_>>>()
    })?;
    let mut found: Vec<Problem> = found.into_iter().flatten().collect();
    for gap in gaps(ranges, file.metadata()?.len()) {
        found.extend(first_not_zero(file, gap, reading)?);
    }
    found.sort_by_key(|problem| match problem {
        Problem::Changed { offset, .. } | Problem::NotZero { offset } => *offset,
        _ => 0,
    });
    Ok(found)
}

/// What lies between the stretches of a disk, before the first and behind the last.
fn gaps(ranges: &[RangeChecksum], length: u64) -> impl Iterator<Item = Range<u64>> {
    let starts = std::iter::once(0).chain(ranges.iter().map(RangeChecksum::end));
    let ends = ranges.iter().map(|range| range.offset).chain([length]);
    starts.zip(ends).map(|(start, end)| start..end)
}

/// Where in a part of a file there is data.
fn data_within(file: &File, part: Range<u64>) -> impl Iterator<Item = io::Result<Range<u64>>> {
    let mut from = part.start;
    std::iter::from_fn(move || {
        if from >= part.end {
            return None;
        }
        match next_data(file, from) {
            Ok(data) => {
                let data = data.filter(|data| data.start < part.end)?;
                from = data.end;
                Some(Ok(data.start..data.end.min(part.end)))
            }
            Err(error) => {
                from = part.end;
                Some(Err(error))
            }
        }
    })
}

fn first_not_zero(file: &File, gap: Range<u64>, reading: &Reading<'_>) -> io::Result<Option<Problem>> {
    let mut buffer = vec![0; READ_BYTES];
    let mut found = None;
    for data in data_within(file, gap) {
        let data = data?;
        checksums::read(file, data.start, data.end, &mut buffer, |offset, bytes| {
            let position = bytes.iter().position(|&byte| byte != 0);
            found = found.or(position.map(|position| offset + position as u64));
            reading.read(bytes.len() as u64)
        })?;
        if found.is_some() {
            break;
        }
    }
    Ok(found.map(|offset| Problem::NotZero { offset }))
}

/// The digest of all of a file.
pub(super) fn digest(file: &File, reading: &Reading<'_>) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    checksums::read(file, 0, file.metadata()?.len(), &mut buffer, |_, bytes| {
        hasher.update(bytes);
        reading.read(bytes.len() as u64)
    })?;
    Ok(hasher.finish())
}
