#![no_main]

offshoot_fuzz::fuzz!(document);
