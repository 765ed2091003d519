//! Good configurations with bytes changed at random: no input makes the loader panic, hang or say more than
//! it may. `make fuzz` tries many more of them.

use std::time::Duration;
use std::time::Instant;

use axon::model::Digest;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync::load::includes;
use axon::sync::load::load;
use axon::template::Template;
use proptest::prelude::*;
use proptest::sample::Index;

const SEEDS: [&str; 4] = [
    include_str!("../../../examples/axon.yaml"),
    include_str!("../../../examples/fleet.yaml"),
    "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {name: a}\nspec: {type: codex, prompt: x}\n",
    "a: &a [*a, !!x {<<: *a}, \"\\u0000\", |2\n  x\n ]\n",
];
/// Bytes that mean something to YAML or to a template.
const SIGNS: &[u8] = b"{}[]:,-&*!|>'\"%@`#?~ \n\t\\.$0\xff\0";
/// Most problems that are told.
const MOST: usize = 101;
const PATIENCE: Duration = Duration::from_secs(20);

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

proptest! {
    #[test]
    fn no_bytes_upset_the_loader(
        seed in prop::sample::select(&SEEDS[..]),
        changes in prop::collection::vec(change(), 1..12),
    ) {
        let mut bytes = seed.as_bytes().to_vec();
        for change in &changes {
            apply(&mut bytes, change);
        }
        let began = Instant::now();
        includes(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            Template::parse(text).ok();
        }
        let snapshot = Snapshot {
            source: Source { canonical: "github.com/acme/app".into(), url: None },
            revision: Revision::Directory(Digest::of("")),
            root: RepoPath::parse("axon.yaml").unwrap(),
            files: vec![InputFile { path: RepoPath::parse("axon.yaml").unwrap(), bytes }],
            unmatched: Vec::new(),
        };
        if let Err(problems) = load(&snapshot) {
            prop_assert!(!problems.is_empty() && problems.len() <= MOST, "{}", problems.len());
            for told in problems {
                prop_assert!(told.message.len() < 4096, "{}", told.message);
                prop_assert!(told.line_text.chars().count() <= 160);
            }
        }
        prop_assert!(began.elapsed() < PATIENCE);
    }
}
