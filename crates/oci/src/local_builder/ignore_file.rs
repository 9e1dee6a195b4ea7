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
    /// What every path begins with that it fits.
    start: String,
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
            let start = pattern.split(['*', '?', '[', '\\']).next().unwrap_or_default().to_owned();
            match Glob::parse(&pattern) {
                Some(glob) => rules.push(Rule { exception, glob, depth, start }),
                // buildah will say what it thinks of it.
                None => return Self::default(),
            }
        }
        Self { rules }
    }

    /// Whether a directory is ignored with whatever lies below: no exception can fit there.
    pub(super) fn ignores_all_of(&self, directory: &str) -> bool {
        // buildah looks into a directory for the sake of any exception that begins with its name.
        let reaches = |rule: &Rule| {
            rule.start.starts_with(directory) || format!("{directory}/").starts_with(&rule.start)
        };
        self.ignores(directory) && !self.rules.iter().any(|rule| rule.exception && reaches(rule))
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
        }
    }

    #[test]
    fn directories_that_need_no_look() {
        for (text, whole, looked_into) in [
            ("target", vec!["target"], vec!["a", "x/target"]),
            ("**/target\n!README.md", vec!["target", "src/target"], vec!["src"]),
            ("*\n!src/deep", vec!["a", "a/b"], vec!["src", "src/deep", "s"]),
            ("target\n!targets", vec![], vec!["target"]),
            ("*\n!**/keep", vec![], vec!["a", "b/c"]),
            ("*\n!k?ep", vec!["a"], vec!["keep", "k"]),
            ("!a\n**/b", vec!["x/b"], vec!["a/c/b"]),
        ] {
            let rules = IgnoreRules::parse(text);
            for path in whole {
                assert!(rules.ignores_all_of(path), "{text:?} {path}");
            }
            for path in looked_into {
                assert!(!rules.ignores_all_of(path), "{text:?} {path}");
            }
        }
    }

    /// What buildah copies of a context is the judge of what is ignored.
    #[test]
    fn nothing_is_ignored_that_buildah_copies() {
        use std::collections::BTreeSet;
        use std::fs;

        use offshoot_testkit::oracle;

        if !oracle::available(&["buildah", "tar"]) || !oracle::root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = [
            "a",
            "b.md",
            "README.md",
            ".git/config",
            "src/a",
            "src/deep/er/a",
            "src/deep/b.md",
            "src/target/x",
            "target/debug/x",
            "node_modules/m/i.js",
            "pkg/node_modules/m/i.js",
            "keep/x",
            "keep/not/x",
            "x y",
            "z[1]",
        ];
        for file in files {
            let file = path("context").join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
        fs::write(path("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
        for (text, exact) in [
            ("# nothing\n\n", true),
            ("a", true),
            ("/a\n./src/\n", true),
            ("*.md", true),
            ("**/*.md", true),
            ("**/node_modules", true),
            ("node_modules/**", true),
            ("**", true),
            ("*\n!keep", true),
            ("*\n!src/deep\n", true),
            ("*\n!**/a\n", false),
            ("*\n!src\nsrc/deep", true),
            ("target\n!targets", false),
            ("keep\n!keep/not\n", true),
            ("**/target\n!src/target", true),
            ("**/target\n!README.md", true),
            ("src/*/er", true),
            ("s?c\n[x-z]*\nb[.]md", true),
            ("z\\[1\\]", true),
            ("!a\na", true),
            ("src/../a", true),
            (" a \n  # b.md\n", true),
            (".*", true),
        ] {
            fs::write(path("ignore"), text).unwrap();
            let tar = path("out.tar");
            let mut build = oracle::command("buildah");
            build.arg("--root").arg(path("root")).arg("--runroot").arg(path("run"));
            build.args(["--storage-driver", "vfs", "build", "-q", "--isolation", "chroot"]);
            build.arg("--ignorefile").arg(path("ignore")).arg("--file").arg(path("Dockerfile"));
            build.arg("--output").arg(format!("type=tar,dest={}", tar.display())).arg(path("context"));
            oracle::run(&mut build);
            let listing = oracle::run(oracle::command("tar").arg("-tf").arg(&tar));
            let copied: BTreeSet<&str> =
                listing.lines().map(|line| line.trim_start_matches("./").trim_start_matches('/')).collect();
            let rules = IgnoreRules::parse(text);
            let ignored = |file: &str| {
                let above = file.match_indices('/').map(|(end, _)| &file[..end]);
                rules.ignores(file) || above.into_iter().any(|path| rules.ignores_all_of(path))
            };
            for file in files {
                let copied = copied.contains(file);
                assert!(!(copied && ignored(file)), "{text:?} {file}");
                assert!(!exact || copied != ignored(file), "{text:?} {file} could be ignored");
            }
        }
    }
}
