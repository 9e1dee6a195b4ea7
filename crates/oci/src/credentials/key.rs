/// What names a registry, or a repository in it, in files of credentials.
///
/// podman writes `registry.example.com` and `registry.example.com/team/app`, Docker `registry.example.com` and, for
/// itself, `https://index.docker.io/v1/`; older Dockers wrote URLs for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    host: String,
    /// Empty for all of the registry.
    path: String,
}

/// What Docker calls its own registry, in files and to helpers.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

impl Key {
    /// For a repository; an empty path stands for all of the registry.
    pub(crate) fn new(host: &str, path: &str) -> Self {
        Self { host: canonical(host), path: path.to_owned() }
    }

    /// As it stands in a file.
    pub(crate) fn parse(text: &str) -> Self {
        let without_scheme = ["https://", "http://"].iter().find_map(|scheme| text.strip_prefix(scheme));
        let (host, path) = match without_scheme {
            // Of a URL, only the host counts: its path is the API's.
            Some(rest) => (rest.split('/').next().unwrap_or_default(), ""),
            None => text.trim_end_matches('/').split_once('/').unwrap_or((text.trim_end_matches('/'), "")),
        };
        let path = if matches!(path, "v1" | "v2") { "" } else { path };
        Self::new(host, path)
    }

    /// How well an entry of a file fits this repository: the longer its path the better. `None` if it does not.
    pub(crate) fn fit(&self, entry: &str) -> Option<usize> {
        let entry = Self::parse(entry);
        let below = || {
            self.path.strip_prefix(&entry.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        (entry.host == self.host && (entry.path.is_empty() || below())).then_some(entry.path.len())
    }

    /// Whether an entry of a file is for exactly this.
    pub(crate) fn is(&self, entry: &str) -> bool {
        Self::parse(entry) == *self
    }

    /// As Docker and its helpers know it.
    pub(crate) fn server(&self) -> String {
        match (self.host.as_str(), self.path.as_str()) {
            ("docker.io", "") => DOCKER_HUB.to_owned(),
            (host, "") => host.to_owned(),
            (host, path) => format!("{host}/{path}"),
        }
    }

    /// All of the registry.
    pub(crate) fn registry(&self) -> Self {
        Self { host: self.host.clone(), path: String::new() }
    }
}

fn canonical(host: &str) -> String {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        other => other.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_entries_fit() {
        let fit = |host, path, entry| Key::new(host, path).fit(entry);
        for (host, path, entry, expected) in [
            ("registry.example.com", "team/app", "registry.example.com", Some(0)),
            ("registry.example.com", "team/app", "registry.example.com/", Some(0)),
            ("registry.example.com", "team/app", "registry.example.com/team", Some(4)),
            ("registry.example.com", "team/app", "registry.example.com/team/app", Some(8)),
            ("registry.example.com", "team/app", "registry.example.com/team/ap", None),
            ("registry.example.com", "team/app", "registry.example.com/other", None),
            ("registry.example.com", "team", "registry.example.com/team/app", None),
            ("registry.example.com", "team", "https://registry.example.com/v1/", Some(0)),
            ("registry.example.com", "team", "https://registry.example.com", Some(0)),
            ("registry.example.com", "team", "http://registry.example.com/v2/", Some(0)),
            ("registry.example.com", "team", "registry.example.com/v2", Some(0)),
            ("registry.example.com", "team", "REGISTRY.example.com", Some(0)),
            ("registry.example.com", "team", "registry.example.com:443", None),
            ("registry.example.com:5000", "team", "registry.example.com", None),
            ("registry.example.com:5000", "team", "registry.example.com:5000", Some(0)),
            ("docker.io", "library/alpine", "https://index.docker.io/v1/", Some(0)),
            ("docker.io", "library/alpine", "docker.io", Some(0)),
            ("docker.io", "library/alpine", "index.docker.io", Some(0)),
            ("docker.io", "library/alpine", "docker.io/library", Some(7)),
            ("registry-1.docker.io", "library/alpine", "https://index.docker.io/v1/", Some(0)),
            ("docker.io", "library/alpine", "example.com", None),
            ("docker.io", "library/alpine", "", None),
        ] {
            assert_eq!(fit(host, path, entry), expected, "{host} {path} {entry}");
        }
        assert_eq!(Key::new("docker.io", "").server(), DOCKER_HUB);
        assert!(Key::new("docker.io", "").is(DOCKER_HUB));
        assert!(!Key::new("docker.io", "").is("docker.io/library"));
    }
}
