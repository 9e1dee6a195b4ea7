//! Plans and emits ext4 filesystems from a tree.
