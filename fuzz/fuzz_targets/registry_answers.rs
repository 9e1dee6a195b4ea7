#![no_main]

offshoot_fuzz::fuzz!(registry_answers);
