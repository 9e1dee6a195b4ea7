use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::exit::Error;
use crate::render::table::Table;
use crate::size::Size;

/// What each step took, and by how much it made the filesystem fuller.
pub(super) struct Measurements {
    directory: File,
    rows: Vec<Row>,
}

#[derive(Serialize)]
pub(super) struct Row {
    step: String,
    seconds: f64,
    count: usize,
    logical_bytes: u64,
    /// The change of the filesystem's used space, all of it synced; others' writes count too.
    disk_bytes: i64,
}

impl Measurements {
    pub(super) fn new(directory: &Path) -> Result<Self, Error> {
        let directory = File::open(directory).map_err(Error::file("open", directory))?;
        Ok(Self { directory, rows: Vec::new() })
    }

    /// Runs one step, which says how many logical bytes it made.
    pub(super) fn step<T>(
        &mut self,
        name: &str,
        step: impl FnOnce() -> Result<(T, u64), Error>,
    ) -> Result<T, Error> {
        self.repeated(name, 1, step)
    }

    /// Runs a step that does the same thing `count` times.
    pub(super) fn repeated<T>(
        &mut self,
        name: &str,
        count: usize,
        step: impl FnOnce() -> Result<(T, u64), Error>,
    ) -> Result<T, Error> {
        let before = self.free_bytes()?;
        let start = Instant::now();
        let (value, logical_bytes) = step()?;
        let seconds = start.elapsed().as_secs_f64();
        let disk_bytes = before - self.free_bytes()?;
        self.rows.push(Row { step: name.to_owned(), seconds, count, logical_bytes, disk_bytes });
        Ok(value)
    }

    fn free_bytes(&self) -> Result<i64, Error> {
        let failed = |error: rustix::io::Errno| {
            Error::Demo(format!("cannot ask the filesystem for its space: {error}"))
        };
        rustix::fs::syncfs(&self.directory).map_err(failed)?;
        let filesystem = rustix::fs::fstatvfs(&self.directory).map_err(failed)?;
        Ok(i64::try_from(filesystem.f_bfree.saturating_mul(filesystem.f_frsize)).unwrap_or(i64::MAX))
    }

    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn table(&self) -> String {
        let mut table = Table::new(&["STEP", "TOOK", "EACH", "LOGICAL SIZE", "SPACE USED"], &[1, 2, 3, 4]);
        for row in &self.rows {
            table.row([
                row.step.clone(),
                time(row.seconds),
                if row.count > 1 { time(row.seconds / row.count as f64) } else { String::new() },
                if row.logical_bytes > 0 { Size(row.logical_bytes).to_string() } else { String::new() },
                signed(row.disk_bytes),
            ]);
        }
        table.render()
    }
}

fn signed(bytes: i64) -> String {
    let size = Size(bytes.unsigned_abs());
    if bytes < 0 { format!("-{size}") } else { size.to_string() }
}

fn time(seconds: f64) -> String {
    let duration = Duration::from_secs_f64(seconds);
    match duration.as_micros() {
        micros @ 0..1_000 => format!("{micros} µs"),
        micros @ 1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros @ 10_000..1_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}
