use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::auth_file::AuthFile;
use super::helper::Helper;
use super::key::Key;
use super::{Credentials, CredentialsError, Environment};
use crate::registry::Watch;

/// Where credentials are looked for, in order.
#[derive(Clone)]
pub(crate) struct Keychain {
    files: Files,
    path: Option<OsString>,
    limit: Duration,
    watch: Arc<dyn Watch>,
}

#[derive(Clone, Debug)]
enum Files {
    /// The one that was named; it must be there to be read.
    Only(PathBuf),
    /// Those that are there, in this order; the last is Docker's.
    Usual(Vec<PathBuf>),
}

/// Where credentials were kept, or taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeptIn {
    /// In a file.
    File(PathBuf),
    /// By the program `docker-credential-NAME`, which the file names.
    Helper {
        /// `NAME`
        name: String,
        /// The file.
        file: PathBuf,
    },
}

impl Keychain {
    pub(crate) fn new(
        named: Option<&PathBuf>,
        environment: &Environment,
        limit: Duration,
        watch: &Arc<dyn Watch>,
    ) -> Self {
        let files = match named.or(environment.registry_auth_file.as_ref()) {
            Some(file) => Files::Only(file.clone()),
            None => {
                let below =
                    |directory: &Option<PathBuf>, name: &str| directory.as_ref().map(|own| own.join(name));
                let files = [
                    below(&environment.runtime_directory, "containers/auth.json"),
                    below(&environment.config_directory, "containers/auth.json"),
                    below(&environment.docker_directory, "config.json"),
                ];
                Files::Usual(files.into_iter().flatten().collect())
            }
        };
        Self { files, path: environment.path.clone(), limit, watch: Arc::clone(watch) }
    }

    /// The first credentials that fit a repository.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<Credentials>, CredentialsError> {
        for file in self.read_all(true)? {
            // A helper of the registry's own decides for the file; one for all registries may not know this one.
            let own = file.own_helper(key);
            let exclusive = own.is_some();
            if let Some((name, server)) = own.or_else(|| file.common_helper(key))
                && let Some(found) = self.helper(&file, &name).get(&server)?
            {
                return Ok(Some(found));
            }
            if !exclusive && let Some(found) = file.credentials(key)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Keeps credentials for a registry, in the file that has some for it, or in the one that was named, or in
    /// Docker's; or by the helper that this file names.
    pub(crate) fn keep(&self, key: &Key, credentials: &Credentials) -> Result<KeptIn, CredentialsError> {
        let home = match &self.files {
            Files::Only(file) => file.clone(),
            Files::Usual(files) => files.last().cloned().ok_or(CredentialsError::NoFile)?,
        };
        let holder = self.read_all(false)?.into_iter().find(|file| file.has(key) || file.path == home);
        let mut file = holder.unwrap_or_else(|| AuthFile::empty(&home));
        let helper = file.own_helper(key).or_else(|| file.common_helper(key));
        let kept = match helper {
            Some((name, server)) => {
                self.helper(&file, &name).store(&server, credentials)?;
                file.set(key, None);
                KeptIn::Helper { name, file: file.path.clone() }
            }
            None => {
                file.set(key, Some(credentials));
                KeptIn::File(file.path.clone())
            }
        };
        file.write()?;
        Ok(kept)
    }

    /// Forgets a registry's credentials, wherever they are; says where they were.
    pub(crate) fn forget(&self, key: &Key) -> Result<Vec<KeptIn>, CredentialsError> {
        let mut forgotten = Vec::new();
        for mut file in self.read_all(false)? {
            let helper = file.own_helper(key).or_else(|| file.common_helper(key));
            if let Some((name, server)) = helper
                && self.helper(&file, &name).get(&server)?.is_some()
            {
                self.helper(&file, &name).erase(&server)?;
                forgotten.push(KeptIn::Helper { name, file: file.path.clone() });
            }
            let had = file.credentials(key)?.is_some() && file.has(key);
            if file.remove(key) {
                file.write()?;
                if had {
                    forgotten.push(KeptIn::File(file.path.clone()));
                }
            }
        }
        Ok(forgotten)
    }

    /// The files that are there. One that was named must be, to be read.
    fn read_all(&self, must_exist: bool) -> Result<Vec<AuthFile>, CredentialsError> {
        match &self.files {
            Files::Only(path) => match AuthFile::read(path)? {
                Some(file) => Ok(vec![file]),
                None if must_exist => {
                    let source = std::io::ErrorKind::NotFound.into();
                    Err(CredentialsError::File { operation: "read", path: path.clone(), source })
                }
                None => Ok(Vec::new()),
            },
            Files::Usual(paths) => paths.iter().filter_map(|path| AuthFile::read(path).transpose()).collect(),
        }
    }

    fn helper<'a>(&'a self, file: &'a AuthFile, name: &'a str) -> Helper<'a> {
        Helper {
            name,
            file: &file.path,
            path: self.path.as_deref(),
            limit: self.limit,
            watch: self.watch.as_ref(),
        }
    }
}
