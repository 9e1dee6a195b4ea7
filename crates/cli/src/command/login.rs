use std::io::{self, Read};
use std::path::{Path, PathBuf};

use console::Term;
use offshoot::{Credentials, KeptIn, RegistryHost, RegistryOptions};

use crate::arguments::Arguments;
use crate::exit::{Error, say};
use crate::session;

/// More bytes than a password on standard input has.
const MAX_PASSWORD_BYTES: u64 = 64 * 1024;

pub(super) struct Login<'a> {
    pub(super) registry: &'a RegistryHost,
    pub(super) username: Option<&'a str>,
    pub(super) password_stdin: bool,
    pub(super) authfile: Option<&'a Path>,
    pub(super) plain_http: bool,
    pub(super) hosts_dir: &'a [PathBuf],
}

pub(super) fn login(arguments: &Arguments, login: &Login<'_>) -> Result<(), Error> {
    let reporter = session::reporter(arguments)?;
    let user = match login.username {
        Some(user) => user.to_owned(),
        None if login.password_stdin => return Err(Error::Prompt("--password-stdin needs --username")),
        None => ask("Username: ", Term::read_line)?,
    };
    let password = if login.password_stdin {
        password_from_stdin()?
    } else {
        ask("Password: ", Term::read_secure_line)?
    };
    if user.is_empty() || password.is_empty() {
        return Err(Error::Prompt("neither the username nor the password can be empty"));
    }
    let mut options = RegistryOptions {
        plain_http: login.plain_http,
        auth_file: login.authfile.map(Path::to_owned),
        ..session::registry_options(arguments, &reporter)
    };
    if !login.hosts_dir.is_empty() {
        options.host_directories = login.hosts_dir.to_vec();
    }
    let kept = offshoot::login(login.registry, &Credentials::password(user, password), &options)
        .map_err(offshoot::Error::from)?;
    if !arguments.quiet {
        say(&format!("offshoot: {} accepts them; they are kept {}", login.registry, place(&kept)));
    }
    Ok(())
}

pub(super) fn logout(
    arguments: &Arguments,
    registry: &RegistryHost,
    authfile: Option<&Path>,
) -> Result<(), Error> {
    let reporter = session::reporter(arguments)?;
    let auth_file = authfile.map(Path::to_owned);
    let options = RegistryOptions { auth_file, ..session::registry_options(arguments, &reporter) };
    let places = offshoot::logout(registry, &options).map_err(offshoot::Error::from)?;
    if !arguments.quiet {
        for kept in &places {
            say(&format!("offshoot: forgot those for {registry} that were kept {}", place(kept)));
        }
        if places.is_empty() {
            say(&format!("offshoot: none were kept for {registry}"));
        }
    }
    Ok(())
}

fn place(kept: &KeptIn) -> String {
    match kept {
        KeptIn::File(file) => format!("in {}", file.display()),
        KeptIn::Helper { name, file } => {
            format!("by docker-credential-{name}, which {} names", file.display())
        }
        _ => String::new(),
    }
}

/// Asks on the terminal.
fn ask(prompt: &str, read: fn(&Term) -> io::Result<String>) -> Result<String, Error> {
    let terminal = Term::stderr();
    if !terminal.is_term() {
        return Err(Error::Prompt("there is no terminal to ask on: use --username and --password-stdin"));
    }
    terminal.write_str(prompt).and_then(|()| read(&terminal)).map_err(Error::Output)
}

/// All of standard input but the line's end.
fn password_from_stdin() -> Result<String, Error> {
    let mut password = String::new();
    io::stdin()
        .take(MAX_PASSWORD_BYTES)
        .read_to_string(&mut password)
        .map_err(Error::file("read", "standard input"))?;
    if password.len() as u64 == MAX_PASSWORD_BYTES {
        return Err(Error::Prompt("the password on standard input has 64 KiB or more"));
    }
    Ok(password.trim_end_matches(['\r', '\n']).to_owned())
}
