//! `offshoot demo`: all of it on a small image of its own making, checked and measured.

mod check;
mod measure;
mod sample;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use offshoot::{BuildOptions, Clone, CloneOptions, ImageName, Progress, PullOptions, Store, Template, VmId};

use crate::arguments::{Arguments, Format};
use crate::exit::Error;
use crate::progress::Reporter;
use crate::render::{self, json};
use crate::session;
use measure::Measurements;

const CLONES: usize = 100;
const THREADS: usize = 8;
const GROWN_BYTES: u64 = 8 << 30;

pub(crate) fn run(arguments: &Arguments, directory: Option<&Path>) -> Result<(), Error> {
    let progress = session::reporter(arguments)?;
    let parent = directory.map_or_else(std::env::temp_dir, Path::to_owned);
    let temporary = tempfile::Builder::new()
        .prefix("offshoot-demo-")
        .tempdir_in(&parent)
        .map_err(Error::file("create a directory in", &parent))?;
    let mut measured = Measurements::new(temporary.path())?;

    let layout = temporary.path().join("image");
    let layers = measured.step("make a sample image of 3 layers (gzip)", || {
        let bytes = sample::write(&layout)?;
        Ok((bytes, bytes))
    })?;
    let image: ImageName = format!("oci:{}:sample", layout.display())
        .parse()
        .map_err(|error| Error::Demo(format!("the temporary directory cannot be named: {error}")))?;
    let store = Store::open(&temporary.path().join("store"))?;
    measured.step("pull: verify, decompress and pack the layers", || {
        Ok((store.pull(&image, &PullOptions::default(), &progress)?, layers))
    })?;
    let template = measured.step("build: merge the layers into an ext4 template", || {
        let template = store.build(&image, &BuildOptions::default(), &progress)?;
        let bytes = template.record.size_bytes;
        Ok((template, bytes))
    })?;
    let clones =
        measured.repeated(&format!("clone: {CLONES} VMs' disks, {THREADS} at a time"), CLONES, || {
            let clones = clone_all(&store, &template, &progress)?;
            let bytes = clones.iter().map(|clone| clone.record.size_bytes).sum();
            Ok((clones, bytes))
        })?;
    let mut checks = interruptible(&progress, || check::all(&template, &clones))?;
    let (grown, snapshot, reset) = one_vm(&mut measured, &store, &clones)?;
    interruptible(&progress, || check::one_vm(&template, &grown, &snapshot, &reset, &mut checks))?;
    measured.repeated(&format!("release: the {CLONES} clones"), CLONES, || {
        let release = |clone: &Clone| Ok(store.release(&clone.record.vm_id)?);
        clones.iter().try_for_each(|clone| interruptible(&progress, || release(clone)))?;
        Ok(((), 0))
    })?;

    let strategy = clones.first().map(|clone| clone.record.strategy.to_string()).unwrap_or_default();
    if arguments.format == Format::Json {
        return render::print_json(&json::list(measured.rows()));
    }
    render::print(&measured.table())?;
    render::print(&format!("\nChecked:\n{}\n", checks.join("\n")))?;
    render::print(match strategy.as_str() {
        "reflink" => {
            "This filesystem shares blocks (reflink): a clone costs nothing until its VM writes, and the template\n\
             shares its contents with the layers' packs.\n"
        }
        _ => {
            "This filesystem cannot share blocks, so each clone is a copy that keeps holes. On XFS or btrfs a clone is\n\
             one reflink: microseconds, and no space until its VM writes. Try: offshoot demo --directory DIR\n"
        }
    })
}

/// What else may be done with a VM's disk, on the first two: grown and made a template, and reset.
fn one_vm(
    measured: &mut Measurements,
    store: &Store,
    clones: &[Clone],
) -> Result<(Clone, Template, Clone), Error> {
    let [first, second, ..] = clones else {
        return Err(Error::Demo("there are no two clones".to_owned()));
    };
    let grown = measured.step("grow: one VM's disk and its filesystem to 8 GiB", || {
        let grown = store.grow(&first.record.vm_id, GROWN_BYTES)?;
        Ok((grown, GROWN_BYTES))
    })?;
    let name =
        "demo-snapshot".parse().map_err(|error| Error::Demo(format!("no template's name: {error}")))?;
    let snapshot = measured.step("snapshot: that disk becomes a template", || {
        Ok((store.snapshot(&first.record.vm_id, &name)?, GROWN_BYTES))
    })?;
    let reset = measured.step("reset: another VM gets its first disk back", || {
        Ok((store.reset(&second.record.vm_id)?, second.record.size_bytes))
    })?;
    Ok((grown, snapshot, reset))
}

fn clone_all(store: &Store, template: &Template, progress: &Reporter) -> Result<Vec<Clone>, Error> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(CLONES));
    let options = CloneOptions { ephemeral: true, ..CloneOptions::default() };
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= CLONES {
                return;
            }
            let result = interruptible(progress, || clone_one(store, template, number, &options));
            results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let clones = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    clones.into_iter().collect()
}

/// A step of the demonstration, unless it is to end.
fn interruptible<T>(progress: &Reporter, step: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if progress.cancelled() { Err(Error::Interrupted) } else { step() }
}

fn clone_one(
    store: &Store,
    template: &Template,
    number: usize,
    options: &CloneOptions,
) -> Result<Clone, Error> {
    let vm: VmId =
        format!("demo-{number:03}").parse().map_err(|error| Error::Demo(format!("no VM id: {error}")))?;
    Ok(store.clone_template(template, &vm, options)?)
}
