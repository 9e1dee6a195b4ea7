use crate::TarProblem;
use crate::tar::number;

/// A part of a sparse file that the archive holds; all else of the file is zeros. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Checks that segments ascend within the file's size and add up to the bytes that the archive holds, so
/// that whoever follows them needs no further care.
pub(crate) fn check(segments: &[Segment], size: u64, stored: u64) -> Result<(), TarProblem> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for segment in segments {
        if segment.offset < end {
            return Err(TarProblem::SparseMap);
        }
        end = segment.offset.checked_add(segment.length).ok_or(TarProblem::SparseMap)?;
        sum = sum.checked_add(segment.length).ok_or(TarProblem::SparseMap)?;
    }
    if end > size || sum != stored { Err(TarProblem::SparseMap) } else { Ok(()) }
}

/// The map of PAX sparse format 1.0, which stands before a file's contents: decimal numbers, each with a
/// newline; first how many segments there are, then offset and length of each.
#[derive(Debug, Default)]
pub(crate) struct MapParser {
    digits: Vec<u8>,
    count: Option<u64>,
    offset: Option<u64>,
    segments: Vec<Segment>,
}

impl MapParser {
    /// Takes the next block of the map; `true` once the map is whole. The rest of that block is padding.
    pub(crate) fn block(&mut self, block: &[u8]) -> Result<bool, TarProblem> {
        for &byte in block {
            if byte != b'\n' {
                // No number in a map is longer.
                if self.digits.len() >= 20 {
                    return Err(TarProblem::SparseMap);
                }
                self.digits.push(byte);
                continue;
            }
            let number = number::decimal(&self.digits).ok_or(TarProblem::SparseMap)?;
            self.digits.clear();
            match (self.count, self.offset.take()) {
                (None, _) => self.count = Some(number),
                (Some(_), None) => self.offset = Some(number),
                (Some(_), Some(offset)) => self.segments.push(Segment { offset, length: number }),
            }
            if self.offset.is_none() && self.count == Some(crate::length::in_file(self.segments.len())) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The segments of a whole map.
    pub(crate) fn finish(self) -> Vec<Segment> {
        self.segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(pairs: &[(u64, u64)]) -> Vec<Segment> {
        pairs.iter().map(|&(offset, length)| Segment { offset, length }).collect()
    }

    #[test]
    fn only_maps_that_add_up_are_maps() {
        for (pairs, size, stored, good) in [
            (&[][..], 0, 0, true),
            (&[], 10, 0, true),
            (&[(0, 4), (8, 2)], 10, 6, true),
            (&[(0, 4), (4, 2), (10, 0)], 10, 6, true),
            (&[(0, 4), (3, 2)], 10, 6, false),
            (&[(8, 2), (0, 4)], 10, 6, false),
            (&[(0, 4), (8, 3)], 10, 7, false),
            (&[(0, 4)], 10, 5, false),
            (&[(0, 4)], 10, 3, false),
            (&[(u64::MAX, 2)], 10, 2, false),
            (&[(0, u64::MAX), (u64::MAX, 0)], u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(check(&segments(pairs), size, stored).is_ok(), good, "{pairs:?}");
        }
    }

    #[test]
    fn maps_may_cross_blocks() {
        for (blocks, expected) in [
            (&[&b"0\n\0\0"[..]][..], Some(segments(&[]))),
            (&[b"1\n5\n7\nxxx"], Some(segments(&[(5, 7)]))),
            (&[b"2\n5\n7", b"7\n100\n", b"3\n\0\0"], Some(segments(&[(5, 77), (100, 3)]))),
            (&[b"1\n5\n\n"], None),
            (&[b"1\n-5\n7\n"], None),
            (&[b"\0\0"], None),
            (&[b"123456789012345678901"], None),
        ] {
            let mut parser = MapParser::default();
            let mut whole = false;
            let mut failed = false;
            for block in blocks {
                assert!(!whole, "a block too many");
                match parser.block(block) {
                    Ok(now) => whole = now,
                    Err(_) => failed = true,
                }
            }
            assert_eq!((whole && !failed).then(|| parser.finish()), expected, "{blocks:?}");
        }
    }
}
