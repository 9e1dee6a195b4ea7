use std::sync::atomic::{AtomicBool, Ordering};

use offshoot::{BuildOptions, ErrorKind, Event, Progress, Quiet, Store};

use crate::image::{names, sample};

/// Cancels at the first event of a kind.
struct StopAt {
    at: fn(&Event) -> bool,
    stopped: AtomicBool,
}

impl Progress for StopAt {
    fn event(&self, event: Event) {
        if (self.at)(&event) {
            self.stopped.store(true, Ordering::Relaxed);
        }
    }

    fn cancelled(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

#[test]
fn a_cancelled_build_leaves_nothing_half_made() {
    let cases: [fn(&Event) -> bool; 2] = [
        |event| matches!(event, Event::LayerStarted { .. }),
        |event| matches!(event, Event::BuildStarted { .. }),
    ];
    for at in cases {
        let directory = tempfile::tempdir().unwrap();
        let image = sample(&directory.path().join("image"));
        let store = Store::open(&directory.path().join("store")).unwrap();
        let stop = StopAt { at, stopped: AtomicBool::new(false) };
        let error = store.build(&image, &BuildOptions::default(), &stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
        assert!(names(&store, "templates").is_empty());
        assert!(names(&store, "tmp").is_empty() && names(&store, "locks").is_empty());
        store.build(&image, &BuildOptions::default(), &Quiet).unwrap();
    }
}
