//! What all entry points have in common.

use std::alloc::System;

use cap::Cap;
pub use libfuzzer_sys::fuzz_target;

/// What all of a target's allocations may come to, in bytes. Whoever asks for more is taken for a crash: no input of a
/// few kilobytes may cost that.
const MEMORY_BYTES: usize = 512 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY_BYTES);

/// The entry point of the target of that name in `offshoot-fuzzing`.
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        $crate::fuzz_target!(|input: &[u8]| $crate::targets::$target(input));
    };
}

/// The targets.
pub use offshoot_fuzzing as targets;
