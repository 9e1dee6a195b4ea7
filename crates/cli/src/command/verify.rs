use offshoot::{Depth, PullPolicy, Report, Store, Subject, VerifyOptions};

use crate::arguments::{Arguments, Format, VerifyArguments};
use crate::exit::{Error, say};
use crate::progress::Reporter;
use crate::render::{self, findings};
use crate::session;

pub(super) fn run(arguments: &Arguments, verify: &VerifyArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let reporter = session::reporter(arguments)?;
    let depth = if verify.quick { Depth::Quick } else { Depth::Full };
    let mut options = VerifyOptions { depth, names: verify.names.clone() };
    let report = store.verify(&options, &reporter)?;
    let mut left = report.findings.len();
    let mut mended = Vec::new();
    if verify.repair && left > 0 {
        let pull = session::pull_options(arguments, &reporter, &verify.source, PullPolicy::Missing);
        mended = store.repair(&report, &pull, &reporter)?;
    }
    if verify.quarantine && left > 0 {
        mended.extend(store.quarantine(&look_again(&store, &options, &reporter)?, &reporter)?);
    }
    if !mended.is_empty() {
        // It is right when it looks right, and so does what needs it.
        if !options.names.is_empty() {
            options
                .names
                .extend(report.findings.iter().flat_map(|finding| &finding.dependants).filter_map(name));
        }
        left = look_again(&store, &options, &reporter)?.findings.len();
    }
    match arguments.format {
        Format::Plain => render::print(&findings::plain(&report, &mended))?,
        Format::Json => render::print_json(&findings::json(&report, &mended, left))?,
    }
    if left > 0 {
        return Err(Error::Findings(left));
    }
    if !arguments.quiet {
        let what = if report.findings.is_empty() { "nothing wrong" } else { "all is right again" };
        say(&format!("offshoot: {} things verified, {what}", report.checked));
    }
    Ok(())
}

/// Looks at what is there still of what was named.
fn look_again(store: &Store, options: &VerifyOptions, reporter: &Reporter) -> Result<Report, Error> {
    let mut options = options.clone();
    loop {
        match store.verify(&options, reporter) {
            Err(offshoot::Error::NotFound { name, .. }) if options.names.contains(&name) => {
                options.names.retain(|named| *named != name);
                // No name at all would stand for everything.
                if options.names.is_empty() {
                    return Ok(Report::default());
                }
            }
            report => return Ok(report?),
        }
    }
}

/// What a thing is called on the command line.
fn name(subject: &Subject) -> Option<String> {
    match subject {
        Subject::Image(name) | Subject::Name(name) | Subject::Template(name) | Subject::Clone(name) => {
            Some(name.clone())
        }
        _ => None,
    }
}
