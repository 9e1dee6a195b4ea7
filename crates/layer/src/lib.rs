//! An OCI layer's tar stream becomes a pack, and a pack gives back its changes.
//!
//! [`pack`] reads a layer's blob once: it verifies the blob's digest, decompresses, verifies the `diff_id`,
//! parses the tar and writes two files, `data` (the files' contents, 4 KiB-aligned) and `index` (all else).
//! [`Pack`] opens them again. `docs/pack-format.md` describes the format.
//!
//! ```
//! use offshoot_layer::{Pack, Request, pack};
//!
//! let directory = tempfile::tempdir()?;
//! let empty_tar = vec![0; 1024];
//! let packed = pack(Box::new(std::io::Cursor::new(empty_tar)), directory.path(), &Request::default())?;
//! assert_eq!(packed.entries, 0);
//! let pack = Pack::open(directory.path())?;
//! pack.verify()?;
//! assert_eq!(pack.diff_id(), packed.diff_id);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::as_conversions, clippy::arithmetic_side_effects))]

mod block;
mod change;
mod chunk;
mod compression;
mod data;
mod decode;
mod error;
mod index;
mod length;
mod limits;
mod pack;
mod pack_data;
mod pipeline;
mod raw_path;
mod tar;

pub use compression::Compression;
pub use error::{DataProblem, Error, IndexProblem, Limit, StreamProblem, TarProblem};
pub use limits::Limits;
pub use pack::{DamagedFile, Pack};
pub use pack_data::PackData;
pub use pipeline::{Packed, Request, pack};
pub use raw_path::RawPath;
