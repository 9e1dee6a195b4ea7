//! Bulk reading: the checksums and digests of what a store's files hold.

use std::fs::File;
use std::io;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot_store::{Checksum, Digest, Hasher, next_data};

use super::Problem;
use crate::checksums::{self, RangeChecksum};
use crate::progress::{self, Event, Progress};

const READ_BYTES: usize = 1 << 20;

/// Tells the listener of a read, and heeds its wish to stop.
pub(super) fn tell(progress: &dyn Progress, bytes: u64) -> io::Result<()> {
    progress.event(Event::VerifyRead { bytes });
    progress::check(progress)
}

/// Compares a disk with what was kept of it: its stretches with their checksums, several at once, and what lies between
/// them with zeros.
pub(super) fn changes(
    file: &File,
    ranges: &[RangeChecksum],
    progress: &dyn Progress,
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
                tell(progress, bytes.len() as u64)
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
    let mut from = 0;
    for range in ranges {
        found.extend(first_not_zero(file, from..range.offset, progress)?);
        from = range.end();
    }
    found.extend(first_not_zero(file, from..file.metadata()?.len(), progress)?);
    found.sort_by_key(|problem| match problem {
        Problem::Changed { offset, .. } | Problem::NotZero { offset } => *offset,
        _ => 0,
    });
    Ok(found)
}

fn first_not_zero(file: &File, gap: Range<u64>, progress: &dyn Progress) -> io::Result<Option<Problem>> {
    let mut buffer = vec![0; READ_BYTES];
    let mut from = gap.start;
    let mut found = None;
    while from < gap.end && found.is_none() {
        let Some(data) = next_data(file, from)? else { break };
        let end = data.end.min(gap.end);
        checksums::read(file, data.start, end, &mut buffer, |offset, bytes| {
            let position = bytes.iter().position(|&byte| byte != 0);
            found = found.or(position.map(|position| offset + position as u64));
            tell(progress, bytes.len() as u64)
        })?;
        from = data.end;
    }
    Ok(found.map(|offset| Problem::NotZero { offset }))
}

/// The digest of all of a file.
pub(super) fn digest(file: &File, progress: &dyn Progress) -> io::Result<Digest> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; READ_BYTES];
    checksums::read(file, 0, file.metadata()?.len(), &mut buffer, |_, bytes| {
        hasher.update(bytes);
        tell(progress, bytes.len() as u64)
    })?;
    Ok(hasher.finish())
}
