use std::fs::File;

use offshoot_tree::{Content, Device, InodeId, Leaf, Name, Node};
use rustix::fs::{FileType, Mode, OFlags};

use crate::failure::{During, Failure, Making};
use crate::packs::Packs;
use crate::survey::{Place, Survey};
use crate::target::Target;
use crate::{Error, Options, Ownership, Summary};

/// What all workers know.
pub(crate) struct Job<'a> {
    pub(crate) survey: Survey<'a>,
    pub(crate) packs: Packs<'a>,
    pub(crate) target: Target<'a>,
    pub(crate) options: &'a Options<'a>,
}

/// One worker.
pub(crate) struct Maker<'a> {
    pub(crate) job: &'a Job<'a>,
    /// Whether what is made has the mode that was asked for.
    pub(crate) exact_modes: bool,
    pub(crate) buffer: Vec<u8>,
    pub(crate) summary: Summary,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(job: &'a Job<'a>, exact_modes: bool) -> Self {
        Self { job, exact_modes, buffer: Vec::new(), summary: Summary::default() }
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), Failure> {
        match self.job.options.cancelled {
            Some(cancelled) if cancelled() => Err(Failure::Cancelled),
            _ => Ok(()),
        }
    }

    /// Makes all that is in a directory, further names of files apart, and sets the directory's attributes
    /// unless that has to wait. Its subdirectories, which are made empty, are added to `children`.
    pub(crate) fn fill_directory(
        &mut self,
        id: InodeId,
        directory: &File,
        children: &mut Vec<InodeId>,
    ) -> Result<(), Error> {
        let survey = &self.job.survey;
        for (name, &child) in survey.tree.inode(id).directory().into_iter().flatten() {
            let place = Place { parent: id, name };
            if survey.is_first(child, place) {
                self.make(child, directory, name, children)
                    .map_err(|failure| failure.at(survey.path_of(place)))?;
            }
        }
        self.summary.directories += 1;
        if !survey.is_late(id) {
            self.finish_open(id, directory, 0o700).map_err(|failure| failure.at(survey.path(id)))?;
        }
        Ok(())
    }

    fn make(
        &mut self,
        id: InodeId,
        parent: &File,
        name: &Name,
        children: &mut Vec<InodeId>,
    ) -> Result<(), Failure> {
        self.check_cancelled()?;
        match &self.job.survey.tree.inode(id).node {
            Node::Directory(_) => {
                rustix::fs::mkdirat(parent, name.as_bytes(), Mode::RWXU).making("make the directory")?;
                children.push(id);
                Ok(())
            }
            Node::Leaf(Leaf::File(content)) => {
                self.summary.files += 1;
                self.make_file(id, parent, name, content)
            }
            Node::Leaf(Leaf::Symlink(target)) => {
                rustix::fs::symlinkat(&**target, parent, name.as_bytes()).making("make the symbolic link")?;
                self.summary.symlinks += 1;
                self.finish_named(id, parent, name)
            }
            Node::Leaf(Leaf::CharDevice(device)) => {
                self.make_special(id, parent, name, FileType::CharacterDevice, *device)
            }
            Node::Leaf(Leaf::BlockDevice(device)) => {
                self.make_special(id, parent, name, FileType::BlockDevice, *device)
            }
            Node::Leaf(Leaf::Fifo) => self.make_special(id, parent, name, FileType::Fifo, NO_DEVICE),
            Node::Leaf(Leaf::Socket) => self.make_special(id, parent, name, FileType::Socket, NO_DEVICE),
        }
    }

    fn make_file(
        &mut self,
        id: InodeId,
        parent: &File,
        name: &Name,
        content: &Content,
    ) -> Result<(), Failure> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = self.first_mode(id);
        let file = rustix::fs::openat(parent, name.as_bytes(), flags, Mode::from_raw_mode(mode.into()))
            .making("make the file")?;
        let file = File::from(file);
        self.fill_file(&file, content)?;
        self.finish_open(id, &file, mode)
    }

    fn make_special(
        &mut self,
        id: InodeId,
        parent: &File,
        name: &Name,
        kind: FileType,
        device: Device,
    ) -> Result<(), Failure> {
        if self.job.options.ownership == Ownership::OverrideXattr {
            self.summary.specials_recorded += 1;
            return self.make_file(id, parent, name, &Content::default());
        }
        self.summary.specials += 1;
        let mode = Mode::from_raw_mode(self.host_mode(id).into());
        let device = rustix::fs::makedev(device.major, device.minor);
        rustix::fs::mknodat(parent, name.as_bytes(), kind, mode, device).making("make the node")?;
        self.finish_named(id, parent, name)
    }

    /// Sets the attributes of a directory that waited.
    pub(crate) fn finish_late(&mut self, id: InodeId) -> Result<(), Error> {
        let survey = &self.job.survey;
        let names = survey.names(id);
        let finished = crate::descent::open_below(self.job.target.directory, &names)
            .during("open")
            .and_then(|directory| self.finish_open(id, &directory, 0o700));
        finished.map_err(|failure| failure.at(survey.path(id)))
    }
}

const NO_DEVICE: Device = Device { major: 0, minor: 0 };
