use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::rc::Rc;

use ext4_view::Ext4Read;
use offshoot_ext4::{Device, Sink, Transfer};
use offshoot_tree::{BLOCK_SIZE, SourceId};

/// No disk takes more than this, in blocks, so that a run's memory is bounded: beyond, it is full.
const MAX_BLOCKS: usize = 16 << 10;

type Blocks = BTreeMap<u64, Box<[u8; 4096]>>;

/// A disk in memory, of which only what is not zero is kept. Clones share what they read.
#[derive(Clone, Debug, Default)]
pub(crate) struct SparseDisk {
    size: Cell<u64>,
    base: Rc<Blocks>,
    changed: RefCell<Blocks>,
    /// How many more writes it takes before it fails, if it fails.
    patience: Cell<Option<u32>>,
}

impl SparseDisk {
    /// Of so many bytes, all zero.
    pub(crate) fn new(size: u64) -> Self {
        Self { size: Cell::new(size), ..Self::default() }
    }

    /// What a file holds.
    pub(crate) fn of(file: &Path) -> io::Result<Self> {
        let mut bytes = std::fs::read(file)?;
        let size = Cell::new(bytes.len() as u64);
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        let blocks = (0..).zip(bytes.as_chunks().0).filter(|(_, block)| **block != [0; 4096]);
        let base = Rc::new(blocks.map(|(number, block)| (number, Box::new(*block))).collect());
        Ok(Self { size, base, ..Self::default() })
    }

    /// The same, to be cloned at no cost.
    pub(crate) fn settled(self) -> Self {
        let mut base = Rc::unwrap_or_clone(self.base);
        base.append(&mut self.changed.borrow_mut());
        base.retain(|_, block| **block != [0; 4096]);
        Self { size: self.size, base: Rc::new(base), ..Self::default() }
    }

    /// Fails at the write after so many; `None` for never.
    pub(crate) fn fail_after(&self, writes: Option<u32>) {
        self.patience.set(writes);
    }

    /// Writes it to a new file, holes and all.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(self.size.get())?;
        let changed = self.changed.borrow();
        for (number, block) in self.base.iter().chain(changed.iter()) {
            let start = number * BLOCK_SIZE;
            let count = self.size.get().saturating_sub(start).min(BLOCK_SIZE);
            file.write_all_at(&block[..usize::try_from(count).unwrap()], start)?;
        }
        Ok(())
    }

    /// Every block that is not zero.
    pub(crate) fn block(&self, number: u64) -> [u8; 4096] {
        let changed = self.changed.borrow();
        changed.get(&number).or_else(|| self.base.get(&number)).map_or([0; 4096], |block| **block)
    }

    pub(crate) fn bytes<const N: usize>(&self, offset: u64) -> [u8; N] {
        let mut bytes = [0; N];
        // What lies beyond the end is zero.
        let _ = self.get(offset, &mut bytes);
        bytes
    }

    pub(crate) fn get(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check(offset, buffer.len())?;
        let mut offset = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = usize::try_from(offset % BLOCK_SIZE).unwrap();
            let (piece, after) = rest.split_at_mut(rest.len().min(4096 - within));
            piece.copy_from_slice(&self.block(offset / BLOCK_SIZE)[within..within + piece.len()]);
            offset += piece.len() as u64;
            rest = after;
        }
        Ok(())
    }

    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len())?;
        let mut changed = self.changed.borrow_mut();
        let mut offset = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = usize::try_from(offset % BLOCK_SIZE).unwrap();
            let (piece, after) = rest.split_at(rest.len().min(4096 - within));
            let number = offset / BLOCK_SIZE;
            let old = || self.base.get(&number).cloned().unwrap_or_else(|| Box::new([0; 4096]));
            changed.entry(number).or_insert_with(old)[within..within + piece.len()].copy_from_slice(piece);
            offset += piece.len() as u64;
            rest = after;
        }
        if changed.len() > MAX_BLOCKS { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn check(&self, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64).filter(|end| *end <= self.size.get());
        end.map(drop).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Device for SparseDisk {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.size.get())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.get(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.patience.get() {
            Some(0) => return Err(io::Error::other("the power is cut")),
            left => self.patience.set(left.map(|left| left - 1)),
        }
        self.put(offset, bytes)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        assert!(bytes >= self.size.get(), "a device never becomes smaller");
        self.size.set(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Contents are those that [`source_block`] gives.
impl Sink for SparseDisk {
    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.size.set(bytes);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.put(offset, bytes)
    }

    fn copy_from(
        &mut self,
        source: SourceId,
        source_offset: u64,
        offset: u64,
        length: u64,
        _: Transfer,
    ) -> io::Result<()> {
        assert!([source_offset, offset, length].iter().all(|bytes| bytes.is_multiple_of(BLOCK_SIZE)));
        for block in 0..length / BLOCK_SIZE {
            let bytes = source_block(source, source_offset / BLOCK_SIZE + block);
            self.put(offset + block * BLOCK_SIZE, &bytes)?;
        }
        Ok(())
    }
}

impl Ext4Read for SparseDisk {
    fn read(
        &mut self,
        start_byte: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(self.get(start_byte, dst)?)
    }
}

/// A block of a source: no two have the same bytes, and none is zero. The second half is, for a file to end in.
pub(crate) fn source_block(source: SourceId, block: u64) -> [u8; 4096] {
    let mut bytes = [0; 4096];
    let mark = [block.to_le_bytes(), u64::from(source.0 + 1).to_le_bytes()].concat();
    for piece in bytes[..2048].chunks_exact_mut(mark.len()) {
        piece.copy_from_slice(&mark);
    }
    bytes
}
