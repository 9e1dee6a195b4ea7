//! What `verify` has found.

use std::path::Path;

use offshoot::{Finding, Mended, Outcome, Problem, Report, Subject};
use serde::Serialize;

/// A line for each finding, and for each thing that something was done about.
pub(crate) fn plain(report: &Report, mended: &[Mended]) -> String {
    // Names and paths may have anything in them; a line stays one.
    let line = |finding: &Finding| finding.to_string().replace(char::is_control, " ") + "\n";
    let done = |mended: &Mended| {
        let line = format!("{}: {}: {}", mended.subject, mended.path.display(), done(&mended.outcome));
        line.replace(char::is_control, " ") + "\n"
    };
    report.findings.iter().map(line).chain(mended.iter().map(done)).collect()
}

fn done(outcome: &Outcome) -> String {
    match outcome {
        Outcome::ModeSet => "its mode is set".to_owned(),
        Outcome::Forgotten => "it is forgotten".to_owned(),
        Outcome::FetchedAgain => "it is fetched again".to_owned(),
        Outcome::BuiltAgain => "it is built again".to_owned(),
        Outcome::LinkedAgain => "it is linked to its template again".to_owned(),
        Outcome::SetAside(path) => format!("it is now in {}", path.display()),
        Outcome::Left(error) => format!("it is left as it is: {}", offshoot::with_causes(error)),
        _ => "something was done".to_owned(),
    }
}

#[derive(Serialize)]
pub(crate) struct ReportJson<'a> {
    version: u32,
    checked: usize,
    findings: Vec<FindingJson<'a>>,
    /// What was done, where something was to be.
    mended: Vec<MendedJson<'a>>,
    /// How much is wrong after that.
    left: usize,
}

#[derive(Serialize)]
struct MendedJson<'a> {
    subject: &'a Subject,
    path: &'a Path,
    outcome: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantine: Option<&'a Path>,
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

pub(crate) fn json<'a>(report: &'a Report, mended: &'a [Mended], left: usize) -> ReportJson<'a> {
    ReportJson {
        version: 1,
        checked: report.checked,
        findings: report.findings.iter().map(finding).collect(),
        mended: mended.iter().map(mended_json).collect(),
        left,
    }
}

fn mended_json(mended: &Mended) -> MendedJson<'_> {
    let (outcome, quarantine) = match &mended.outcome {
        Outcome::ModeSet => ("mode_set", None),
        Outcome::Forgotten => ("forgotten", None),
        Outcome::FetchedAgain => ("fetched_again", None),
        Outcome::BuiltAgain => ("built_again", None),
        Outcome::LinkedAgain => ("linked_again", None),
        Outcome::SetAside(path) => ("set_aside", Some(path.as_path())),
        _ => ("left", None),
    };
    let message = done(&mended.outcome);
    MendedJson { subject: &mended.subject, path: &mended.path, outcome, message, quarantine }
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
