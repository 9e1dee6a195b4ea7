use offshoot::{Depth, ErrorKind, PullPolicy, Report, VerifyOptions};

use crate::arguments::{Arguments, Format, VerifyArguments};
use crate::exit::{Error, say};
use crate::render::{self, findings};
use crate::session;

pub(super) fn run(arguments: &Arguments, verify: &VerifyArguments) -> Result<(), Error> {
    let store = session::store(arguments)?;
    let reporter = session::reporter(arguments)?;
    let depth = if verify.quick { Depth::Quick } else { Depth::Full };
    let options = VerifyOptions { depth, names: verify.names.clone() };
    let report = store.verify(&options, &reporter)?;
    let mut left = report.findings.len();
    let mut mended = Vec::new();
    if verify.repair && left > 0 {
        let pull = session::pull_options(arguments, &reporter, &verify.source, PullPolicy::Missing);
        mended = store.repair(&report, &pull, &reporter)?;
    }
    // It is right when it looks right.
    let again = || match store.verify(&options, &reporter) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Report::default()),
        again => again,
    };
    if verify.quarantine && left > 0 {
        mended.extend(store.quarantine(&again()?)?);
    }
    if !mended.is_empty() {
        left = again()?.findings.len();
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
