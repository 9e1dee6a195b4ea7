use std::sync::atomic::{AtomicUsize, Ordering};

use offshoot::{BuildOptions, CloneOptions, Event, Progress, Store, VmId};

use crate::image::{names, sample};

/// Counts what was made, not found.
#[derive(Default)]
struct Made {
    layers: AtomicUsize,
    templates: AtomicUsize,
}

impl Progress for Made {
    fn event(&self, event: Event) {
        match event {
            Event::LayerFinished { reused: false, .. } => self.layers.fetch_add(1, Ordering::Relaxed),
            Event::BuildFinished { reused: false } => self.templates.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        };
    }
}

#[test]
fn of_all_who_want_a_template_one_makes_it() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let root = directory.path().join("store");
    let made = Made::default();
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let store = Store::open(&root).unwrap();
                    store.build(&image, &BuildOptions::default(), &made).unwrap().record
                })
            })
            .collect();
        let records: Vec<_> = builders.into_iter().map(|builder| builder.join().unwrap()).collect();
        assert!(records.iter().all(|record| *record == records[0]));
    });
    assert_eq!((made.layers.into_inner(), made.templates.into_inner()), (2, 1));
    let store = Store::open(&root).unwrap();
    assert!(names(&store, "tmp").is_empty() && names(&store, "locks").is_empty());
}

#[test]
fn of_all_who_want_a_clone_one_makes_it() {
    let directory = tempfile::tempdir().unwrap();
    let image = sample(&directory.path().join("image"));
    let root = directory.path().join("store");
    let store = Store::open(&root).unwrap();
    let template = store.build(&image, &BuildOptions::default(), &Made::default()).unwrap();
    let vm: VmId = "contested".parse().unwrap();
    std::thread::scope(|scope| {
        let cloners: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let store = Store::open(&root).unwrap();
                    store.clone_template(&template, &vm, &CloneOptions::default()).unwrap()
                })
            })
            .collect();
        let clones: Vec<_> = cloners.into_iter().map(|cloner| cloner.join().unwrap()).collect();
        assert!(clones.iter().all(|clone| *clone == clones[0]));
    });
    assert_eq!(names(&store, "clones"), ["contested"]);
    assert!(names(&store, "tmp").is_empty());
}
