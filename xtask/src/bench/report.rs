use std::fmt::Write as _;

use serde_json::json;

/// All that was measured.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

/// One measurement, and what it should be.
#[derive(Debug)]
struct Row {
    place: &'static str,
    what: String,
    unit: &'static str,
    runs: Vec<f64>,
    target: Option<Target>,
}

/// A bound that a measurement is held to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// At least.
    AtLeast(f64),
    /// At most.
    AtMost(f64),
}

impl Target {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }

    fn show(self) -> String {
        match self {
            Self::AtLeast(bound) => format!("≥ {}", round(bound)),
            Self::AtMost(bound) => format!("≤ {}", round(bound)),
        }
    }
}

impl Report {
    /// Adds the runs of one measurement.
    pub(super) fn add(
        &mut self,
        place: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        runs: &[f64],
        target: Option<Target>,
    ) {
        self.rows.push(Row { place, what: what.into(), unit, runs: runs.to_vec(), target });
    }

    /// For a terminal.
    pub(super) fn text(&self) -> String {
        let lines = self.lines();
        let width =
            |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2), width(3), width(4)];
        let mut text = String::new();
        for line in &lines {
            let [place, what, measured, target, met] = line;
            let padded = format!(
                "{place:<0$}  {what:<1$}  {measured:>2$}  {target:>3$}  {met:<4$}",
                widths[0], widths[1], widths[2], widths[3], widths[4]
            );
            let _ = writeln!(text, "{}", padded.trim_end());
        }
        text
    }

    /// For a document.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        for (index, line) in self.lines().iter().enumerate() {
            let _ = writeln!(text, "| {} |", line.join(" | "));
            if index == 0 {
                text.push_str("|---|---|---:|---:|---|\n");
            }
        }
        text
    }

    /// For a program, with every run.
    pub(super) fn json(&self) -> String {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let median = median(&row.runs);
                json!({
                    "place": row.place,
                    "what": row.what,
                    "unit": row.unit,
                    "median": median,
                    "runs": row.runs,
                    "target": row.target.map(Target::show),
                    "met": row.target.map(|target| target.met(median)),
                })
            })
            .collect();
        let cpus = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        format!("{:#}\n", json!({"version": 1, "cpus": cpus, "results": rows}))
    }

    fn lines(&self) -> Vec<[String; 5]> {
        let header = ["on", "what", "measured", "target", "met"].map(str::to_owned);
        let rows = self.rows.iter().map(|row| {
            let median = median(&row.runs);
            [
                row.place.to_owned(),
                row.what.clone(),
                format!("{} {}", round(median), row.unit),
                row.target.map(Target::show).unwrap_or_default(),
                row.target.map_or("", |target| if target.met(median) { "yes" } else { "NO" }).to_owned(),
            ]
        });
        std::iter::once(header).chain(rows).collect()
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub(super) fn median(runs: &[f64]) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[length / 2],
        length => f64::midpoint(sorted[length / 2 - 1], sorted[length / 2]),
    }
}

/// Three digits that count, or all before the point.
fn round(value: f64) -> String {
    let decimals = if value >= 100.0 || value.fract() == 0.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_target_is_met() {
        let mut report = Report::default();
        report.add("host", "fast", "s", &[3.0, 1.0, 2.0], Some(Target::AtMost(2.0)));
        report.add("host", "slow", "×", &[4.0, 5.5], Some(Target::AtLeast(5.0)));
        assert_eq!(
            report.markdown(),
            "| on | what | measured | target | met |\n|---|---|---:|---:|---|\n\
             | host | fast | 2 s | ≤ 2 | yes |\n| host | slow | 4.75 × | ≥ 5 | NO |\n"
        );
    }
}
