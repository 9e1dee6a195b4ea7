use std::io::{self, BufRead, Read};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A fixed number of buffers that go round between threads: whoever fills them waits here when all are
/// under way, which is what bounds the memory of a pipeline and holds back its faster stages.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Receiver<Vec<u8>>,
    home: Sender<Vec<u8>>,
}

/// A filled buffer. Dropped by its last holder, it goes home to its pool.
#[derive(Debug)]
pub(crate) struct Chunk {
    buffer: Vec<u8>,
    length: usize,
    home: Sender<Vec<u8>>,
}

impl Pool {
    pub(crate) fn new(buffers: usize, size: usize) -> Self {
        let (home, free) = channel();
        for _ in 0..buffers {
            // The receiver is here.
            let _ = home.send(vec![0; size]);
        }
        Self { free, home }
    }

    /// A buffer to fill, once there is one. Each one out is held by a stage or lies in a queue, and both
    /// give it back when they end, in whatever way: so the wait ends too.
    pub(crate) fn take(&self) -> Vec<u8> {
        // `home` keeps the channel open.
        self.free.recv().unwrap_or_default()
    }

    /// Makes a chunk of the first bytes of a buffer.
    pub(crate) fn chunk(&self, buffer: Vec<u8>, length: usize) -> Chunk {
        Chunk { buffer, length, home: self.home.clone() }
    }
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Without its pool, the buffer is simply freed.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// What goes through a queue: chunks, and at last `None`. A queue that closes before says that the stage
/// before has failed.
pub(crate) type Message<C> = Option<C>;

/// The bytes of a queue of chunks, in order, where they lie.
#[derive(Debug)]
pub(crate) struct ChunkReader<C> {
    queue: Receiver<Message<C>>,
    chunk: Option<C>,
    position: usize,
    ended: bool,
}

impl<C: AsChunk> ChunkReader<C> {
    pub(crate) fn new(queue: Receiver<Message<C>>) -> Self {
        Self { queue, chunk: None, position: 0, ended: false }
    }

    /// Waits until there are bytes to read, and says whether there are: not at the end of the stream.
    pub(crate) fn wait(&mut self) -> Result<bool, Interrupted> {
        while !self.ended && self.rest().is_empty() {
            // The old chunk is let go before the wait, since the new one may need its buffer.
            self.chunk = None;
            self.position = 0;
            match self.queue.recv() {
                Ok(Some(chunk)) => self.chunk = Some(chunk),
                Ok(None) => self.ended = true,
                Err(_) => return Err(Interrupted),
            }
        }
        Ok(!self.ended)
    }

    /// The bytes that are there already.
    pub(crate) fn rest(&self) -> &[u8] {
        let chunk = self.chunk.as_ref().map_or(&[][..], AsChunk::bytes);
        chunk.get(self.position..).unwrap_or_default()
    }

    /// Takes some of them.
    pub(crate) fn advance(&mut self, count: usize) {
        self.position = self.position.saturating_add(count);
    }
}

/// A chunk of one's own or a shared one.
pub(crate) trait AsChunk {
    fn bytes(&self) -> &[u8];
}

impl AsChunk for Chunk {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl AsChunk for Arc<Chunk> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// The stage before has ended without a word; it knows why.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("an earlier stage has failed")]
pub(crate) struct Interrupted;

impl<C: AsChunk> Read for ChunkReader<C> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<C: AsChunk> BufRead for ChunkReader<C> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.wait().map_err(io::Error::other)?;
        Ok(self.rest())
    }

    fn consume(&mut self, count: usize) {
        self.advance(count);
    }
}
