use offshoot::{Depth, VerifyOptions};

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
    match arguments.format {
        Format::Plain => render::print(&findings::plain(&report))?,
        Format::Json => render::print_json(&findings::json(&report))?,
    }
    if !report.findings.is_empty() {
        return Err(Error::Findings(report.findings.len()));
    }
    if !arguments.quiet {
        say(&format!("offshoot: {} things verified, nothing wrong", report.checked));
    }
    Ok(())
}
