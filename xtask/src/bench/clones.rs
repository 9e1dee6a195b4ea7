use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::report::{Report, Target, median};
use crate::run::{Failure, cargo, output};

/// What `crates/offshoot/benches/clones.rs` measures at a place: its rows, and what follows from them.
pub(super) fn at(
    place: &'static str,
    directory: &Path,
    image: &str,
    program: &Path,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut bench = cargo(&["bench", "-q", "--locked", "-p", "offshoot", "--bench", "clones", "--"]);
    let text = output(bench.arg(directory).arg(image).arg(program))?;
    let mut medians = HashMap::new();
    for line in text.lines() {
        let Ok(row) = serde_json::from_str::<Value>(line) else { continue };
        let what = row["what"].as_str().unwrap_or_default().to_owned();
        let runs: Vec<f64> = row["runs"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let unit = match row["unit"].as_str() {
            Some("ms") => "ms",
            Some("/s") => "/s",
            _ => "µs",
        };
        report.add(place, what.clone(), unit, &runs, bound(&what));
        medians.insert(what, median(&runs));
    }
    for Ratio { what, of, to, target } in RATIOS {
        if let (Some(of), Some(to)) = (medians.get(of), medians.get(to)) {
            report.add(place, what, "×", &[of / to], Some(target));
        }
    }
    let get = |what: &str| medians.get(what).copied();
    if let (Some(ours), Some(cp)) = (get("program: clone --ephemeral"), get("cp --reflink=always")) {
        report.add(place, "the program, beyond cp", "ms", &[(ours - cp) / 1e3], Some(Target::AtMost(1.0)));
    }
    let scale = |who: &str| Some(get(&format!("{who}, 8 threads"))? / get(&format!("{who}, 1 threads"))?);
    if let (Some(ours), Some(bare)) = (scale("clones a second"), scale("bare")) {
        let what = "gain by 8 threads, of that of the bare calls";
        report.add(place, what, "×", &[ours / bare], Some(Target::AtLeast(0.8)));
    }
    Ok(())
}

fn bound(what: &str) -> Option<Target> {
    match what {
        "library grow, 1 to 8 GiB"
        | "library grow, 1 to 8 GiB, in memory"
        | "library clone --size, 1 to 8 GiB" => Some(Target::AtMost(1000.0)),
        "program: clones, of 10,000" => Some(Target::AtMost(500.0)),
        _ => None,
    }
}

struct Ratio {
    what: &'static str,
    of: &'static str,
    to: &'static str,
    target: Target,
}

const RATIOS: [Ratio; 4] = [
    Ratio {
        what: "library clone / its system calls",
        of: "library clone, ephemeral",
        to: "its system calls, bare",
        target: Target::AtMost(1.5),
    },
    Ratio {
        what: "qemu-img create -b / library overlay",
        of: "qemu-img create -b",
        to: "library clone, qcow2",
        target: Target::AtLeast(10.0),
    },
    Ratio {
        what: "resize2fs / library grow",
        of: "resize2fs, 1 to 8 GiB",
        to: "library grow, 1 to 8 GiB",
        target: Target::AtLeast(5.0),
    },
    Ratio {
        what: "last / first hundred of 10,000 clones",
        of: "last hundred of 10,000 clones",
        to: "first hundred of 10,000 clones",
        target: Target::AtMost(1.2),
    },
];
