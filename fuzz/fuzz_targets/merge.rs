#![no_main]

offshoot_fuzz::fuzz!(merge);
