use std::fmt;

/// One fuzz target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, also of its entry point in `fuzz/`.
    pub name: &'static str,
    /// Takes any bytes; panics if something is wrong with offshoot, never because of the bytes.
    pub run: fn(&[u8]),
    /// Inputs that get far, to begin with; the same each time.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        [$(Target { name: stringify!($name), run: crate::$name::$name, seeds: crate::$name::seeds }),*]
    };
}

/// All of them.
pub const TARGETS: [Target; 11] = targets![
    document,
    ext4_disk,
    ext4_tree,
    image_source,
    merge,
    pack,
    pack_index,
    qcow2,
    reference,
    registry_answers,
    registry_settings,
];
