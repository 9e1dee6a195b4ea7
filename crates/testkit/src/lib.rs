//! Sample images and independent oracles for offshoot's tests.
