use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use offshoot_store::Durability;
use serde_json::{Map, Value, json};

use super::key::Key;
use super::{Credentials, CredentialsError, Secret};
use crate::Error;
use crate::bounded_file;

/// A file of credentials: Docker's `config.json`, or podman's `auth.json` (containers-auth.json(5)), which is a part
/// of it. What is not known of it is kept as it is.
#[derive(Debug)]
pub(crate) struct AuthFile {
    pub(crate) path: PathBuf,
    document: Map<String, Value>,
}

impl AuthFile {
    /// Reads it, if it is there.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, CredentialsError> {
        let failed = |source| CredentialsError::File { operation: "read", path: path.to_owned(), source };
        let bytes = match bounded_file::read_if_there(path) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(Error::Io { source, .. }) => return Err(failed(source)),
            Err(other) => return Err(failed(io::Error::other(other))),
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Some(Self::empty(path)));
        }
        // The message of a parser may quote what it met.
        let form = |problem: String| CredentialsError::Form { path: path.to_owned(), problem };
        let document = serde_json::from_slice(&bytes).map_err(|error| {
            form(format!("it is not a JSON object, at line {} column {}", error.line(), error.column()))
        })?;
        Ok(Some(Self { path: path.to_owned(), document }))
    }

    /// One that is yet to be written.
    pub(crate) fn empty(path: &Path) -> Self {
        Self { path: path.to_owned(), document: Map::new() }
    }

    /// The helper that `credHelpers` names for a repository, and what it is to be asked for.
    pub(crate) fn own_helper(&self, key: &Key) -> Option<(String, String)> {
        let (entry, name) = best(self.object("credHelpers"), key)?;
        let name = name.as_str().filter(|name| !name.is_empty())?;
        Some((name.to_owned(), Key::parse(entry).server()))
    }

    /// The helper that `credsStore` names for all registries, and what it is to be asked for.
    pub(crate) fn common_helper(&self, key: &Key) -> Option<(String, String)> {
        let name = self.document.get("credsStore")?.as_str().filter(|name| !name.is_empty())?;
        Some((name.to_owned(), key.registry().server()))
    }

    /// What `auths` has for a repository. An entry without anything in it says only that a helper has it.
    pub(crate) fn credentials(&self, key: &Key) -> Result<Option<Credentials>, CredentialsError> {
        let Some((name, entry)) = best(self.object("auths").filter(|(_, entry)| !is_empty(entry)), key)
        else {
            return Ok(None);
        };
        let found = parse(entry).ok_or_else(|| CredentialsError::Form {
            path: self.path.clone(),
            problem: format!("its entry for {name:?} has neither a user's name and password nor a token"),
        })?;
        Ok(Some(found))
    }

    /// Whether it has an entry for exactly this, of any kind.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.object("auths").chain(self.object("credHelpers")).any(|(entry, _)| key.is(entry))
    }

    /// Puts credentials in, or, without any, the mark that a helper has them.
    pub(crate) fn set(&mut self, key: &Key, credentials: Option<&Credentials>) {
        self.remove(key);
        let entry = match credentials {
            None => json!({}),
            Some(Credentials::Password { user, password }) => {
                json!({"auth": STANDARD.encode(format!("{user}:{}", password.reveal()))})
            }
            Some(Credentials::IdentityToken { user, token }) => {
                let auth = STANDARD.encode(format!("{}:", user.as_deref().unwrap_or_default()));
                json!({"auth": auth, "identitytoken": token.reveal()})
            }
            Some(Credentials::RegistryToken(token)) => json!({"registrytoken": token.reveal()}),
        };
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        if !auths.is_object() {
            *auths = json!({});
        }
        if let Value::Object(auths) = auths {
            auths.insert(key.server(), entry);
        }
    }

    /// Takes all entries for exactly this out of `auths`; whether there were any.
    pub(crate) fn remove(&mut self, key: &Key) -> bool {
        let Some(Value::Object(auths)) = self.document.get_mut("auths") else { return false };
        let before = auths.len();
        auths.retain(|entry, _| !key.is(entry));
        auths.len() < before
    }

    /// Replaces the file at once and for good; only its owner may read it.
    pub(crate) fn write(&self) -> Result<(), CredentialsError> {
        let failed =
            |operation| move |source| CredentialsError::File { operation, path: self.path.clone(), source };
        let mut text =
            serde_json::to_string_pretty(&self.document).map_err(io::Error::from).map_err(failed("write"))?;
        text.push('\n');
        // Whoever keeps the file elsewhere and a link in its place keeps the link.
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("make the directory of"))?;
        let staged = tempfile::Builder::new()
            .prefix(".offshoot-")
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(directory)
            .map_err(failed("make a file beside"))?;
        staged.as_file().write_all(text.as_bytes()).map_err(failed("write"))?;
        staged.as_file().sync_all().map_err(failed("sync"))?;
        staged.persist(&target).map_err(|error| failed("replace")(error.error))?;
        Durability::Durable
            .sync_directory(directory)
            .map_err(|error| failed("sync the directory of")(io::Error::other(error)))
    }

    fn object(&self, field: &str) -> impl Iterator<Item = (&str, &Value)> {
        let object = self.document.get(field).and_then(Value::as_object);
        object.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }
}

/// The entry with the longest path that fits.
fn best<'a>(entries: impl Iterator<Item = (&'a str, &'a Value)>, key: &Key) -> Option<(&'a str, &'a Value)> {
    let fitting = entries.filter_map(|(name, value)| Some((key.fit(name)?, name, value)));
    fitting.max_by_key(|(fit, ..)| *fit).map(|(_, name, value)| (name, value))
}

/// Whether an entry has none of the fields that count.
fn is_empty(entry: &Value) -> bool {
    ["auth", "username", "password", "identitytoken", "registrytoken"]
        .iter()
        .all(|field| text(entry, field).is_none())
}

fn text<'a>(entry: &'a Value, field: &str) -> Option<&'a str> {
    entry.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn parse(entry: &Value) -> Option<Credentials> {
    let auth = match text(entry, "auth") {
        Some(auth) => {
            let decoded = STANDARD.decode(auth.trim()).ok()?;
            let decoded = String::from_utf8(decoded).ok()?;
            let (user, password) = decoded.split_once(':')?;
            // Old Dockers padded with zeros.
            Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
        }
        None => text(entry, "username")
            .map(|user| (user.to_owned(), text(entry, "password").unwrap_or_default().to_owned())),
    };
    if let Some(token) = text(entry, "registrytoken") {
        return Some(Credentials::RegistryToken(Secret::new(token)));
    }
    if let Some(token) = text(entry, "identitytoken") {
        let user = auth.map(|(user, _)| user).filter(|user| !user.is_empty());
        return Some(Credentials::IdentityToken { user, token: Secret::new(token) });
    }
    let (user, password) = auth.filter(|(user, password)| !user.is_empty() && !password.is_empty())?;
    Some(Credentials::password(user, password))
}
