#![no_main]

offshoot_fuzz::fuzz!(ext4_disk);
