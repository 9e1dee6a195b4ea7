use crate::TarProblem;
use crate::block;
use crate::tar::number;
use crate::tar::sparse::Segment;

/// Everything in a tar is a multiple of this.
pub(crate) const RECORD: usize = 512;

/// One 512-byte header with a right checksum.
///
/// The fields are where POSIX (ustar interchange format) and GNU tar's `tar.h` have them.
#[derive(Debug)]
pub(crate) struct Header {
    bytes: [u8; RECORD],
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    V7,
    Ustar,
    /// Ustar with 24 bytes of times at the end of the prefix (Jörg Schilling's star).
    Star,
    Gnu,
}

impl Header {
    /// Takes a block that is not zero.
    pub(crate) fn parse(bytes: [u8; RECORD]) -> Result<Self, TarProblem> {
        let format = match (&bytes[257..265], &bytes[508..512]) {
            (b"ustar  \0", _) => Format::Gnu,
            ([b'u', b's', b't', b'a', b'r', 0, ..], b"tar\0") => Format::Star,
            ([b'u', b's', b't', b'a', b'r', 0, ..], _) => Format::Ustar,
            _ => Format::V7,
        };
        let header = Self { bytes, format };
        if header.checksum_is_right() { Ok(header) } else { Err(TarProblem::Checksum) }
    }

    /// The sum of all bytes with the checksum's own taken as blanks; some old tars summed signed bytes.
    fn checksum_is_right(&self) -> bool {
        let Some(expected) = number::field(&self.bytes[148..156]) else { return false };
        let outside = self.bytes[..148].iter().chain(&self.bytes[156..]);
        let (unsigned, signed) = outside.fold((256_i64, 256_i64), |(unsigned, signed), &byte| {
            (unsigned.wrapping_add(i64::from(byte)), signed.wrapping_add(i64::from(byte.cast_signed())))
        });
        expected == unsigned || expected == signed
    }

    pub(crate) fn typeflag(&self) -> u8 {
        self.bytes[156]
    }

    pub(crate) fn is_gnu(&self) -> bool {
        self.format == Format::Gnu
    }

    pub(crate) fn path(&self) -> Vec<u8> {
        let name = text(&self.bytes[..100]);
        let prefix = match self.format {
            Format::V7 | Format::Gnu => &[],
            Format::Ustar => text(&self.bytes[345..500]),
            Format::Star => text(&self.bytes[345..476]),
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub(crate) fn link_name(&self) -> Vec<u8> {
        text(&self.bytes[157..257]).to_vec()
    }

    /// The low 12 bits: old tars put the whole of `st_mode` here.
    pub(crate) fn mode(&self) -> Result<u16, TarProblem> {
        let mode = natural(&self.bytes[100..108]).ok_or(TarProblem::Number("mode"))?;
        u16::try_from(mode & 0o7777).map_err(|_| TarProblem::Number("mode"))
    }

    pub(crate) fn uid(&self) -> Result<u64, TarProblem> {
        natural(&self.bytes[108..116]).ok_or(TarProblem::Number("uid"))
    }

    pub(crate) fn gid(&self) -> Result<u64, TarProblem> {
        natural(&self.bytes[116..124]).ok_or(TarProblem::Number("gid"))
    }

    pub(crate) fn size(&self) -> Result<u64, TarProblem> {
        natural(&self.bytes[124..136]).ok_or(TarProblem::Number("size"))
    }

    pub(crate) fn mtime(&self) -> Result<i64, TarProblem> {
        number::field(&self.bytes[136..148]).ok_or(TarProblem::Number("mtime"))
    }

    /// Major and minor; a v7 header has none.
    pub(crate) fn device(&self) -> Result<(u64, u64), TarProblem> {
        if self.format == Format::V7 {
            return Err(TarProblem::Device);
        }
        let major = natural(&self.bytes[329..337]).ok_or(TarProblem::Device)?;
        let minor = natural(&self.bytes[337..345]).ok_or(TarProblem::Device)?;
        Ok((major, minor))
    }

    /// Of a file in GNU's old sparse format: the size with holes, the first segments, whether more follow.
    pub(crate) fn sparse(&self) -> Result<(u64, Vec<Segment>, bool), TarProblem> {
        let size = natural(&self.bytes[483..495]).ok_or(TarProblem::Number("real size"))?;
        let mut segments = Vec::new();
        sparse_segments(&self.bytes[386..482], &mut segments)?;
        Ok((size, segments, self.bytes[482] != 0))
    }
}

/// Adds the segments of a block that continues a header in GNU's old sparse format; whether more follow.
pub(crate) fn sparse_continued(
    block: &[u8; RECORD],
    segments: &mut Vec<Segment>,
) -> Result<bool, TarProblem> {
    sparse_segments(&block[..504], segments)?;
    Ok(block[504] != 0)
}

/// Pairs of 12-byte numbers; the first pair that is all NUL ends them.
fn sparse_segments(bytes: &[u8], segments: &mut Vec<Segment>) -> Result<(), TarProblem> {
    let (pairs, _) = bytes.as_chunks::<24>();
    for pair in pairs.iter().take_while(|pair| !block::is_zero(*pair)) {
        let number = |bytes| natural(bytes).ok_or(TarProblem::SparseMap);
        segments.push(Segment { offset: number(&pair[..12])?, length: number(&pair[12..])? });
    }
    Ok(())
}

fn natural(bytes: &[u8]) -> Option<u64> {
    u64::try_from(number::field(bytes)?).ok()
}

/// A text field up to its NUL, or whole.
fn text(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}
