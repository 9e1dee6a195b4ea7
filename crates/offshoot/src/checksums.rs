//! What a disk's bytes were when it was made, without reading them: the checksums of what was written, and those that
//! packs have of what was shared, joined.

use std::fs::File;
use std::io;

use offshoot_store::{Checksum, next_data};
use serde::{Deserialize, Serialize};

/// A stretch that is checked as a whole; a run of a pack is cut only where a file in it ends.
pub(crate) const STRETCH_BYTES: u64 = 16 << 20;
/// A hole up to this is taken into a stretch.
const MAX_GAP_BYTES: u64 = 1 << 20;
const READ_BYTES: usize = 1 << 20;

/// A stretch of a disk and the CRC-32C of its bytes. Between a disk's stretches there are zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeChecksum {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Of these bytes, holes among them as zeros.
    pub crc32c: u32,
}

impl RangeChecksum {
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }
}

/// The checksums of a disk that is being written, from its start to its end.
#[derive(Debug, Default)]
pub(crate) struct Checksums(Vec<RangeChecksum>);

impl Checksums {
    /// These bytes are there.
    pub(crate) fn wrote(&mut self, offset: u64, bytes: &[u8]) {
        self.append(offset, bytes.len() as u64, |checksum| checksum.update(bytes));
    }

    /// So many bytes of that checksum are there.
    pub(crate) fn placed(&mut self, offset: u64, bytes: u64, placed: Checksum) {
        self.append(offset, bytes, |checksum| checksum.join(placed, bytes));
    }

    pub(crate) fn finish(self) -> Vec<RangeChecksum> {
        self.0
    }

    fn append(&mut self, offset: u64, bytes: u64, with: impl FnOnce(Checksum) -> Checksum) {
        let last = self
            .0
            .last_mut()
            .filter(|last| last.bytes < STRETCH_BYTES && offset.saturating_sub(last.end()) <= MAX_GAP_BYTES);
        if let Some(last) = last {
            let gap = offset.saturating_sub(last.end());
            let checksum = with(Checksum::from_value(last.crc32c).zeros(gap));
            *last = RangeChecksum { bytes: last.bytes + gap + bytes, crc32c: checksum.value(), ..*last };
        } else {
            self.0.push(RangeChecksum { offset, bytes, crc32c: with(Checksum::new()).value() });
        }
    }
}

/// The checksums of a disk that is there.
pub(crate) fn of_file(file: &File) -> io::Result<Vec<RangeChecksum>> {
    let mut checksums = Checksums::default();
    let mut buffer = vec![0; READ_BYTES];
    let mut from = 0;
    while let Some(data) = next_data(file, from)? {
        read(file, data.start, data.end, &mut buffer, |offset, bytes| {
            checksums.wrote(offset, bytes);
            Ok(())
        })?;
        from = data.end;
    }
    Ok(checksums.finish())
}

/// Reads a part of a file piece by piece.
pub(crate) fn read(
    file: &File,
    mut offset: u64,
    end: u64,
    buffer: &mut [u8],
    mut take: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    while offset < end {
        let count = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
        let piece = &mut buffer[..count];
        file.read_exact_at(piece, offset)?;
        take(offset, piece)?;
        offset += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_end_at_large_holes_and_when_they_are_long() {
        let mut checksums = Checksums::default();
        let of = |bytes: &[u8]| Checksum::new().update(bytes);
        checksums.wrote(4096, &[1; 4096]);
        checksums.placed(8192 + MAX_GAP_BYTES, 4096, of(&[2; 4096]));
        checksums.wrote(16384 + 2 * MAX_GAP_BYTES, &[3; 10]);
        let long = of(&[0; 1]).zeros(STRETCH_BYTES - 1);
        checksums.placed(64 << 20, STRETCH_BYTES, long);
        checksums.wrote((64 << 20) + STRETCH_BYTES, &[4; 3]);
        let ranges = checksums.finish();
        let gap = vec![0; MAX_GAP_BYTES as usize];
        let first = of(&[1; 4096]).update(&gap).update(&[2; 4096]).value();
        let expected = [
            (4096, 8192 + MAX_GAP_BYTES, first),
            (16384 + 2 * MAX_GAP_BYTES, 10, of(&[3; 10]).value()),
            (64 << 20, STRETCH_BYTES, long.value()),
            ((64 << 20) + STRETCH_BYTES, 3, of(&[4; 3]).value()),
        ];
        let found: Vec<_> = ranges.iter().map(|range| (range.offset, range.bytes, range.crc32c)).collect();
        assert_eq!(found, expected);
    }
}
