//! Good configurations with bytes changed at random: no input makes the loader panic, hang or say more than
//! it may. `make fuzz` tries many more of them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;

use super::bytes::load_any;
use super::bytes::render_any;

/// Bytes that mean something to YAML or to a template.
const SIGNS: &[u8] = b"{}[]:,-&*!|>'\"%@`#?~ \n\t\\.$0\xff\0";
/// The files that all fuzzing starts from.
fn seeds(of: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(of);
    let files = fs::read_dir(dir).unwrap();
    let mut paths: Vec<_> = files.map(|it| it.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|it| fs::read(it).unwrap()).collect()
}

/// One change of a text.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index, u8),
    /// A piece of it comes again elsewhere.
    Repeat(Index, Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let sign = prop_oneof![prop::sample::select(SIGNS), any::<u8>()].boxed();
    prop_oneof![
        (any::<Index>(), sign.clone()).prop_map(|(at, sign)| Change::Set(at, sign)),
        (any::<Index>(), prop::collection::vec(sign, 1..8))
            .prop_map(|(at, signs)| Change::Insert(at, signs)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Change::Cut(at, length)),
        (any::<Index>(), any::<Index>(), any::<u8>())
            .prop_map(|(from, to, length)| Change::Repeat(from, to, length)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
    match change {
        Change::Set(at, sign) => {
            let at = place(at, bytes);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = *sign;
            }
        }
        Change::Insert(at, signs) => {
            let at = place(at, bytes);
            bytes.splice(at..at, signs.iter().copied());
        }
        Change::Cut(at, length) => {
            let at = place(at, bytes);
            let end = (at + usize::from(*length)).min(bytes.len());
            bytes.drain(at..end);
        }
        Change::Repeat(from, to, length) => {
            let from = place(from, bytes);
            let end = (from + usize::from(*length)).min(bytes.len());
            let piece = bytes[from..end].to_vec();
            let to = place(to, bytes);
            bytes.splice(to..to, piece);
        }
    }
}

#[test]
fn no_seed_upsets_what_reads_it() {
    let (files, templates) = (seeds("load"), seeds("template"));
    assert!(files.len() >= 5 && templates.len() >= 4);
    for it in &files {
        load_any(it);
    }
    for it in &templates {
        render_any(it);
    }
}

proptest! {
    #[test]
    fn no_bytes_upset_the_loader(
        seed in prop::sample::select(seeds("load")),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let mut bytes = seed;
        for change in &changes {
            apply(&mut bytes, change);
        }
        load_any(&bytes);
    }

    #[test]
    fn no_bytes_upset_a_template(
        seed in prop::sample::select(seeds("template")),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let mut bytes = seed;
        for change in &changes {
            apply(&mut bytes, change);
        }
        render_any(&bytes);
    }
}
