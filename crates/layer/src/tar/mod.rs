//! Reads tar: v7, ustar, POSIX 2001 (PAX), GNU, and what GNU tar adds for sparse files.
//!
//! Why not a ready-made reader: `tar` knows no PAX sparse formats, and `tar-core` has neither fractions nor
//! signs of times, and asks for all that describes an entry in one piece of memory. Contents here are handed
//! on as slices of the decompressed buffers, and every error knows the offset of its entry.
//!
//! Where readers differ, this one goes with Go's `archive/tar`, which the tools that write layers use: global
//! PAX headers are read over; links, devices and directories have no contents whatever their size field says;
//! an archive may end without its two zero blocks, and what follows these is not looked at.

mod failure;
mod header;
mod number;
mod pax;
mod reader;
mod sparse;

pub(crate) use failure::Failure;
pub(crate) use reader::{Entry, Kind, Reader};
pub(crate) use sparse::Segment;
