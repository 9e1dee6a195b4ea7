use std::path::Path;

use offshoot::{Probe, ProbeState};
use serde::Serialize;

use crate::arguments::{Arguments, Format};
use crate::exit::Error;
use crate::render::table::Table;
use crate::{render, session};

#[derive(Serialize)]
struct DiagnosisJson<'a> {
    version: u32,
    usable: bool,
    strategy: Option<&'a str>,
    probes: Vec<ProbeJson<'a>>,
}

#[derive(Serialize)]
struct ProbeJson<'a> {
    name: &'a str,
    state: &'a str,
    found: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    advice: &'a str,
}

pub(super) fn run(arguments: &Arguments, resize2fs: &Path) -> Result<(), Error> {
    let diagnosis = offshoot::diagnose(&session::directory(arguments)?, resize2fs);
    let strategy = diagnosis.strategy.map(|strategy| strategy.to_string());
    match arguments.format {
        Format::Json => render::print_json(&DiagnosisJson {
            version: 1,
            usable: diagnosis.is_usable(),
            strategy: strategy.as_deref(),
            probes: diagnosis.probes.iter().map(json).collect(),
        })?,
        Format::Plain => {
            let mut table = Table::new(&["STATE", "WHAT", "FOUND", "MEANS"], &[]);
            for probe in &diagnosis.probes {
                let state = probe.state.as_str().to_owned();
                let found = probe.found.replace(char::is_control, " ");
                table.row([state, probe.name.to_owned(), found, probe.advice.to_owned()]);
            }
            if let Some(strategy) = strategy {
                let row = ["ok", "strategy", strategy.as_str(), "how clones are made unless one is named"];
                table.row(row.map(str::to_owned));
            }
            render::print(&table.render())?;
        }
    }
    let unusable = diagnosis.probes.iter().find(|probe| probe.state == ProbeState::Unusable);
    unusable.map_or(Ok(()), |probe| Err(Error::Unusable { what: probe.name, found: probe.found.clone() }))
}

fn json(probe: &Probe) -> ProbeJson<'_> {
    ProbeJson { name: probe.name, state: probe.state.as_str(), found: &probe.found, advice: probe.advice }
}
