use std::io::{self, Read};
use std::path::PathBuf;

use super::{Entry, EntryKind, FileBody, header};
use crate::Error;

const BLOCK: u64 = 512;

/// Entries as a tar, read while it is made.
#[derive(Debug)]
pub(crate) struct TarStream<I> {
    entries: I,
    /// Headers and padding that wait to be read, and how far they have been.
    pending: Vec<u8>,
    position: usize,
    /// The file whose data comes next, and the zeros after it.
    body: Option<(FileBody, usize)>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Entries,
    Ended,
    Failed,
}

impl<I: Iterator<Item = Result<Entry, Error>>> TarStream<I> {
    pub(crate) fn new(entries: I) -> Self {
        Self { entries, pending: Vec::new(), position: 0, body: None, state: State::Entries }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            if self.position < self.pending.len() {
                let rest = &self.pending[self.position..];
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                self.position += count;
                return Ok(count);
            }
            self.pending.clear();
            self.position = 0;
            if let Some((body, padding)) = &mut self.body {
                let count = body.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.pending.resize(*padding, 0);
                self.body = None;
                continue;
            }
            match self.entries.next().transpose()? {
                Some(entry) => self.start(entry)?,
                None if self.state == State::Ended => return Ok(0),
                None => {
                    self.state = State::Ended;
                    self.pending.resize(2 * BLOCK as usize, 0);
                }
            }
        }
    }

    fn start(&mut self, entry: Entry) -> Result<(), Error> {
        let host_path = match &entry.kind {
            EntryKind::File(body) => body.path().to_owned(),
            _ => PathBuf::from(String::from_utf8_lossy(&entry.path).into_owned()),
        };
        let data = header::write(&entry, &host_path, &mut self.pending)?;
        if let EntryKind::File(body) = entry.kind {
            let padding = data.next_multiple_of(BLOCK) - data;
            self.body = Some((body, usize::try_from(padding).unwrap_or_default()));
        }
        Ok(())
    }
}

impl<I: Iterator<Item = Result<Entry, Error>>> Read for TarStream<I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // What failed once must not end as if it were whole.
        if self.state == State::Failed {
            return Err(io::Error::other("the stream has failed before"));
        }
        self.fill(buffer).map_err(|error| {
            self.state = State::Failed;
            io::Error::other(error)
        })
    }
}
