//! Threads that build, clone and release what others collect: nobody fails, and nothing is missing or left.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use offshoot::{
    BuildOptions, CloneOptions, CollectionOptions, ErrorKind, ImageName, KeepFree, Quiet, Store, Strategy,
    VmId,
};

use crate::collecting::AT_ONCE;
use crate::image::{Dice, names, sample, vm};

pub(crate) fn soak() -> bool {
    std::env::var_os("OFFSHOOT_SOAK").is_some()
}

/// What the threads work on.
struct Work {
    root: PathBuf,
    directory: PathBuf,
    layout: ImageName,
    turns: AtomicUsize,
    collected: AtomicUsize,
}

impl Work {
    /// An image whose content is one of a few, so that its template is another each time, and the old one garbage.
    fn moving_image(&self, thread: u64, version: u64) -> ImageName {
        let files = self.directory.join(format!("files-{thread}"));
        fs::create_dir_all(&files).unwrap();
        fs::write(files.join("version"), vec![version as u8; 5000]).unwrap();
        format!("dir:{}", files.display()).parse().unwrap()
    }

    fn turn(&self, store: &Store, thread: u64, dice: &mut Dice) {
        let options = match dice.roll(5) {
            0 => CloneOptions { strategy: Some(Strategy::Qcow2), ..CloneOptions::default() },
            1 => CloneOptions { as_directory: true, ephemeral: true, ..CloneOptions::default() },
            2 => CloneOptions {
                injections: vec!["/etc/hostname:/etc/hostname".parse().unwrap()],
                ..CloneOptions::default()
            },
            _ => CloneOptions { ephemeral: true, ..CloneOptions::default() },
        };
        let id: VmId = vm(&format!("{thread}"));
        let image = match dice.roll(3) {
            // One that all have in common.
            0 => self.layout.clone(),
            _ => self.moving_image(thread, dice.roll(3)),
        };
        let name = (dice.roll(3) == 0).then(|| format!("name-{}", dice.roll(2)).parse().unwrap());
        let build = BuildOptions { name, with_packs: true, ..BuildOptions::default() };
        let template = store.build(&image, &build, &Quiet).unwrap();
        match dice.roll(4) {
            0 => {
                let session = store.clone_for_session(&template, &id, &options).unwrap();
                drop(template);
                self.whole(store, &id);
                drop(session);
                return;
            }
            1 => {
                // The name may be somebody else's by now, or nobody's.
                let name = format!("name-{}", dice.roll(2));
                match store.find_template(&name).unwrap() {
                    Some(named) => drop(store.clone_template(&named, &id, &CloneOptions::default()).unwrap()),
                    None => return,
                }
            }
            _ => drop(store.clone_template(&template, &id, &options).unwrap()),
        }
        drop(template);
        self.whole(store, &id);
        match dice.roll(4) {
            0 => drop(store.reset(&id).unwrap()),
            1 if store.find_clone(&id).unwrap().unwrap().path.is_file() => {
                store.snapshot(&id, &format!("name-{}", dice.roll(2)).parse().unwrap()).unwrap();
            }
            2 => refused_or_done(store.remove(&format!("name-{}", dice.roll(2)))),
            _ => {}
        }
        self.whole(store, &id);
        store.release(&id).unwrap();
        if dice.roll(8) == 0 {
            refused_or_done(store.remove(&image.to_string()));
        }
    }

    /// A clone's template is there, for as long as the clone is.
    fn whole(&self, store: &Store, id: &VmId) {
        let clone = store.find_clone(id).unwrap().unwrap();
        assert!(store.base_disk(&clone).is_file(), "{:?} has no template", clone.record);
        assert!(clone.path.exists());
    }
}

/// What others use or stand on is not removed.
fn refused_or_done(removed: Result<(), offshoot::Error>) {
    if let Err(error) = removed {
        assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound), "{error}");
    }
}

#[test]
fn nobody_fails_beside_a_collection() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("store");
    let work = Work {
        layout: sample(&directory.path().join("image")),
        directory: directory.path().to_owned(),
        turns: AtomicUsize::new(0),
        collected: AtomicUsize::new(0),
        root,
    };
    let store = Store::open(&work.root).unwrap();
    let threads = 4;
    let turns = if soak() { 2000 } else { 25 };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collectors: Vec<_> = (0..2)
            .map(|collector| {
                let (work, done) = (&work, &done);
                scope.spawn(move || {
                    // One of them also evicts all that can be made again.
                    let keep_free = (collector == 1).then_some(KeepFree::Percent(100));
                    let options = CollectionOptions { keep_free, ..AT_ONCE };
                    let store = Store::open(&work.root).unwrap();
                    while !done.load(Ordering::Relaxed) {
                        let plan = store.plan_collection(&options).unwrap();
                        assert!(plan.problems.is_empty(), "{:?}", plan.problems);
                        for collected in store.collect(&plan).unwrap().entries {
                            match collected.outcome {
                                offshoot::CollectionOutcome::Failed(error) => {
                                    panic!("{error}: {:?}", collected.entry)
                                }
                                offshoot::CollectionOutcome::Removed => {
                                    work.collected.fetch_add(1, Ordering::Relaxed);
                                }
                                _ => {}
                            }
                        }
                    }
                })
            })
            .collect();
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let work = &work;
                scope.spawn(move || {
                    let mut dice = Dice(thread + 1);
                    let store = Store::open(&work.root).unwrap();
                    for _ in 0..turns {
                        work.turn(&store, thread, &mut dice);
                        work.turns.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        collectors.into_iter().for_each(|collector| collector.join().unwrap());
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let (turns, collected) = (work.turns.into_inner(), work.collected.into_inner());
    println!("{turns} turns, {collected} things collected");
    assert!(collected > 20, "{collected}");
    nothing_is_left_over(&store);
}

/// What a last collection leaves is named or of an image, and nothing else is there.
pub(crate) fn nothing_is_left_over(store: &Store) {
    let plan = store.plan_collection(&AT_ONCE).unwrap();
    store.collect(&plan).unwrap();
    let again = store.plan_collection(&AT_ONCE).unwrap();
    assert!(again.entries.is_empty(), "{:?}", again.entries);
    for part in ["tmp", "locks", "clones", "quarantine"] {
        assert!(names(store, part).is_empty(), "{part}: {:?}", names(store, part));
    }
    let exists = |part: &str, name: &str| Path::new(&store.path().join(part).join(name)).exists();
    let mut layers = BTreeSet::new();
    for image in store.images().unwrap() {
        layers.extend(image.layers.iter().map(|layer| layer.diff_id.hex()));
        for blob in [image.manifest_digest, image.config_digest] {
            assert!(exists("blobs/sha256", &blob.hex()), "{image:?}");
        }
    }
    for (template, _) in store.templates().unwrap() {
        layers
            .extend(template.derivation().iter().flat_map(|built| &built.layers).map(offshoot::Digest::hex));
    }
    for layer in names(store, "layers") {
        assert!(layers.contains(&layer), "{layer}");
    }
}
