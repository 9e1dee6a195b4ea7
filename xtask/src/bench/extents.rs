use std::path::Path;

use offshoot_testkit::oracle;

use crate::run::{Failure, output};

/// How a file lies on its file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extents {
    /// How many, as a clone has to copy them.
    pub(super) count: usize,
    /// Bytes of all.
    pub(super) bytes: u64,
    /// Bytes of those that other files share.
    pub(super) shared: u64,
}

impl Extents {
    pub(super) fn of(file: &Path) -> Result<Self, Failure> {
        let text = output(oracle::command("filefrag").args(["-v", "-b4096"]).arg(file))?;
        Ok(Self::parse(&text))
    }

    /// Lines like `0: 0.. 1023: 5120.. 6143: 1024: last,shared,eof`.
    fn parse(text: &str) -> Self {
        let mut extents = Self { count: 0, bytes: 0, shared: 0 };
        for line in text.lines() {
            let fields: Vec<&str> = line.split(':').map(str::trim).collect();
            if fields.len() < 5 || fields[0].parse::<u64>().is_err() {
                continue;
            }
            let Ok(blocks) = fields[3].parse::<u64>() else { continue };
            extents.count += 1;
            extents.bytes += blocks * 4096;
            if fields.last().is_some_and(|flags| flags.split(',').any(|flag| flag == "shared")) {
                extents.shared += blocks * 4096;
            }
        }
        extents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_filefrag() {
        let text = "Filesystem type is: 58465342
File size of f is 12288 (3 blocks of 4096 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..       1:         12..        13:      2:             shared
   1:        9..       9:         21..        21:      1:         14: last,eof
f: 2 extents found
";
        assert_eq!(Extents::parse(text), Extents { count: 2, bytes: 12_288, shared: 8192 });
    }
}
