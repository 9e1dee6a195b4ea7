//! What `verify` has found.

use std::path::Path;

use offshoot::{Finding, Problem, Report, Subject};
use serde::Serialize;

/// A line for each finding.
pub(crate) fn plain(report: &Report) -> String {
    // Names and paths may have anything in them; a line stays one.
    let line = |finding: &Finding| finding.to_string().replace(char::is_control, " ") + "\n";
    report.findings.iter().map(line).collect()
}

#[derive(Serialize)]
pub(crate) struct ReportJson<'a> {
    version: u32,
    checked: usize,
    findings: Vec<FindingJson<'a>>,
}

#[derive(Serialize)]
struct FindingJson<'a> {
    subject: &'a Subject,
    path: &'a Path,
    problem: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_path: Option<&'a str>,
    remedy: &'static str,
    dependants: &'a [Subject],
}

pub(crate) fn json(report: &Report) -> ReportJson<'_> {
    ReportJson {
        version: 1,
        checked: report.checked,
        findings: report.findings.iter().map(finding).collect(),
    }
}

fn finding(finding: &Finding) -> FindingJson<'_> {
    let (offset, bytes, image_path) = match &finding.problem {
        Problem::Changed { offset, bytes, path } => (Some(*offset), Some(*bytes), path.as_deref()),
        Problem::NotZero { offset } => (Some(*offset), None, None),
        _ => (None, None, None),
    };
    FindingJson {
        subject: &finding.subject,
        path: &finding.path,
        problem: finding.problem.kind(),
        message: finding.problem.to_string(),
        offset,
        bytes,
        image_path,
        remedy: finding.remedy(),
        dependants: &finding.dependants,
    }
}
