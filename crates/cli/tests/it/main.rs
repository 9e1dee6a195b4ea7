//! The program, driven from outside, judged by programs that are not ours.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounting;
mod against_umoci;
mod answers;
mod bad_input;
mod bait;
mod boots;
mod boots_apart;
mod cases;
mod clones;
mod collected;
mod collected_beside;
mod converge;
mod damaged;
mod disks;
mod empty;
mod fault_points;
mod faults;
mod foreign;
mod from_registries;
mod full;
mod grown_by_resize2fs;
mod host_untouched;
mod hostile;
mod kill_points;
mod killed;
mod left;
mod messages;
mod power_cuts;
mod private;
mod program;
mod random_layers;
mod read_by_ext4_view;
mod reproducible;
mod shared;
mod small;
mod stress;
mod together;
mod unchanged;
mod unpacked;
mod verified;
mod vm_ids;
