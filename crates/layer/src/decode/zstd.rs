use std::fmt;

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::{Step, leading_zeros};
use crate::StreamProblem;

/// RFC 8878: frames, skippable ones too, one after another; zeros may follow the last.
pub(crate) struct Zstd {
    decoder: Decoder<'static>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Frame,
    Between,
    Zeros,
}

/// The least that the zstd library can be told to allow.
const WINDOW_LOG_MIN: u32 = 10;

impl Zstd {
    pub(crate) fn new(window_bytes: u64) -> Result<Self, StreamProblem> {
        let mut decoder = Decoder::new().map_err(StreamProblem::Zstd)?;
        // The largest power of two within the limit.
        let log = window_bytes.checked_ilog2().unwrap_or(0).clamp(WINDOW_LOG_MIN, 31);
        decoder.set_parameter(DParameter::WindowLogMax(log)).map_err(StreamProblem::Zstd)?;
        Ok(Self { decoder, state: State::Start })
    }

    pub(crate) fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<Step, StreamProblem> {
        if self.state == State::Between && input.first() == Some(&0) {
            self.state = State::Zeros;
        }
        if self.state == State::Zeros {
            let taken = leading_zeros(input);
            return if taken < input.len() {
                Err(StreamProblem::TrailingGarbage)
            } else {
                Ok(Step { taken, made: 0 })
            };
        }
        if self.state == State::Between && input.is_empty() {
            return Ok(Step::default());
        }
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(room);
        let hint = self.decoder.run(&mut input, &mut output).map_err(StreamProblem::Zstd)?;
        // No hint of what to read next means that a frame is at its end, and all of it was given out.
        self.state = if hint == 0 { State::Between } else { State::Frame };
        Ok(Step { taken: input.pos(), made: output.pos() })
    }

    pub(crate) fn may_end(&self) -> bool {
        matches!(self.state, State::Between | State::Zeros)
    }
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd").field("state", &self.state).finish_non_exhaustive()
    }
}
