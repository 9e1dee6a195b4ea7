//! What stands behind the options in a command's help. Each line that begins with `offshoot` parses: a test sees to it.

pub(crate) const SHORT: &str = "\
Examples:
  offshoot build oci:images:dev -o dev.ext4
  offshoot clone oci:images:dev vm-1
  offshoot demo

See 'offshoot --help' for image names, sizes and exit codes, and
'offshoot COMMAND --help' for more examples.";

pub(crate) const LONG: &str = "\
Images:
  REFERENCE                in a registry, by Docker's rules: alpine, registry.example.com/app:1.2
                           (docker://REFERENCE where a template has the same name)
  oci:DIR[:TAG]            an OCI image layout
  oci-archive:FILE[:TAG]   the same in a tar; '-' is standard input
  docker-archive:FILE[:TAG]  what 'docker save' writes; '-' is standard input
  docker-daemon:NAME       in the local Docker
  containers-storage:NAME  where podman and buildah keep images
  dockerfile:DIR           built by buildah, when the directory has changed
  tar:FILE                 a root filesystem in a tar, plain, gzip or zstd; '-' is standard input
  dir:DIR                  a root filesystem in a directory
  scratch:                 nothing: an empty filesystem

Sizes:
  A whole number of bytes, or of K, M, G, T, P or E, which are powers of 1024:
  1G, 1GB and 1GiB are all 1,073,741,824 bytes.

Exit codes:
  0 done   1 failure   2 usage   3 not found   4 conflict   5 integrity   6 no space
  7 authentication   8 unsupported on this host or by this version   130 interrupted

Examples:
  offshoot clone alpine vm-0
  offshoot build oci:images:dev -o dev.ext4
  offshoot unpack alpine ./rootfs
  offshoot build scratch: --size 10G -o data.ext4
  offshoot build dir:./rootfs --name base --inject ./init:/sbin/init:0755
  offshoot clone oci:images:dev vm-1
  offshoot clone base vm-2 --size 8G --format json
  offshoot clone base vm-3 --strategy qcow2 --print cloud-hypervisor
  offshoot grow vm-1 16G
  offshoot snapshot vm-1 installed
  offshoot reset vm-1
  offshoot release vm-1 vm-2 vm-3
  offshoot remove installed
  offshoot gc --dry-run";

pub(crate) const PULL: &str = "\
Examples:
  offshoot pull alpine:3.21
  offshoot pull --platform linux/arm64 registry.example.com/app:1.2
  offshoot pull oci-archive:image.tar:dev";

pub(crate) const BUILD: &str = "\
The same image and options give the same template: one that is there already is
not built again.

Examples:
  offshoot build alpine --name base
  offshoot build oci:images:dev -o dev.ext4
  offshoot build dockerfile:./app --headroom 50
  offshoot build scratch: --size 10G --no-journal -o data.ext4
  offshoot build dir:./rootfs --inject ./init:/sbin/init:0755 --inject ./app:/srv/app:0644:1000:1000";

pub(crate) const CLONE: &str = "\
A VM that has this clone already gets it again: its path is printed, and its disk
is as the VM left it.
Exit code 4: the VM's clone is another one; 'offshoot release VM' removes it.

Examples:
  offshoot clone alpine vm-1
  offshoot clone base vm-2 --size 8G --ephemeral
  offshoot clone base vm-3 --strategy qcow2 --print cloud-hypervisor
  offshoot clone base vm-4 --strategy hardlink --read-only
  offshoot clone base vm-5 --inject ./key:/root/.ssh/authorized_keys:0600
  offshoot clone base vm-6 --as dir";

pub(crate) const GROW: &str = "\
Examples:
  offshoot grow vm-1 16G";

pub(crate) const RESET: &str = "\
Examples:
  offshoot reset vm-1";

pub(crate) const SNAPSHOT: &str = "\
Examples:
  offshoot snapshot vm-1 installed
  offshoot clone installed vm-2";

pub(crate) const IMPORT: &str = "\
The file is copied, or shared where the filesystem can; it is not changed.

Examples:
  offshoot import node ./rootfs.ext4
  offshoot import stacks ./stacks        # ./stacks/python/rootfs.ext4 becomes stacks/python";

pub(crate) const UNPACK: &str = "\
Without root, owners and device nodes are kept in the extended attribute
user.containers.override_stat, as containers/storage has it.

Examples:
  offshoot unpack alpine ./rootfs";

pub(crate) const RELEASE: &str = "\
Examples:
  offshoot release vm-1 vm-2";

pub(crate) const REMOVE: &str = "\
An image's packs and templates stay until 'offshoot gc' finds that nothing refers to them.

Examples:
  offshoot remove base
  offshoot remove docker://alpine";

pub(crate) const GC: &str = "\
What is in use, named, needed by a clone or an image, or was used within the grace
period stays.
Exit code 5: a record cannot be read, and all that it might speak of was kept.
Exit code 6: not so much can be freed.

Examples:
  offshoot gc --dry-run
  offshoot gc
  offshoot gc --keep-free 20%";

pub(crate) const DF: &str = "\
Examples:
  offshoot df -v
  offshoot df --format json";

pub(crate) const INSPECT: &str = "\
Examples:
  offshoot inspect base
  offshoot inspect vm-1";

pub(crate) const VERIFY: &str = "\
Examples:
  offshoot verify                    # every bit of blobs, packs, templates and records
  offshoot verify --quick            # records, sizes, modes and headers alone
  offshoot verify base vm-1          # a template; a clone and its template
  offshoot verify --repair --quarantine

It exits with 5 where something is wrong, or still is, a line for each finding.";

pub(crate) const DOCTOR: &str = "\
Examples:
  offshoot doctor
  offshoot --store /mnt/xfs/store doctor";

pub(crate) const LOGIN: &str = "\
Examples:
  offshoot login registry.example.com
  offshoot login registry.example.com -u me --password-stdin < password";

pub(crate) const LOGOUT: &str = "\
Examples:
  offshoot logout registry.example.com";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  offshoot completions bash > ~/.local/share/bash-completion/completions/offshoot
  offshoot completions zsh > ~/.zfunc/_offshoot
  offshoot completions fish > ~/.config/fish/completions/offshoot.fish";

pub(crate) const MAN: &str = "\
Examples:
  offshoot man | man -l -
  offshoot man ~/.local/share/man/man1";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::arguments::Arguments;

    /// All that a person reads: the program's long help, and that of each command.
    fn helps() -> Vec<(String, String)> {
        let mut program = Arguments::built();
        let mut helps = vec![(String::new(), program.render_long_help().to_string())];
        for command in program.get_subcommands_mut() {
            helps.push((command.get_name().to_owned(), command.render_long_help().to_string()));
        }
        helps
    }

    #[test]
    fn every_example_parses_and_every_command_has_one() {
        let mut count = 0;
        for (command, help) in helps() {
            let lines: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("offshoot ")).collect();
            let without = ["images", "templates", "clones", "demo", "help"];
            assert!(!lines.is_empty() || without.contains(&command.as_str()), "{command}: {help}");
            for line in lines {
                // What follows is the shell's.
                let words = line.split_whitespace().take_while(|word| !["#", "|", ">", "<"].contains(word));
                if let Err(error) = Arguments::try_parse_from(words) {
                    panic!("{line}: {error}");
                }
                count += 1;
            }
        }
        assert!(count > 50, "{count}");
    }

    #[test]
    fn each_option_says_what_it_does() {
        let program = Arguments::built();
        let mut count = 0;
        for command in program.get_subcommands().chain([&program]) {
            for argument in command.get_arguments() {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.len() > 3, "{} {}", command.get_name(), argument.get_id());
                // Those of each command, `--store` and the like besides.
                count += usize::from(!argument.is_global_set());
            }
        }
        assert!(count > 100, "{count}");
    }
}
