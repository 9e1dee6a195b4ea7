//! Decompression of a stream that arrives in pieces, into buffers that the caller has.

mod gzip;
mod zstd;

use std::io::Read;

use crate::{Compression, Error, Limits, StreamProblem, length};

/// What a decoder did with one piece of input and the room it had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// Bytes of input used.
    pub(crate) taken: usize,
    /// Bytes of output made.
    pub(crate) made: usize,
}

/// A decoder of any kind, and how far it came.
#[derive(Debug)]
pub(crate) struct Decoder {
    kind: Kind,
    offset: u64,
}

#[derive(Debug)]
enum Kind {
    Plain,
    Gzip(Box<gzip::Gzip>),
    Zstd(Box<zstd::Zstd>),
}

impl Decoder {
    pub(crate) fn new(compression: Compression, limits: &Limits) -> Result<Self, Error> {
        let kind = match compression {
            Compression::Plain => Kind::Plain,
            Compression::Gzip => Kind::Gzip(Box::default()),
            Compression::Zstd => match zstd::Zstd::new(limits.zstd_window_bytes) {
                Ok(zstd) => Kind::Zstd(Box::new(zstd)),
                Err(problem) => return Err(Error::Stream { offset: 0, problem }),
            },
        };
        Ok(Self { kind, offset: 0 })
    }

    /// Decodes as much as input and room allow. A step that neither takes nor makes anything needs more of
    /// the one that is empty.
    pub(crate) fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, Error> {
        let step = match &mut self.kind {
            Kind::Plain => {
                let count = copy(input, room);
                Ok(Step { taken: count, made: count })
            }
            Kind::Gzip(gzip) => gzip.step(input, room),
            Kind::Zstd(zstd) => zstd.step(input, room),
        };
        let step = step.map_err(|problem| Error::Stream { offset: self.offset, problem })?;
        self.offset = self.offset.saturating_add(length::in_file(step.taken));
        Ok(step)
    }

    /// Whether the input may end where it did.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        let whole = match &self.kind {
            Kind::Plain => true,
            Kind::Gzip(gzip) => gzip.may_end(),
            Kind::Zstd(zstd) => zstd.may_end(),
        };
        if whole {
            Ok(())
        } else {
            Err(Error::Stream { offset: self.offset, problem: StreamProblem::Truncated })
        }
    }
}

/// Copies as much as fits; how much that was.
fn copy(mut input: &[u8], room: &mut [u8]) -> usize {
    // A slice as a reader cannot fail.
    input.read(room).unwrap_or(0)
}

/// How many zeros the input begins with.
fn leading_zeros(input: &[u8]) -> usize {
    input.iter().position(|&byte| byte != 0).unwrap_or(input.len())
}
