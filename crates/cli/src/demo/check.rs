use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use offshoot::{Clone, Digest, Template};
use rustix::fs::SeekFrom;

use crate::exit::Error;

/// Checks that the clones are what was promised; a line of text for each thing checked.
pub(super) fn all(template: &Template, clones: &[Clone]) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let mut passed = |text: String| lines.push(format!("  ok  {text}"));
    let original = Data::read(&template.path)?;
    let count = clones.len();

    separate_files(template, clones)?;
    passed(format!("{count} disks, each a file of its own, none of them the template's"));
    for clone in clones {
        if Data::read(&clone.path)? != original {
            return Err(Error::Demo(format!("{} differs from its template", clone.path.display())));
        }
    }
    passed(format!(
        "all {count} hold the template's bytes ({} of data)",
        crate::size::Size(original.data_bytes())
    ));
    writes_stay_apart(clones)?;
    if Data::read(&template.path)? != original {
        return Err(Error::Demo("a write to a clone changed the template".to_owned()));
    }
    passed("a write to one is seen neither in another nor in the template".to_owned());
    match e2fsck(&template.path) {
        Ok(true) => passed("e2fsck -fn finds nothing to complain about in the template".to_owned()),
        Ok(false) => return Err(Error::Demo("e2fsck complains about the template".to_owned())),
        Err(_) => {
            lines.push("  --  e2fsck is not installed: the filesystem was not checked by it".to_owned());
        }
    }
    Ok(lines)
}

/// Checks what was done with single VMs' disks, and adds a line for each thing checked.
pub(super) fn one_vm(
    template: &Template,
    grown: &Clone,
    snapshot: &Template,
    reset: &Clone,
    lines: &mut Vec<String>,
) -> Result<(), Error> {
    if Data::read(&reset.path)? != Data::read(&template.path)? {
        return Err(Error::Demo(format!(
            "{} was reset, and differs from its template",
            reset.path.display()
        )));
    }
    lines.push("  ok  the disk that was reset holds its template's bytes again".to_owned());
    if Data::read(&snapshot.path)? != Data::read(&grown.path)? {
        return Err(Error::Demo("the snapshot differs from the disk that it was taken of".to_owned()));
    }
    lines.push("  ok  the snapshot holds the bytes of the grown disk".to_owned());
    if let Ok(sound) = e2fsck(&grown.path) {
        if !sound {
            return Err(Error::Demo("e2fsck complains about the grown disk".to_owned()));
        }
        lines.push("  ok  e2fsck -fn finds nothing to complain about in the grown disk".to_owned());
    }
    Ok(())
}

fn separate_files(template: &Template, clones: &[Clone]) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for path in clones.iter().map(|clone| &clone.path).chain([&template.path]) {
        let metadata = path.metadata().map_err(Error::file("look at", path))?;
        if !seen.insert((metadata.dev(), metadata.ino())) || metadata.nlink() != 1 {
            return Err(Error::Demo(format!("{} shares its file with another disk", path.display())));
        }
    }
    Ok(())
}

/// Each clone gets its own id written into its last block, which no file uses, and all are read again.
fn writes_stay_apart(clones: &[Clone]) -> Result<(), Error> {
    let mark = |clone: &Clone| format!("{:<32}", clone.record.vm_id).into_bytes();
    let place = |clone: &Clone| clone.record.size_bytes - 32;
    for clone in clones {
        let failed = || Error::file("write to", &clone.path);
        let file = File::options().write(true).open(&clone.path).map_err(failed())?;
        file.write_all_at(&mark(clone), place(clone)).map_err(failed())?;
    }
    for clone in clones {
        let failed = || Error::file("read", &clone.path);
        let mut found = [0; 32];
        let file = File::open(&clone.path).map_err(failed())?;
        file.read_exact_at(&mut found, place(clone)).map_err(failed())?;
        if found.as_slice() != mark(clone) {
            return Err(Error::Demo(format!(
                "{} does not hold what was written to it",
                clone.path.display()
            )));
        }
    }
    Ok(())
}

fn e2fsck(disk: &Path) -> io::Result<bool> {
    let run = |program| Command::new(program).arg("-fn").arg(disk).output();
    let output = run("e2fsck").or_else(|_| run("/usr/sbin/e2fsck"))?;
    Ok(output.status.success())
}

/// A sparse file's data: where it is, and its digest.
#[derive(PartialEq)]
struct Data(Vec<(u64, u64, Digest)>);

impl Data {
    fn read(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        Self::ranges(&file).map_err(Error::file("read", path))
    }

    /// Blocks of zeros are skipped whether they are holes or not: a copy may tell them apart differently.
    fn ranges(file: &File) -> io::Result<Self> {
        const CHUNK: u64 = 64 * 1024;
        let size = file.metadata()?.len();
        let mut data = Vec::new();
        let mut buffer = vec![0; CHUNK as usize];
        let mut offset = 0;
        while offset < size {
            match rustix::fs::seek(file, SeekFrom::Data(offset)) {
                Ok(start) => offset = start - start % CHUNK,
                Err(rustix::io::Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            }
            let length = CHUNK.min(size - offset);
            let chunk = &mut buffer[..length as usize];
            file.read_exact_at(chunk, offset)?;
            if chunk.iter().any(|&byte| byte != 0) {
                data.push((offset, length, Digest::of(chunk)));
            }
            offset += length;
        }
        Ok(Self(data))
    }

    fn data_bytes(&self) -> u64 {
        self.0.iter().map(|(_, length, _)| length).sum()
    }
}
