//! Each target with its seeds, with what comes of damaging them, and with noise. In the long form there is more of it;
//! `cargo xtask fuzz` looks for what is not covered yet.

use offshoot_fuzzing::{TARGETS, Target};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// What is done to a seed.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Cut(Index),
    Remove(Index, Index),
    Repeat(Index, Index),
    Insert(Index, Vec<u8>),
    /// A part of another seed.
    Splice(Index, Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        6 => (index(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        6 => (index(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => index().prop_map(Damage::Cut),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Remove(from, to)),
        1 => (index(), index()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (index(), index(), index()).prop_map(|(at, other, from)| Damage::Splice(at, other, from)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage, seeds: &[Vec<u8>]) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    let range = |one: &Index, other: &Index| {
        let (one, other) = (one.index(length), other.index(length));
        one.min(other)..one.max(other)
    };
    match damage {
        Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
        Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Damage::Cut(at) => bytes.truncate(at.index(length)),
        Damage::Remove(one, other) => drop(bytes.drain(range(one, other))),
        Damage::Repeat(one, other) => {
            let range = range(one, other);
            let again = bytes[range.clone()].to_vec();
            bytes.splice(range.end..range.end, again);
        }
        Damage::Insert(at, more) => {
            drop(bytes.splice(at.index(length)..at.index(length), more.iter().copied()));
        }
        Damage::Splice(at, other, from) => {
            let other = &seeds[other.index(seeds.len())];
            bytes.truncate(at.index(length));
            bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
        }
    }
}

/// Cases in the usual run; a variable of the environment asks for more.
fn cases(usual: u32) -> u32 {
    std::env::var("OFFSHOOT_PROPTEST_CASES").map_or(usual, |cases| usual * cases.parse::<u32>().unwrap() / 24)
}

fn short(name: &str, usual: u32) {
    let Target { run, seeds, .. } = TARGETS.into_iter().find(|target| target.name == name).unwrap();
    let seeds = seeds();
    for seed in &seeds {
        run(seed);
    }
    let config = Config { failure_persistence: None, cases: cases(usual), ..Config::default() };
    let damaged = (any::<Index>(), prop::collection::vec(damage(), 1..9)).prop_map({
        let seeds = seeds.clone();
        move |(seed, damages)| {
            let mut bytes = seeds[seed.index(seeds.len())].clone();
            damages.iter().for_each(|damage| apply(&mut bytes, damage, &seeds));
            bytes
        }
    });
    let noise = prop::collection::vec(any::<u8>(), 0..600);
    let inputs = prop_oneof![4 => damaged, 1 => noise];
    TestRunner::new(config)
        .run(&inputs, |input| {
            run(&input);
            Ok(())
        })
        .unwrap();
}

/// A test for each target, and how many inputs take it a second or three.
macro_rules! short {
    ($($name:ident: $cases:literal),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                short(stringify!($name), $cases);
            }
        )*

        #[test]
        fn every_target_has_its_short_form() {
            let names = [$(stringify!($name)),*];
            assert!(TARGETS.iter().map(|target| target.name).eq(names), "{names:?}");
        }
    };
}

short! {
    document: 4000,
    ext4_disk: 400,
    ext4_tree: 300,
    image_source: 400,
    merge: 8000,
    pack: 300,
    pack_index: 1000,
    qcow2: 250,
    reference: 8000,
    registry_answers: 300,
    registry_settings: 300,
}
