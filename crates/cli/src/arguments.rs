use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum};
use offshoot::{
    Credentials, ImageName, Injection, KeepFree, Platform, PullPolicy, RegistryHost, Strategy, TemplateName,
    VmId,
};

use crate::creds::CredsParser;
use crate::duration::duration;
use crate::examples;
use crate::render::vmm::Vmm;
use crate::size::{Size, keep_free};

/// OCI images in, microVM disks out.
///
/// Turns a container image into a bootable ext4 root disk, and gives every VM a private copy-on-write copy of it.
#[derive(Debug, Parser)]
#[command(name = "offshoot", version, after_help = examples::SHORT, after_long_help = examples::LONG)]
pub(crate) struct Arguments {
    /// The store's directory [default: /var/lib/offshoot for root, else $XDG_DATA_HOME/offshoot or
    /// ~/.local/share/offshoot]
    #[arg(long, global = true, env = "OFFSHOOT_STORE", value_name = "DIR", help_heading = "Everywhere")]
    pub(crate) store: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Everywhere")]
    pub(crate) format: Format,
    /// How progress is shown, on standard error
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Everywhere")]
    pub(crate) progress: ProgressMode,
    /// Only results and errors
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    pub(crate) quiet: bool,
    /// Progress as lines where there is no terminal; retries and mirrors that fail
    #[arg(short, long, global = true, conflicts_with = "quiet", help_heading = "Everywhere")]
    pub(crate) verbose: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[cfg(test)]
impl Arguments {
    /// The program with the arguments of each command, which are set up only when it is built.
    pub(crate) fn built() -> clap::Command {
        let mut program = <Self as clap::CommandFactory>::command();
        program.build();
        program
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people and line-based tools
    #[default]
    Plain,
    /// For programs: stable and versioned
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressMode {
    /// Bars on a terminal, otherwise nothing
    #[default]
    Auto,
    /// A line for each step
    Plain,
    /// A JSON object for each event
    Json,
    /// Nothing
    None,
}

// Only the arguments of the command that is called are set up: the program starts faster. What is said of a struct of
// arguments would take the place of what is said of the command, hence no documentation on these.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Fetch, verify and pack an image; prints the manifest's digest
    #[command(after_help = examples::PULL)]
    Pull(PullArguments),
    /// Make an image's template; prints its id, or FILE with -o
    #[command(after_help = examples::BUILD)]
    Build(BuildArguments),
    /// Give a VM its own copy of a template; prints the disk's path
    #[command(after_help = examples::CLONE)]
    Clone(CloneArguments),
    /// Make a VM's disk and its filesystem larger; the VM must be stopped; prints the disk's path
    #[command(after_help = examples::GROW)]
    Grow {
        /// Whose disk
        vm: VmId,
        /// Its new size, like 8G
        size: Size,
        #[command(flatten)]
        resize2fs: Resize2fsArgument,
    },
    /// Give a VM the disk back that it was cloned with; the VM must be stopped; prints the disk's path
    #[command(after_help = examples::RESET)]
    Reset {
        /// Whose disk
        vm: VmId,
    },
    /// Make a template of a VM's disk as it is now; the VM must be stopped; prints the template's id
    #[command(after_help = examples::SNAPSHOT)]
    Snapshot {
        /// Whose disk
        vm: VmId,
        /// The template's name; one that stands for another template moves to this one
        name: TemplateName,
    },
    /// Adopt a ready-made ext4 filesystem as a template; prints its id
    #[command(after_help = examples::IMPORT)]
    Import {
        /// The template's name; one that stands for another template moves to this one
        name: TemplateName,
        /// The filesystem, or a directory of STACK/rootfs.ext4, which become NAME/STACK
        file: PathBuf,
    },
    /// Write an image's root filesystem into a directory; prints its path
    #[command(after_help = examples::UNPACK)]
    Unpack {
        /// A template's name or id, or an image
        #[arg(value_name = "IMAGE|NAME|ID")]
        template: String,
        /// Where to; it must not exist, or be empty
        directory: PathBuf,
        /// When an image is fetched that may be in the store already
        #[arg(long = "pull", value_name = "missing|always|never", default_value = "missing")]
        policy: PullPolicy,
        #[command(flatten)]
        source: SourceArguments,
    },
    /// Remove VMs' clones; those that are not there are released already
    #[command(after_help = examples::RELEASE)]
    Release {
        /// The VMs
        #[arg(required = true, value_name = "VM")]
        vms: Vec<VmId>,
    },
    /// Remove templates' names, templates, or images; what clones stand on is refused
    #[command(after_help = examples::REMOVE)]
    Remove {
        /// A template's name (its last one takes the template with it) or id, or an image
        #[arg(required = true, value_name = "NAME|ID|IMAGE")]
        names: Vec<String>,
    },
    /// Remove what nobody needs any more, and what can be made again where room is wanted; prints what, and why
    #[command(after_help = examples::GC)]
    Gc(GcArguments),
    /// List the images in the store
    Images,
    /// List the templates in the store
    Templates,
    /// List the clones in the store
    Clones,
    /// Show what the store takes of its disk; with -v also each pack, template and clone
    #[command(after_help = examples::DF)]
    Df,
    /// Show all about a template, clone or image, as JSON
    #[command(after_help = examples::INSPECT)]
    Inspect {
        /// A template's name or id, a VM, or an image
        name: String,
    },
    /// Say what in the store is not as it was written: all of it, or what is named
    #[command(after_help = examples::VERIFY)]
    Verify(VerifyArguments),
    /// Try what this host can do for a store, and say what is missing; nothing is left behind
    #[command(after_help = examples::DOCTOR)]
    Doctor {
        #[command(flatten)]
        resize2fs: Resize2fsArgument,
    },
    /// Keep credentials for a registry, once it has taken them
    #[command(after_help = examples::LOGIN)]
    Login {
        /// The registry, like registry.example.com:5000
        registry: RegistryHost,
        /// The user [default: asked for]
        #[arg(short, long)]
        username: Option<String>,
        /// Read the password from standard input [default: asked for]
        #[arg(long)]
        password_stdin: bool,
        /// The file to keep them in [default: where there are some already, else Docker's config.json]
        #[arg(long, value_name = "FILE")]
        authfile: Option<PathBuf>,
        /// Talk HTTP to it
        #[arg(long)]
        plain_http: bool,
        /// Where its certificates are: DIR/HOST/hosts.toml; may be repeated
        #[arg(long, value_name = "DIR")]
        hosts_dir: Vec<PathBuf>,
    },
    /// Forget the credentials for a registry
    #[command(after_help = examples::LOGOUT)]
    Logout {
        /// The registry
        registry: RegistryHost,
        /// The file that they are in [default: wherever they are]
        #[arg(long, value_name = "FILE")]
        authfile: Option<PathBuf>,
    },
    /// Show what it does: make a sample image, a template and 100 clones, and measure
    Demo {
        /// Where, in a temporary directory of its own [default: the system's place for them]
        #[arg(long, value_name = "DIR")]
        directory: Option<PathBuf>,
    },
    /// Print a shell's completions
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them into DIRECTORY
    #[command(after_help = examples::MAN)]
    Man {
        /// Where to write all pages
        directory: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct GcArguments {
    /// Only print what would go
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Also evict packs and templates that can be made again, least recently used first, until so much of the disk is free,
    /// like 20G or 20%
    #[arg(long, value_name = "SIZE|%", value_parser = keep_free)]
    pub(crate) keep_free: Option<KeepFree>,
    /// Keep what was used less long ago than that, like 30s, 10m, 1h or 7d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) grace: std::time::Duration,
    /// Also remove what is in quarantine for longer than the grace period
    #[arg(long)]
    pub(crate) quarantine: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Templates' names or ids, VMs, images, digests of blobs or layers [default: everything]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Records, sizes, modes and headers alone: contents are not read
    #[arg(long)]
    pub(crate) quick: bool,
    /// Make right what can be: modes are set, packs fetched and templates built again; what was there goes to quarantine
    #[arg(long)]
    pub(crate) repair: bool,
    /// Move what is damaged, and not made right, to quarantine
    #[arg(long)]
    pub(crate) quarantine: bool,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

#[derive(Debug, Args)]
pub(crate) struct PullArguments {
    /// The image: a reference, or a transport and what it needs (see 'offshoot --help')
    #[arg(value_parser = parsed::<ImageName>)]
    pub(crate) image: ImageName,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

// How images are come by.
#[derive(Debug, Args)]
pub(crate) struct SourceArguments {
    /// Which image of an index [default: the host's]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = parsed::<Platform>)]
    pub(crate) platform: Option<Platform>,
    #[command(flatten)]
    pub(crate) registry: RegistryArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
}

// How registries are talked to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryArguments {
    /// For the image's registry; 'offshoot login' keeps them out of the shell's history
    #[arg(long, value_name = "USER:PASSWORD", value_parser = CredsParser)]
    pub(crate) creds: Option<Credentials>,
    /// The one file to look for credentials in [default: REGISTRY_AUTH_FILE, containers' auth.json, Docker's config.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) authfile: Option<PathBuf>,
    /// Talk HTTP to the image's registry
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Where registries' mirrors and certificates are: DIR/HOST/hosts.toml; may be repeated [default: /etc/containerd/certs.d,
    /// /etc/docker/certs.d, /etc/containers/certs.d]
    #[arg(long, value_name = "DIR")]
    pub(crate) hosts_dir: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// When an image is fetched that may be in the store already
    #[arg(long = "pull", value_name = "missing|always|never", default_value = "missing")]
    pub(crate) policy: PullPolicy,
    /// Also write the disk to FILE, which must not exist
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Name the template; a name that stands for another one moves to this one
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<TemplateName>,
    /// The disk's size, like 512M or 10G, rounded down to 4 KiB [default: contents and metadata, and 25 % or 64 MiB more]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<Size>,
    /// Headroom in percent of what the image needs, where no size is given
    #[arg(long, value_name = "PERCENT", default_value_t = 25, conflicts_with = "size")]
    pub(crate) headroom: u32,
    /// No journal: for disks that are thrown away
    #[arg(long)]
    pub(crate) no_journal: bool,
    /// Put a file or directory of this host into the image, owned by root; may be repeated
    #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]", value_parser = parsed::<Injection>)]
    pub(crate) inject: Vec<Injection>,
    #[command(flatten)]
    pub(crate) pull: PullArguments,
}

#[derive(Debug, Args)]
pub(crate) struct CloneArguments {
    /// A template's name or id, or an image that is built if need be
    #[arg(value_name = "IMAGE|NAME|ID")]
    pub(crate) template: String,
    /// Whose clone: any text of up to 128 bytes
    pub(crate) vm: VmId,
    /// The disk's size, like 8G: its filesystem is grown to it [default: the template's]
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Option<Size>,
    /// How: a reflink shares blocks, qcow2 is an overlay, a hardlink shares the whole file (with --read-only), a copy keeps
    /// holes; auto is a reflink, and a copy where the filesystem cannot
    #[arg(
        long,
        value_parser = strategy,
        default_value = "auto",
        value_name = "auto|reflink|qcow2|hardlink|copy"
    )]
    pub(crate) strategy: StrategyArgument,
    /// The disk is not to be written
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Do not sync: the clone may be lost in a power cut
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Give the filesystem a UUID of its own
    #[arg(long)]
    pub(crate) fresh_uuid: bool,
    /// Put a file or directory of this host into this VM's disk alone; may be repeated
    #[arg(long, value_name = "SRC:DST[:MODE[:UID:GID]]", value_parser = parsed::<Injection>)]
    pub(crate) inject: Vec<Injection>,
    /// Make a clone anew whose disk is lost or damaged; what is left of it goes to quarantine
    #[arg(long)]
    pub(crate) recreate: bool,
    /// A disk, or a directory with the files, for virtiofs and libkrun
    #[arg(long = "as", value_enum, default_value_t, value_name = "disk|dir")]
    pub(crate) form: Form,
    /// When an image is fetched that may be in the store already
    #[arg(long = "pull", value_name = "missing|always|never", default_value = "missing")]
    pub(crate) policy: PullPolicy,
    /// Print the VMM's own configuration for this disk instead of its path
    #[arg(long, value_enum, value_name = "VMM")]
    pub(crate) print: Option<Vmm>,
    #[command(flatten)]
    pub(crate) resize2fs: Resize2fsArgument,
    #[command(flatten)]
    pub(crate) source: SourceArguments,
}

// For filesystems that were not made here.
#[derive(Debug, Args)]
pub(crate) struct Resize2fsArgument {
    /// What grows filesystems with features that are not known here: a path, or a name that is looked for in PATH and
    /// where system programs are
    #[arg(
        long = "resize2fs",
        env = "MICROVM_RESIZE2FS_BIN",
        value_name = "PROGRAM",
        default_value = "resize2fs"
    )]
    pub(crate) program: PathBuf,
}

/// What a clone is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A disk with an ext4 filesystem
    #[default]
    Disk,
    /// A directory
    Dir,
}

/// `None` is `auto`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StrategyArgument(pub(crate) Option<Strategy>);

/// Why it cannot be read is in the causes, too.
fn parsed<T: FromStr<Err: std::error::Error>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| offshoot::with_causes(&error))
}

fn strategy(text: &str) -> Result<StrategyArgument, String> {
    if text == "auto" {
        return Ok(StrategyArgument(None));
    }
    text.parse()
        .map(|strategy| StrategyArgument(Some(strategy)))
        .map_err(|error| format!("{error}, and auto"))
}

// What a layer may ask for; more is an error.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArguments {
    /// The most that a layer may decompress to [default: 128G]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_layer_size: Option<Size>,
    /// The most entries that a layer may have [default: 8388608]
    #[arg(long, value_name = "COUNT")]
    pub(crate) max_layer_entries: Option<u64>,
    /// The most memory that a layer's entries may take: paths, link targets, attributes [default: 512M]
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_layer_index: Option<Size>,
}
