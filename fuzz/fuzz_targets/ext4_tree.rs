#![no_main]

offshoot_fuzz::fuzz!(ext4_tree);
