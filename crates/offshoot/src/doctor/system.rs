//! The machine and its kernel.

use std::fs::File;
use std::io;

use super::{Probe, ProbeState};

pub(super) fn probe(probes: &mut Vec<Probe>) {
    let kernel = rustix::system::uname();
    let machine = format!("{} {}", kernel.release().to_string_lossy(), kernel.machine().to_string_lossy());
    probes.push(Probe::ok("kernel", machine));
    probes.push(if has_sha() {
        Probe::ok("SHA-256", "by the processor")
    } else {
        let advice = "pulls and cold builds take about twice as long as on a processor with SHA extensions";
        Probe::less("SHA-256", ProbeState::Limited, "in software", advice)
    });
    probes.push(match File::options().read(true).write(true).open("/dev/kvm") {
        Ok(_) => Probe::ok("KVM", "/dev/kvm"),
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "disks are made all the same; join the group of /dev/kvm to run VMs"
                }
                _ => "disks are made all the same; VMs do not run here, or without KVM",
            };
            Probe::less("KVM", ProbeState::Missing, format!("/dev/kvm: {error}"), advice)
        }
    });
}

fn has_sha() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("sha");
    #[cfg(target_arch = "aarch64")]
    let has = std::arch::is_aarch64_feature_detected!("sha2");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has = false;
    has
}
