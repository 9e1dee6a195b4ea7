use std::ffi::OsStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use offshoot::{Credentials, CredentialsFormError};

/// Reads `USER:PASSWORD`; what it cannot read it does not repeat, as clap's own parsers would.
#[derive(Clone, Debug)]
pub(crate) struct CredsParser;

impl TypedValueParser for CredsParser {
    type Value = Credentials;

    fn parse_ref(
        &self,
        command: &Command,
        _: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Credentials, clap::Error> {
        value
            .to_str()
            .ok_or(CredentialsFormError)
            .and_then(str::parse)
            .map_err(|error| command.clone().error(ErrorKind::InvalidValue, format!("--creds: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::arguments::Arguments;

    #[test]
    fn what_may_be_a_password_is_not_repeated() {
        for creds in ["hunter2", "hunter2:", ":hunter2"] {
            let error =
                Arguments::try_parse_from(["offshoot", "pull", "alpine", "--creds", creds]).unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("USER:PASSWORD") && !text.contains("hunter2"), "{text}");
            assert_eq!(error.exit_code(), 2);
        }
        let arguments =
            Arguments::try_parse_from(["offshoot", "pull", "alpine", "--creds", "me:hunter2"]).unwrap();
        assert!(!format!("{arguments:?}").contains("hunter2"));
    }
}
