use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use offshoot::{Event, Notice, Progress, Watch};
use serde_json::json;

use crate::arguments::{Arguments, ProgressMode};
use crate::exit::say;
use crate::size::Size;

/// Shows the events of an operation on standard error, and tells it about interrupts.
pub(crate) struct Reporter {
    display: Display,
    interrupted: Arc<AtomicBool>,
}

enum Display {
    Bars(Bars),
    Plain,
    Json,
    Nothing,
}

impl Reporter {
    pub(crate) fn new(arguments: &Arguments, interrupted: Arc<AtomicBool>) -> Self {
        let display = match arguments.progress {
            _ if arguments.quiet => Display::Nothing,
            ProgressMode::Auto if std::io::stderr().is_terminal() => Display::Bars(Bars::default()),
            ProgressMode::Auto if arguments.verbose => Display::Plain,
            ProgressMode::Plain => Display::Plain,
            ProgressMode::Json => Display::Json,
            ProgressMode::Auto | ProgressMode::None => Display::Nothing,
        };
        Self { display, interrupted }
    }

    /// Who watches while a registry or a program is waited for: heeds interrupts, and tells what goes on if wished.
    pub(crate) fn watch(&self, arguments: &Arguments) -> Arc<dyn Watch> {
        Arc::new(Watcher { interrupted: Arc::clone(&self.interrupted), tells: arguments.verbose })
    }
}

struct Watcher {
    interrupted: Arc<AtomicBool>,
    tells: bool,
}

impl Watch for Watcher {
    fn cancelled(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    fn notice(&self, notice: &Notice) {
        if self.tells {
            say(&format!("offshoot: {notice}"));
        }
    }
}

impl Progress for Reporter {
    fn event(&self, event: Event) {
        match &self.display {
            Display::Bars(bars) => bars.event(event),
            Display::Plain => plain(event),
            Display::Json => json(event),
            Display::Nothing => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

fn plain(event: Event) {
    match event {
        Event::LayerStarted { index, count, bytes, .. } => {
            let size = bytes.map(|bytes| format!(", {}", Size(bytes))).unwrap_or_default();
            say(&format!("layer {} of {count}{size}", index + 1));
        }
        Event::LayerFinished { index, reused } => {
            let how = if reused { "was packed already" } else { "packed" };
            say(&format!("layer {} {how}", index + 1));
        }
        Event::BuildStarted { bytes } => say(&format!("writing the template, {}", Size(bytes))),
        Event::BuildFinished { reused } => {
            say(if reused { "template was there already" } else { "template built" });
        }
        Event::VerifyStarted { things } => say(&format!("looking at {things} things")),
        _ => {}
    }
}

fn json(event: Event) {
    let value = match event {
        Event::LayerStarted { index, count, blob, bytes } => {
            json!({"event": "layer_started", "index": index, "count": count, "blob": blob, "bytes": bytes})
        }
        Event::LayerRead { index, bytes } => json!({"event": "layer_read", "index": index, "bytes": bytes}),
        Event::LayerFinished { index, reused } => {
            json!({"event": "layer_finished", "index": index, "reused": reused})
        }
        Event::BuildStarted { bytes } => json!({"event": "build_started", "bytes": bytes}),
        Event::BuildWrote { bytes } => json!({"event": "build_wrote", "bytes": bytes}),
        Event::BuildFinished { reused } => json!({"event": "build_finished", "reused": reused}),
        Event::VerifyStarted { things } => json!({"event": "verify_started", "things": things}),
        Event::VerifyReading { index, kind, digest, bytes } => {
            json!({"event": "verify_reading", "index": index, "kind": kind, "digest": digest, "bytes": bytes})
        }
        Event::VerifyRead { index, bytes } => json!({"event": "verify_read", "index": index, "bytes": bytes}),
        Event::VerifyFinished { index, findings } => {
            json!({"event": "verify_finished", "index": index, "findings": findings})
        }
        _ => return,
    };
    say(&value.to_string());
}

#[derive(Default)]
struct Bars {
    all: MultiProgress,
    /// Layers, or what else goes on at once.
    parts: Mutex<HashMap<usize, ProgressBar>>,
    whole: Mutex<Option<ProgressBar>>,
}

impl Bars {
    fn event(&self, event: Event) {
        let (Ok(mut parts), Ok(mut whole)) = (self.parts.lock(), self.whole.lock()) else { return };
        match event {
            Event::LayerStarted { index, count, bytes, .. } => {
                parts.insert(index, self.bar(format!("layer {}/{count}", index + 1), bytes));
            }
            Event::LayerRead { index, bytes } | Event::VerifyRead { index, bytes } => {
                if let Some(bar) = parts.get(&index) {
                    bar.inc(bytes);
                }
            }
            Event::LayerFinished { index, .. } => {
                if let Some(bar) = parts.remove(&index) {
                    bar.finish_and_clear();
                }
            }
            Event::BuildStarted { bytes } => *whole = Some(self.bar("template".to_owned(), Some(bytes))),
            Event::BuildWrote { bytes } => {
                if let Some(bar) = &*whole {
                    bar.inc(bytes);
                }
            }
            Event::BuildFinished { .. } => {
                if let Some(bar) = whole.take() {
                    bar.finish_and_clear();
                }
            }
            Event::VerifyStarted { things } => *whole = Some(self.count("verified", things)),
            Event::VerifyReading { index, kind, digest, bytes } => {
                let again = parts.insert(index, self.bar(format!("{kind} {:.6}", digest.hex()), Some(bytes)));
                if let Some(bar) = again {
                    bar.finish_and_clear();
                }
            }
            Event::VerifyFinished { index, .. } => {
                if let Some(bar) = parts.remove(&index) {
                    bar.finish_and_clear();
                }
                if let Some(bar) = whole.take_if(|bar| {
                    bar.inc(1);
                    bar.length() == Some(bar.position())
                }) {
                    bar.finish_and_clear();
                }
            }
            _ => {}
        }
    }

    fn bar(&self, name: String, bytes: Option<u64>) -> ProgressBar {
        match bytes {
            Some(bytes) => self.add(
                ProgressBar::new(bytes),
                name,
                "{prefix:15} {bar:30} {binary_bytes:>11}/{binary_total_bytes:11} {eta:>4}",
            ),
            None => self.add(ProgressBar::no_length(), name, "{prefix:15} {spinner} {binary_bytes:>11}"),
        }
    }

    /// Of things that are all alike.
    fn count(&self, name: &str, things: usize) -> ProgressBar {
        let bar = ProgressBar::new(u64::try_from(things).unwrap_or(u64::MAX));
        self.add(bar, name.to_owned(), "{prefix:15} {bar:30} {pos:>11}/{len:11}")
    }

    fn add(&self, bar: ProgressBar, name: String, template: &str) -> ProgressBar {
        let bar = self.all.add(bar).with_prefix(name);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar
    }
}
