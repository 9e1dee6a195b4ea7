use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What an image is made for: an operating system, an architecture and, for some, its variant.
///
/// Always in the normal form that containerd and Docker use, with Go's names: `aarch64` and `arm64/v8` are
/// `arm64`, `x86_64` is `amd64`, `arm` is `arm/v7`. So equal platforms are the same platform.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

/// A text that is not a [`Platform`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a platform of the form os/architecture[/variant], such as linux/amd64")]
pub struct PlatformError(String);

impl Platform {
    /// A platform of its parts, brought to normal form; an empty variant is none.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Result<Self, PlatformError> {
        let variant = variant.filter(|variant| !variant.is_empty());
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        };
        if ![Some(os), Some(architecture), variant].into_iter().flatten().all(is_part) {
            let parts = [os, architecture].into_iter().chain(variant).collect::<Vec<_>>();
            return Err(PlatformError(parts.join("/")));
        }
        let (architecture, variant) = normalize(
            &architecture.to_ascii_lowercase(),
            variant.map(str::to_ascii_lowercase).as_deref().unwrap_or_default(),
        );
        let os = match os.to_ascii_lowercase() {
            macos if macos == "macos" => "darwin".to_owned(),
            os => os,
        };
        Ok(Self { os, architecture, variant })
    }

    /// What a microVM on this host runs: Linux on the host's architecture.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        let (architecture, variant) = normalize(architecture, "");
        Self { os: "linux".to_owned(), architecture, variant }
    }

    /// The operating system, as Go names it.
    pub fn os(&self) -> &str {
        &self.os
    }

    /// The architecture, as Go names it.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant, where it is not the architecture's usual one.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Whether an image for `available` runs where this is wanted: the same system and architecture, and the
    /// same variant or one that this one includes, as `arm/v7` includes `arm/v6` and `amd64/v3` `amd64`.
    pub fn accepts(&self, available: &Self) -> bool {
        self.distance(available).is_some()
    }

    /// How far an acceptable platform is from the wanted one, 0 if it is the same.
    pub(crate) fn distance(&self, available: &Self) -> Option<u32> {
        if self == available {
            return Some(0);
        }
        if self.os != available.os || self.architecture != available.architecture {
            return None;
        }
        let (wanted, available) = (self.version()?, available.version()?);
        (wanted > available).then(|| {
            let steps = |(major, minor): (u8, u8)| u32::from(major) * 256 + u32::from(minor);
            steps(wanted) - steps(available)
        })
    }

    /// The variant as a number, for the architectures whose variants include the lower ones.
    fn version(&self) -> Option<(u8, u8)> {
        let baseline = match self.architecture.as_str() {
            "amd64" => "v1",
            "arm64" => "v8",
            "arm" => "v7",
            _ => return None,
        };
        let version = self.variant.as_deref().unwrap_or(baseline).strip_prefix('v')?;
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        Some((major.parse().ok()?, minor.parse().ok()?))
    }
}

fn normalize(architecture: &str, variant: &str) -> (String, Option<String>) {
    let (architecture, variant) = match (architecture, variant) {
        ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        ("ppc64el" | "powerpc64le", variant) => ("ppc64le", variant),
        ("loongarch64", variant) => ("loong64", variant),
        other => other,
    };
    (architecture.to_owned(), Some(variant).filter(|variant| !variant.is_empty()).map(str::to_owned))
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let malformed = || PlatformError(text.to_owned());
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [os, architecture] => Self::new(os, architecture, None),
            [os, architecture, variant] if !variant.is_empty() => Self::new(os, architecture, Some(variant)),
            _ => Err(malformed()),
        }
        .map_err(|_| malformed())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Platform {
    type Error = PlatformError;

    fn try_from(text: String) -> Result<Self, PlatformError> {
        text.parse()
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> Self {
        platform.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_for_each_platform() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/X86_64", "linux/amd64"),
            ("linux/x86-64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm64/8", "linux/arm64"),
            ("linux/arm64/v8.2", "linux/arm64/v8.2"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/i686", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("linux/riscv64", "linux/riscv64"),
            ("linux/ppc64el", "linux/ppc64le"),
        ] {
            let platform: Platform = text.parse().unwrap();
            assert_eq!(platform.to_string(), expected);
            assert_eq!(expected.parse(), Ok(platform));
        }
        for text in
            ["", "linux", "amd64", "linux/", "/amd64", "linux/amd64/", "linux/a/b/c", "linux/a md64", "é/x"]
        {
            assert_eq!(text.parse::<Platform>(), Err(PlatformError(text.to_owned())));
        }
        assert_eq!(Platform::host().to_string().parse(), Ok(Platform::host()));
    }

    #[test]
    fn accepts_the_same_and_what_it_includes() {
        for (wanted, available, expected) in [
            ("linux/amd64", "linux/amd64", Some(0)),
            ("linux/amd64", "linux/arm64", None),
            ("linux/amd64", "windows/amd64", None),
            ("linux/amd64", "linux/386", None),
            ("linux/amd64", "linux/amd64/v2", None),
            ("linux/amd64/v3", "linux/amd64/v2", Some(256)),
            ("linux/amd64/v3", "linux/amd64", Some(512)),
            ("linux/arm/v7", "linux/arm/v6", Some(256)),
            ("linux/arm/v6", "linux/arm/v7", None),
            ("linux/arm64/v9", "linux/arm64", Some(256)),
            ("linux/arm64/v8.2", "linux/arm64/v8.1", Some(1)),
            ("linux/mips64le/hardfloat", "linux/mips64le/softfloat", None),
        ] {
            let distance = wanted.parse::<Platform>().unwrap().distance(&available.parse().unwrap());
            assert_eq!(distance, expected, "{wanted} {available}");
        }
    }
}
