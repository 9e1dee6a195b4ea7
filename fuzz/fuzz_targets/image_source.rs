#![no_main]

offshoot_fuzz::fuzz!(image_source);
