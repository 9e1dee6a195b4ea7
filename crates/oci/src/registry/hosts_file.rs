use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};
use ureq::http::{HeaderName, HeaderValue};

use super::certificates::HostCertificates;
use super::url::{Url, UrlProblem};
use crate::Error;
use crate::bounded_file;

/// The file within a registry's directory.
const NAME: &str = "hosts.toml";

/// What containerd's `hosts.toml` says of a registry: its mirrors in order, and the registry itself.
#[derive(Debug, Default)]
pub(crate) struct HostsFile {
    pub(crate) mirrors: Vec<HostEntry>,
    /// None: the registry is what its name says.
    pub(crate) server: Option<HostEntry>,
}

/// One host of a `hosts.toml`.
#[derive(Debug)]
pub(crate) struct HostEntry {
    /// With its `/v2`.
    pub(crate) url: Url,
    pub(crate) resolves: bool,
    pub(crate) pulls: bool,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) certificates: HostCertificates,
}

/// Why a `hosts.toml` is of no use. What stands in it is not shown: headers may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostsProblem {
    /// Not TOML, or a field of another kind.
    #[error("it is not of containerd's form{}", line.map(|line| format!(", at line {line}")).unwrap_or_default())]
    Form {
        /// Counted from 1, where it is known.
        line: Option<usize>,
    },
    /// A host that is not one.
    #[error("it names a host that cannot be asked")]
    Url(#[source] UrlProblem),
    /// A header that cannot be sent.
    #[error("its header {0:?} is not one")]
    Header(String),
}

#[derive(Debug, Default, Deserialize)]
struct Fields {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMore>,
    client: Option<Clients>,
    skip_verify: Option<bool>,
    override_path: Option<bool>,
    header: Option<Table>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Clients {
    /// A file with both certificate and key.
    One(String),
    /// Files with both, or pairs.
    More(Vec<OneOrMore>),
}

impl HostsFile {
    /// What lies in a registry's directory, if there is such a file.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(NAME);
        let Some(bytes) = bounded_file::read_if_there(&path)? else { return Ok(None) };
        let failed = |problem| Error::HostsFile { path: path.clone(), problem };
        let text = String::from_utf8(bytes).map_err(|_| failed(HostsProblem::Form { line: None }))?;
        let table: Table = toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1);
            failed(HostsProblem::Form { line })
        })?;
        let form = || failed(HostsProblem::Form { line: None });
        let mut file = Self::default();
        let hosts = match table.get("host") {
            None => None,
            Some(hosts) => Some(hosts.as_table().ok_or_else(form)?),
        };
        for (name, fields) in hosts.into_iter().flatten() {
            file.mirrors.push(entry(name, fields.clone(), directory).map_err(|error| error.of(&path))?);
        }
        let server = match table.get("server") {
            None => None,
            Some(server) => Some(server.as_str().ok_or_else(form)?.to_owned()),
        };
        if let Some(server) = server.filter(|server| !server.is_empty()) {
            let own = entry(&server, Value::Table(table), directory).map_err(|error| error.of(&path))?;
            file.server = Some(own);
        }
        Ok(Some(file))
    }
}

/// Something about the file itself, or about another that it names.
enum EntryError {
    Problem(HostsProblem),
    Other(Error),
}

impl EntryError {
    fn of(self, path: &Path) -> Error {
        match self {
            Self::Problem(problem) => Error::HostsFile { path: path.to_owned(), problem },
            Self::Other(error) => error,
        }
    }
}

fn entry(name: &str, fields: Value, directory: &Path) -> Result<HostEntry, EntryError> {
    let form = || EntryError::Problem(HostsProblem::Form { line: None });
    let fields: Fields = fields.try_into().map_err(|_| form())?;
    let full = if name.contains("://") { name.to_owned() } else { format!("https://{name}") };
    let given = Url::parse(&full).map_err(|problem| EntryError::Problem(HostsProblem::Url(problem)))?;
    let is_whole = fields.override_path == Some(true) || given.path().trim_end_matches('/').ends_with("/v2");
    let url = if is_whole { given } else { given.child("v2") };
    let can = |capability| match &fields.capabilities {
        Some(capabilities) => capabilities.iter().any(|own| own == capability),
        None => true,
    };
    let (resolves, pulls) = (can("resolve"), can("pull"));
    let mut certificates =
        HostCertificates { skip_verify: fields.skip_verify.unwrap_or_default(), ..Default::default() };
    let authorities = match fields.ca {
        None => Vec::new(),
        Some(OneOrMore::One(file)) => vec![file],
        Some(OneOrMore::More(files)) => files,
    };
    for file in authorities {
        certificates.add_authorities(&directory.join(file)).map_err(EntryError::Other)?;
    }
    if let Some((certificate, key)) = first_client(fields.client).ok_or_else(form)? {
        let (certificate, key) = (directory.join(certificate), directory.join(key));
        certificates.set_client(&certificate, &key).map_err(EntryError::Other)?;
    }
    let mut headers = Vec::new();
    for (name, values) in fields.header.into_iter().flatten() {
        let values = match values {
            Value::String(value) => vec![value],
            Value::Array(values) => {
                let texts = values.into_iter().map(|value| value.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(form)?
            }
            _ => return Err(form()),
        };
        for value in values {
            let header = name.parse::<HeaderName>().ok().zip(HeaderValue::from_str(&value).ok());
            let Some((header, mut value)) = header else {
                return Err(EntryError::Problem(HostsProblem::Header(name)));
            };
            value.set_sensitive(true);
            headers.push((header, value));
        }
    }
    Ok(HostEntry { url, resolves, pulls, headers, certificates })
}

/// The first client's certificate and key; more than one cannot be used. `None` if they are not such.
fn first_client(clients: Option<Clients>) -> Option<Option<(PathBuf, PathBuf)>> {
    let both = |file: String| (PathBuf::from(&file), PathBuf::from(file));
    let first = match clients {
        None => return Some(None),
        Some(Clients::One(file)) => return Some(Some(both(file))),
        Some(Clients::More(several)) => several.into_iter().next(),
    };
    match first {
        None => Some(None),
        Some(OneOrMore::One(file)) => Some(Some(both(file))),
        Some(OneOrMore::More(pair)) => match <[String; 2]>::try_from(pair) {
            Ok([certificate, key]) if key.is_empty() => Some(Some(both(certificate))),
            Ok([certificate, key]) => Some(Some((certificate.into(), key.into()))),
            Err(pair) => match <[String; 1]>::try_from(pair) {
                Ok([file]) => Some(Some(both(file))),
                Err(_) => None,
            },
        },
    }
}

/// Docker's files of certificates: every `.crt` is an authority, the first `.cert` a client's certificate, whose key
/// is beside it. They count where there is no `hosts.toml`, as containerd has it.
pub(crate) fn read_certificates(directory: &Path, certificates: &mut HostCertificates) -> Result<(), Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            return Ok(());
        }
        Err(error) => return Err(Error::io("read", directory)(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(Error::io("read", directory))?.path());
    }
    paths.sort();
    let with = |extension: &'static str| {
        paths.iter().filter(move |path| path.extension().is_some_and(|own| own == extension))
    };
    for path in with("crt") {
        certificates.add_authorities(path)?;
    }
    if let Some(certificate) = with("cert").next().filter(|_| certificates.client.is_none()) {
        certificates.set_client(certificate, &certificate.with_extension("key"))?;
    }
    Ok(())
}
