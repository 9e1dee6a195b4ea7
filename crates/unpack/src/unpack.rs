use std::fs::File;
use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, available_parallelism, scope};

use offshoot_store::open_beneath;
use offshoot_tree::{InodeId, Tree, TreePath};

use crate::descent::open_below;
use crate::directory::{Job, Maker};
use crate::failure::{During, Failure};
use crate::packs::Packs;
use crate::queue::{Queue, StopOnDrop};
use crate::survey::Survey;
use crate::target::Target;
use crate::{Error, Options, Summary, links, umask};

/// More do not make a filesystem faster.
const MAX_WORKERS: usize = 4;

/// Writes a tree into an empty directory: names, contents, and of each inode all that the host can hold.
///
/// `packs` are the sources of contents by [`SourceId`](offshoot_tree::SourceId), open for reading.
/// `directory` is open for reading and holds nothing; the caller made it, and should have it below a directory
/// that nobody else enters. Until all is done it has mode 0700 and belongs to the caller; then it has what the
/// tree says of its root, and no access control list but the tree's.
///
/// Contents share their blocks with the packs where they lie on a filesystem that can; the rest is copied.
/// Access times are those of the last change, since images have no others.
/// What the host cannot hold and does not matter to files and their contents is counted in the [`Summary`].
///
/// `Ok` says that every name of the tree is there, with its contents, mode, owner (or its record) and time. On
/// an error, what was made so far is still there: [`remove_tree`](offshoot_store::remove_tree) removes the directory. With
/// [`Options::sync`], `Ok` also says that it survives a power cut, apart from the directory's own name.
pub fn unpack(
    tree: &Tree,
    packs: &[File],
    directory: &File,
    options: &Options<'_>,
) -> Result<Summary, Error> {
    let at_root = |failure: Failure| failure.at(TreePath::root());
    let packs = Packs::new(packs).during("inspect the packs of").map_err(at_root)?;
    let survey = Survey::new(tree, &packs)?;
    let target = Target::take(directory)?;
    let job = Job { survey, packs, target, options };
    let mut summary = make_all(&job)?;
    summary.hard_links = links::make(&job)?;
    let mut last = Maker::new(&job, false);
    for id in job.survey.late_directories() {
        last.finish_late(id)?;
    }
    summary.add(last.summary);
    if options.sync {
        rustix::fs::syncfs(directory).during("sync").map_err(at_root)?;
    }
    Ok(summary)
}

/// Makes every inode, by several threads.
fn make_all(job: &Job<'_>) -> Result<Summary, Error> {
    let queue = Queue::new(Tree::ROOT);
    let workers = available_parallelism().map_or(1, NonZero::get).min(MAX_WORKERS);
    let summary = Mutex::new(Summary::default());
    let error: Mutex<Option<Error>> = Mutex::new(None);
    let work = || {
        let _stop = StopOnDrop(&queue);
        let mut maker = Maker::new(job, umask::private());
        let made = run(&mut maker, &queue);
        summary.lock().unwrap_or_else(PoisonError::into_inner).add(maker.summary);
        if let Err(failed) = made {
            error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failed);
        }
    };
    scope(|scope| {
        for number in 0..workers {
            let spawned = Builder::new().name("unpack".to_owned()).spawn_scoped(scope, work);
            // With one there are enough; never this thread, since a worker gives its umask away.
            if number == 0 {
                spawned.during("start a thread for").map_err(|failure| failure.at(TreePath::root()))?;
            }
        }
        Ok(())
    })?;
    match error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(summary.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

/// Fills directories until there are no more.
fn run(maker: &mut Maker<'_>, queue: &Queue) -> Result<(), Error> {
    let mut children = Vec::new();
    while let Some(mut id) = queue.take() {
        let mut directory = open(maker.job, id)?;
        loop {
            maker.fill_directory(id, &directory, &mut children)?;
            // Going on with a child keeps a deep tree from being gone down into again and again.
            let Some(next) = queue.filled(&mut children) else { break };
            id = next;
            directory = open_from(maker.job, &directory, id)?;
        }
    }
    Ok(())
}

fn open(job: &Job<'_>, id: InodeId) -> Result<File, Error> {
    open_below(job.target.directory, &job.survey.names(id))
        .during("open")
        .map_err(|failure| failure.at(job.survey.path(id)))
}

fn open_from(job: &Job<'_>, parent: &File, id: InodeId) -> Result<File, Error> {
    let name = job.survey.place(id).map_or(&b"."[..], |place| place.name.as_bytes());
    open_beneath(parent, name).during("open").map_err(|failure| failure.at(job.survey.path(id)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use offshoot_tree::{Change, Leaf, Merge, Metadata, SourceId};

    use super::*;
    use crate::Ownership;

    #[test]
    fn modes_are_set_where_the_umask_cannot_be() {
        let mut changes = Vec::new();
        for (name, leaf) in [(&b"file"[..], Leaf::File(Default::default())), (b"fifo", Leaf::Fifo)] {
            // Whatever umask the tests run under, it does not do both of these.
            for mode in [0o666, 0o622] {
                let path = TreePath::parse(&[name, mode.to_string().as_bytes()].concat()).unwrap();
                changes.push(Change::Leaf {
                    path,
                    metadata: Metadata { mode, ..owned() },
                    leaf: leaf.clone(),
                });
            }
        }
        changes.push(Change::Directory { path: TreePath::root(), metadata: owned() });
        let mut merge = Merge::new();
        merge.apply(SourceId(0), changes).unwrap();
        let tree = merge.finish();
        let parent = tempfile::tempdir().unwrap();
        let directory = File::open(parent.path()).unwrap();
        let options = Options { ownership: Ownership::Native, ..Options::default() };
        let packs = Packs::new(&[]).unwrap();
        let survey = Survey::new(&tree, &packs).unwrap();
        let job = Job { survey, packs, target: Target::take(&directory).unwrap(), options: &options };
        run(&mut Maker::new(&job, false), &Queue::new(Tree::ROOT)).unwrap();
        for (path, id) in tree.walk().filter(|(path, _)| !path.is_root()) {
            let made = parent.path().join(path.to_string().trim_start_matches('/'));
            let mode = std::fs::metadata(made).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, u32::from(tree.inode(id).metadata.mode), "{path}");
        }
    }

    /// What whoever runs the tests may make.
    fn owned() -> Metadata {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Metadata { uid, gid, ..Metadata::default() }
    }
}
