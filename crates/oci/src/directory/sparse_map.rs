use std::fs::File;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Beyond these many pieces of data a map gets no finer: it is held in memory.
const MAX_SEGMENTS: usize = 65536;

/// A piece of a file: from its start to before its end, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The first data at or after a position, up to the next hole; `None` if only a hole is left. A filesystem that
/// cannot tell has only data.
pub(super) fn next_data(file: &File, position: u64, size: u64) -> Result<Option<Segment>, Errno> {
    let start = match seek(file, SeekFrom::Data(position)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        Err(Errno::INVAL) => position,
        Err(error) => return Err(error),
    };
    if start >= size {
        return Ok(None);
    }
    let end = match seek(file, SeekFrom::Hole(start)) {
        Ok(end) if end > start => end.min(size),
        Ok(_) | Err(Errno::INVAL | Errno::NXIO) => size,
        Err(error) => return Err(error),
    };
    Ok(Some(Segment { start, end }))
}

/// The data of a whole file, in order; holes that would make too many pieces count as data.
pub(super) fn all_data(file: &File, size: u64) -> Result<Vec<Segment>, Errno> {
    let mut segments = Vec::new();
    let mut position = 0;
    while position < size {
        let Some(segment) = next_data(file, position, size)? else { break };
        if segments.len() == MAX_SEGMENTS {
            segments.push(Segment { start: segment.start, end: size });
            break;
        }
        position = segment.end;
        segments.push(segment);
    }
    Ok(segments)
}

/// The map at the start of a sparse file's data in PAX format 1.0: decimal numbers, padded to a whole block.
pub(super) fn encode(segments: &[Segment], size: u64) -> Vec<u8> {
    let mut map = String::new();
    let mut number = |number: u64| {
        map.push_str(&number.to_string());
        map.push('\n');
    };
    // An empty piece at the end says how far a last hole reaches, as GNU tar writes it.
    let ends_in_hole = segments.last().is_none_or(|last| last.end < size);
    number(segments.len() as u64 + u64::from(ends_in_hole));
    for segment in segments {
        number(segment.start);
        number(segment.end - segment.start);
    }
    if ends_in_hole {
        number(size);
        number(0);
    }
    let mut map = map.into_bytes();
    map.resize(map.len().next_multiple_of(512), 0);
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_whole_blocks_of_numbers() {
        let segments = [Segment { start: 0, end: 512 }, Segment { start: 4096, end: 4196 }];
        let map = encode(&segments, 4196);
        assert_eq!(map.len(), 512);
        assert!(map.starts_with(b"2\n0\n512\n4096\n100\n\0\0"));
        assert!(encode(&segments, 8192).starts_with(b"3\n0\n512\n4096\n100\n8192\n0\n\0\0"));
        assert!(encode(&[], 8192).starts_with(b"1\n8192\n0\n\0\0"));
        let many: Vec<_> = (0..100).map(|at| Segment { start: at * 8192, end: at * 8192 + 4096 }).collect();
        assert_eq!(encode(&many, 100 * 8192).len() % 512, 0);
    }
}
