#![no_main]

offshoot_fuzz::fuzz!(qcow2);
