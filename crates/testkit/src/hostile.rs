//! Images that nobody means well with, and strange ones that are right: each named, each with what becomes of it.
//!
//! A [`Case`] is an image and the [`Outcome`] that `docs/threat-model.md` promises for it. [`Case::deliver`] puts it
//! where a [`Source`] has it from; whoever runs `pull`, `build` and `unpack` on it compares.
//!
//! ```
//! use offshoot_testkit::hostile::{Family, Source};
//!
//! let directory = tempfile::tempdir()?;
//! let case = Family::Paths.cases("/victim").remove(0);
//! let delivered = case.deliver(Source::OciDirectory, directory.path());
//! // offshoot build IMAGE
//! println!("{}: {} {:?}", case.name, delivered.image, case.outcome.build);
//! # Ok::<(), std::io::Error>(())
//! ```

mod advisories;
mod archives;
mod bombs;
mod case;
mod compression;
mod configs;
mod delivery;
mod devices;
mod digests;
mod directories;
mod documents;
mod family;
mod hard_links;
mod headers;
mod links;
mod manifests;
mod names;
mod outcome;
mod paths;
mod pax;
mod registries;
mod sparse;
mod times_and_ids;
mod tree;
mod whiteouts;
mod xattrs;

pub use case::{Case, Image};
pub use delivery::{Delivered, Source};
pub use family::Family;
pub use outcome::{Outcome, Tree, Verdict};
pub use tree::describe;
