//! Packs layer blobs, all at once, and prints how long that took and what each stage cost.
//!
//! `cargo run --release -p offshoot-layer --example pack -- [--no-sync] [--verify] OUTDIR BLOB…`
//!
//! OUTDIR must not exist; each pack goes into a numbered directory there.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use offshoot_layer::{Pack, Packed, Request, pack};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut option = |name: &str| {
        let before = arguments.len();
        arguments.retain(|argument| argument != name);
        arguments.len() < before
    };
    let (sync, verify) = (!option("--no-sync"), option("--verify"));
    let Some((output, blobs)) = arguments.split_first().filter(|(_, blobs)| !blobs.is_empty()) else {
        return Err("usage: pack [--no-sync] [--verify] OUTDIR BLOB…".into());
    };
    let output = Path::new(output);
    let request = Request { sync, ..Request::default() };
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (packed, stages) = std::thread::scope(|scope| {
        let stages = scope.spawn(|| watch(&done));
        let packers: Vec<_> = blobs
            .iter()
            .enumerate()
            .map(|(number, blob)| {
                let directory = output.join(number.to_string());
                scope.spawn(move || -> Result<Packed, Box<dyn Error + Send + Sync>> {
                    fs::create_dir_all(&directory)?;
                    Ok(pack(Box::new(File::open(blob)?), &directory, &request)?)
                })
            })
            .collect();
        let packed: Vec<_> = packers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        let elapsed = start.elapsed();
        done.store(true, Ordering::Relaxed);
        println!("wall {:.3} s", elapsed.as_secs_f64());
        (packed, stages.join())
    });
    for packed in packed {
        let packed = packed.map_err(|_| "a packer panicked")?.map_err(|error| error.to_string())?;
        println!("{packed:?}");
    }
    for (stage, seconds) in stages.map_err(|_| "the watcher panicked")? {
        println!("{stage:16} {seconds:.3} s of processor time");
    }
    if verify {
        for number in 0..blobs.len() {
            let start = Instant::now();
            let pack = Pack::open(&output.join(number.to_string()))?;
            let opened = start.elapsed();
            pack.verify()?;
            println!("opened in {opened:?}, verified in {:?}", start.elapsed().saturating_sub(opened));
        }
    }
    Ok(())
}

/// The processor time of each of this process's threads, by name, as last seen before it ended.
fn watch(done: &AtomicBool) -> BTreeMap<String, f64> {
    let mut seen = BTreeMap::new();
    while !done.load(Ordering::Relaxed) {
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let read = |name| fs::read_to_string(task.path().join(name));
            let (Ok(name), Ok(times)) = (read("comm"), read("schedstat")) else { continue };
            let Some(nanoseconds) = times.split(' ').next().and_then(|time| time.parse::<f64>().ok()) else {
                continue;
            };
            seen.insert((task.file_name(), name.trim().to_owned()), nanoseconds / 1e9);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let mut stages = BTreeMap::new();
    for ((_, name), seconds) in seen {
        *stages.entry(name).or_insert(0.0) += seconds;
    }
    stages
}
