//! A durable directory: digests, blobs, records, locks and staging. It knows no OCI and no ext4.

mod digest;
mod verify;

pub use digest::{Digest, DigestError, Hasher};
pub use verify::{Expected, VerifyError, VerifyingReader};
