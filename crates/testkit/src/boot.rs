//! Boots a disk image in QEMU with a kernel of Debian's, to see whether a machine can use it as its root.
//!
//! ```no_run
//! use offshoot_testkit::boot;
//!
//! if boot::available() {
//!     let booted = boot::Boot::new("rootfs.ext4").run("uname -r; echo kept > /file");
//!     assert_eq!(booted.status, 0, "{}", booted.console);
//! }
//! ```

mod appliance;
mod cpio;
mod kernel;
mod machine;

pub use appliance::{Appliance, Running};
pub use machine::{Boot, Booted};

use crate::oracle;

/// Whether this host can boot a disk; as [`oracle::available`] otherwise.
pub fn available() -> bool {
    if std::env::consts::ARCH != "x86_64" {
        return oracle::skip("booting is only known for x86_64");
    }
    oracle::available(&["qemu-system-x86_64", "apt-get", "apt-cache", "dpkg-deb", "busybox"])
}
