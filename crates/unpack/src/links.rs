use std::collections::HashMap;
use std::fs::File;

use offshoot_tree::InodeId;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::Error;
use crate::descent::open_below;
use crate::directory::Job;
use crate::failure::{During, Failure, Making};
use crate::survey::Link;

/// How many directories are kept open.
const MAX_OPEN: usize = 64;

/// Makes all further names of files.
pub(crate) fn make(job: &Job<'_>) -> Result<u64, Error> {
    let mut linker = Linker { job, open: HashMap::new() };
    let mut made = 0;
    for link in &job.survey.links {
        linker.link(link).map_err(|failure| failure.at(job.survey.path_of(link.place)))?;
        made += 1;
    }
    Ok(made)
}

struct Linker<'a> {
    job: &'a Job<'a>,
    open: HashMap<InodeId, File>,
}

impl Linker<'_> {
    fn link(&mut self, link: &Link<'_>) -> Result<(), Failure> {
        if self.job.options.cancelled.is_some_and(|cancelled| cancelled()) {
            return Err(Failure::Cancelled);
        }
        let place = link.place;
        let first = self.job.survey.place(link.target).ok_or(Errno::NOENT).during("find the file of")?;
        if self.open.len() + 2 > MAX_OPEN {
            self.open.clear();
        }
        self.open(first.parent)?;
        self.open(place.parent)?;
        let open = |id| self.open.get(&id).ok_or(Errno::BADF).during("open the directory of");
        let (from, to) = (open(first.parent)?, open(place.parent)?);
        // Without a flag, a link to a symbolic link is one to the link itself.
        rustix::fs::linkat(from, first.name.as_bytes(), to, place.name.as_bytes(), AtFlags::empty())
            .making("make the hard link")
    }

    fn open(&mut self, id: InodeId) -> Result<(), Failure> {
        if !self.open.contains_key(&id) {
            let names = self.job.survey.names(id);
            let directory = open_below(self.job.target.directory, &names).during("open the directory of")?;
            self.open.insert(id, directory);
        }
        Ok(())
    }
}
