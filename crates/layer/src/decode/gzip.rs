use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Step, copy, leading_zeros};
use crate::{StreamProblem, length};

/// RFC 1952: members of a header, deflated data and a trailer, one after another.
///
/// After the last member there may be zeros, as tapes and some uploaders leave them. Anything else there is an
/// error, as with Go's reader; gzip itself only warns of it.
#[derive(Debug)]
pub(crate) struct Gzip {
    state: State,
    inflate: Decompress,
    crc: Crc,
    made: u32,
}

#[derive(Debug)]
enum State {
    /// In a member's header: what of it is to come, the next part first.
    Header(Header),
    /// In its deflated data.
    Body,
    /// In its trailer: CRC-32 and length, of which this many bytes came.
    Trailer([u8; 8], usize),
    /// Between members, where the stream may end.
    Between,
    /// In the zeros after the last member.
    Zeros,
}

#[derive(Debug, Default)]
struct Header {
    part: Part,
    /// The fixed part, then the two bytes of the extra field's length.
    bytes: [u8; 10],
    filled: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Fixed,
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    Checksum,
    Done,
}

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

impl Default for Gzip {
    fn default() -> Self {
        Self {
            state: State::Header(Header::default()),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            made: 0,
        }
    }
}

impl Gzip {
    pub(crate) fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, StreamProblem> {
        match &mut self.state {
            State::Header(header) => {
                let taken = header.take(input)?;
                if header.part == Part::Done {
                    self.inflate.reset(false);
                    self.crc.reset();
                    self.made = 0;
                    self.state = State::Body;
                }
                Ok(Step { taken, made: 0 })
            }
            State::Body => self.inflate(input, room),
            State::Trailer(bytes, filled) => {
                let taken = fill(bytes, filled, input);
                if *filled == bytes.len() {
                    let [c0, c1, c2, c3, l0, l1, l2, l3] = *bytes;
                    let crc = u32::from_le_bytes([c0, c1, c2, c3]);
                    // RFC 1952: the length modulo 2^32.
                    if crc != self.crc.sum() || u32::from_le_bytes([l0, l1, l2, l3]) != self.made {
                        return Err(StreamProblem::GzipTrailer);
                    }
                    self.state = State::Between;
                }
                Ok(Step { taken, made: 0 })
            }
            State::Between => {
                match input.first() {
                    None => {}
                    Some(0x1f) => self.state = State::Header(Header::default()),
                    Some(0) => self.state = State::Zeros,
                    Some(_) => return Err(StreamProblem::TrailingGarbage),
                }
                // Both states take at least a byte of what there is.
                if input.is_empty() { Ok(Step::default()) } else { self.step(input, room) }
            }
            State::Zeros => {
                let taken = leading_zeros(input);
                if taken < input.len() {
                    return Err(StreamProblem::TrailingGarbage);
                }
                Ok(Step { taken, made: 0 })
            }
        }
    }

    pub(crate) fn may_end(&self) -> bool {
        matches!(self.state, State::Between | State::Zeros)
    }

    fn inflate(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, StreamProblem> {
        let (taken_before, made_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status =
            self.inflate.decompress(input, room, FlushDecompress::None).map_err(StreamProblem::Deflate)?;
        let taken = length::in_memory(self.inflate.total_in().wrapping_sub(taken_before));
        let made = length::in_memory(self.inflate.total_out().wrapping_sub(made_before));
        let output = room.get(..made).unwrap_or_default();
        self.crc.update(output);
        self.made = self.made.wrapping_add(u32::try_from(made).unwrap_or(u32::MAX));
        if status == Status::StreamEnd {
            self.state = State::Trailer([0; 8], 0);
        }
        Ok(Step { taken, made })
    }
}

impl Header {
    /// Takes what belongs to the header; it is whole once `part` is `Done`.
    fn take(&mut self, input: &[u8]) -> Result<usize, StreamProblem> {
        let mut rest = input;
        loop {
            let taken = match self.part {
                Part::Fixed => {
                    let taken = fill(&mut self.bytes, &mut self.filled, rest);
                    if self.filled == self.bytes.len() {
                        self.check_fixed()?;
                        self.go_on(Part::ExtraLength);
                    }
                    taken
                }
                Part::ExtraLength => {
                    let mut bytes = [self.bytes[0], self.bytes[1]];
                    let taken = fill(&mut bytes, &mut self.filled, rest);
                    // The flags in byte 3 are still needed; the magic before them is not.
                    self.bytes[..2].copy_from_slice(&bytes);
                    if self.filled == bytes.len() {
                        self.go_on(Part::Extra(u16::from_le_bytes(bytes)));
                    }
                    taken
                }
                Part::Extra(0) => {
                    self.go_on(Part::Name);
                    continue;
                }
                Part::Extra(left) => {
                    let taken = rest.len().min(usize::from(left));
                    let taken_short = u16::try_from(taken).unwrap_or(left);
                    self.part = Part::Extra(left.saturating_sub(taken_short));
                    taken
                }
                Part::Name | Part::Comment => match rest.iter().position(|&byte| byte == 0) {
                    Some(nul) => {
                        self.go_on(if self.part == Part::Name { Part::Comment } else { Part::Checksum });
                        nul.saturating_add(1)
                    }
                    None => rest.len(),
                },
                Part::Checksum => {
                    // Nobody writes it and the digest covers it.
                    let taken = fill(&mut [0; 2], &mut self.filled, rest);
                    if self.filled == 2 {
                        self.go_on(Part::Done);
                    }
                    taken
                }
                Part::Done => break,
            };
            rest = rest.get(taken..).unwrap_or_default();
            if rest.is_empty() && self.part != Part::Done {
                break;
            }
        }
        Ok(input.len().saturating_sub(rest.len()))
    }

    fn check_fixed(&self) -> Result<(), StreamProblem> {
        match self.bytes {
            [0x1f, 0x8b, 8, flags, ..] if flags & RESERVED == 0 => Ok(()),
            _ => Err(StreamProblem::GzipHeader),
        }
    }

    /// To that part, or past it and others that the flags say are not there.
    fn go_on(&mut self, mut part: Part) {
        let flags = self.bytes[3];
        loop {
            let (flag, after) = match part {
                Part::ExtraLength => (FEXTRA, Part::Name),
                Part::Name => (FNAME, Part::Comment),
                Part::Comment => (FCOMMENT, Part::Checksum),
                Part::Checksum => (FHCRC, Part::Done),
                Part::Fixed | Part::Extra(_) | Part::Done => break,
            };
            if flags & flag != 0 {
                break;
            }
            part = after;
        }
        (self.part, self.filled) = (part, 0);
    }
}

/// Fills an array from the input, as far as that goes; how much it took.
fn fill(array: &mut [u8], filled: &mut usize, input: &[u8]) -> usize {
    let count = copy(input, array.get_mut(*filled..).unwrap_or_default());
    *filled = filled.saturating_add(count);
    count
}
