use super::glob::Glob;

/// What of a build's context does not get to the build: the patterns of a `.dockerignore` or `.containerignore`.
///
/// Versions of buildah differ in what a pattern says of what lies below a directory that it fits. What any of
/// them might use is not ignored here: a context that seems changed is only built once more.
#[derive(Debug, Default)]
pub(super) struct IgnoreRules {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// `!`: what it fits is not ignored after all.
    exception: bool,
    glob: Glob,
    /// How many names the pattern has.
    depth: usize,
}

impl IgnoreRules {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        let mut rules = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')).map(str::trim) {
            let (exception, pattern) = match line.strip_prefix('!') {
                Some(pattern) => (true, pattern.trim()),
                None => (false, line),
            };
            let Some(pattern) = clean(pattern) else { continue };
            let depth = pattern.split('/').count();
            match Glob::parse(&pattern) {
                Some(glob) => rules.push(Rule { exception, glob, depth }),
                // buildah will say what it thinks of it.
                None => return Self::default(),
            }
        }
        Self { rules }
    }

    /// Whether whatever lies below an ignored directory is ignored, too.
    pub(super) fn ignores_whole_directories(&self) -> bool {
        self.rules.iter().all(|rule| !rule.exception)
    }

    /// Whether a path, seen from the context, is ignored; the last pattern that fits decides.
    pub(super) fn ignores(&self, path: &str) -> bool {
        let fits = |rule: &Rule| {
            rule.glob.fits(path)
                || path.match_indices('/').enumerate().any(|(number, (end, _))| {
                    // An exception for a directory is one for all below; other patterns fit only as deep as they go.
                    (rule.exception || number + 1 == rule.depth) && rule.glob.fits(&path[..end])
                })
        };
        self.rules.iter().rev().find(|rule| fits(rule)).is_some_and(|rule| !rule.exception)
    }
}

/// A pattern without `.`, `..`, double and outer slashes; `None` for one that fits nothing.
fn clean(pattern: &str) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for name in pattern.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_pattern_decides() {
        for (text, ignored, kept) in [
            ("", vec![], vec!["a", "a/b"]),
            ("# a\n\n  b  \r\n", vec!["b", "b/c"], vec!["a", "# a"]),
            ("/a/\n./c//d", vec!["a", "a/b", "c/d", "c/d/e"], vec!["c", "x/a"]),
            ("*\n!keep", vec!["a", "a/b"], vec!["keep", "keep/x", "keep/x/y"]),
            ("*.md\n!README.md\n", vec!["a.md"], vec!["README.md", "d/a.md"]),
            ("!a\na", vec!["a", "a/b"], vec!["b"]),
            ("**/node_modules", vec!["node_modules", "x/node_modules"], vec!["x"]),
            // Only some versions ignore these.
            ("**/x\n!y", vec!["a/x"], vec!["a/b/x/f", "y"]),
            ("*\n!**/keep", vec!["a"], vec!["a/b/keep/f", "keep"]),
            ("x/../y", vec!["y"], vec!["x"]),
            ("..", vec![], vec!["a"]),
            // A file that buildah would refuse ignores nothing.
            ("a\n[", vec![], vec!["a"]),
            ("\u{feff}a", vec!["a"], vec!["b"]),
        ] {
            let rules = IgnoreRules::parse(text);
            for path in ignored {
                assert!(rules.ignores(path), "{text:?} {path}");
            }
            for path in kept {
                assert!(!rules.ignores(path), "{text:?} {path}");
            }
            assert_eq!(rules.ignores_whole_directories(), !text.contains('!'));
        }
    }
}
