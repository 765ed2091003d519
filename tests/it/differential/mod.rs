//! Random sequences of requests, each sent to the embedded server and to a real one: codes, bodies,
//! warnings and watch events must be the same. Only what stands in `docs/local-mode.md` may differ.
//!
//! `material` is what requests are made of, `sequence` draws and shrinks them, `side` sends them,
//! `answer` takes away what no two servers have in common, `known` what is known to differ.

mod answer;
mod definition;
mod known;
mod material;
mod sequence;
mod side;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use proptest::strategy::Strategy as _;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;

use self::answer::Difference;
use self::sequence::Sequence;
use self::side::Side;
use crate::counts;
use crate::server;
use crate::server::Context;
use crate::server::Kind;

/// How many sequences CI tries.
const CASES: u32 = 600;
/// Where its draws start from: the same ones in every run.
const SEED: u64 = 6;
/// How many sequences are under way at once: each waits more than it computes.
const PARALLEL: usize = 16;
/// How often a failing sequence is made smaller.
const SHRINKS: usize = 80;
/// How many different failures are shown.
const SHOWN: usize = 40;
/// How long one sequence may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
fn both_servers_answer_alike() {
    if server::real_kubeconfig().is_none() {
        return;
    }
    let seed = setting("AXON_FUZZ_SEED", SEED);
    let cases = setting("AXON_FUZZ_CASES", CASES);
    server::run(Kind::Embedded, |embedded| async move {
        let real = server::start(Kind::Real).await.unwrap();
        axon::cluster::install(&real.client).await.unwrap();
        let group = definition::serve(&[&embedded.client, &real.client]).await;
        definition::warm(&real.client, &group).await;
        let pair = Pair {
            embedded,
            real,
            group,
        };
        let failures = pair.run(seed, cases).await;
        assert!(
            failures.is_empty(),
            "{} of {cases} sequences (AXON_FUZZ_SEED={seed}) are answered differently:\n{}",
            failures.iter().map(|it| it.times).sum::<usize>(),
            shown(&failures)
        );
        let told =
            format!("{cases} sequences of requests answered as by kube-apiserver (seed {seed})");
        counts::tell("differential", &told);
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the suite chooses its size through the environment"
)]
fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let given = std::env::var(name).ok().filter(|it| !it.is_empty());
    given.map_or(default, |it| {
        it.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {it}"))
    })
}

struct Pair {
    embedded: Context,
    real: Context,
    /// The group of the kind that is the test's own.
    group: String,
}

/// A smallest sequence that the servers answer differently, and how many are like it.
struct Failure {
    story: String,
    times: usize,
}

impl Pair {
    async fn run(&self, seed: u64, cases: u32) -> Vec<Failure> {
        let failures = stream::iter(0..cases)
            .map(|case| self.case(seed, case))
            .buffer_unordered(PARALLEL)
            .filter_map(async |failure| failure)
            .collect::<Vec<_>>()
            .await;
        let mut kinds: BTreeMap<String, Failure> = BTreeMap::new();
        for (signature, story) in failures {
            let failure = kinds
                .entry(signature)
                .or_insert(Failure { story, times: 0 });
            failure.times += 1;
        }
        kinds.into_values().collect()
    }

    /// Draws one sequence, tries it, and makes it smaller if it fails.
    async fn case(&self, seed: u64, case: u32) -> Option<(String, String)> {
        let mut entropy = [0; 32];
        entropy[..8].copy_from_slice(&seed.to_le_bytes());
        entropy[8..12].copy_from_slice(&case.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &entropy);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut tree = sequence::sequence().new_tree(&mut runner).unwrap();
        let mut found = self.attempt(&tree.current()).await?;
        let mut goes_on = tree.simplify();
        for _ in 0..SHRINKS {
            if !goes_on {
                break;
            }
            goes_on = match self.attempt(&tree.current()).await {
                Some(smaller) => {
                    found = smaller;
                    tree.simplify()
                }
                None => tree.complicate(),
            };
        }
        Some((found.0, format!("case {case}:\n{}", found.1)))
    }

    /// Runs a sequence on both servers, each in a namespace of its own. The first difference, and the story of it.
    async fn attempt(&self, sequence: &Sequence) -> Option<(String, String)> {
        let tried = tokio::time::timeout(PATIENCE, self.compare(sequence)).await;
        tried.unwrap_or_else(|_| {
            Some((
                "hangs".into(),
                format!("no end within {PATIENCE:?}: {sequence:?}\n"),
            ))
        })
    }

    async fn compare(&self, sequence: &Sequence) -> Option<(String, String)> {
        let namespace = server::free_namespace();
        let side = |context: &Context| {
            Side::new(
                context.client.clone(),
                context.server,
                &namespace,
                &self.group,
            )
        };
        let (mut ours, mut theirs) = (side(&self.embedded), side(&self.real));
        tokio::join!(ours.prepare(), theirs.prepare());
        let mut story = String::new();
        for step in &sequence.steps {
            let (our, their) = tokio::join!(ours.run(step), theirs.run(step));
            for exchange in &our {
                writeln!(story, "  {}", exchange.asked).unwrap();
            }
            if let Some(found) = answer::first_difference(&our, &their) {
                return Some(told(&story, &found));
            }
        }
        let (our, their) = tokio::join!(ours.events(sequence), theirs.events(sequence));
        let found = answer::first_difference(&our, &their)?;
        writeln!(story, "  {}", found.asked).unwrap();
        Some(told(&story, &found))
    }
}

fn told(story: &str, found: &Difference) -> (String, String) {
    (found.signature.clone(), format!("{story}{}", found.text))
}

fn shown(failures: &[Failure]) -> String {
    let stories = failures.iter().take(SHOWN);
    stories.fold(String::new(), |mut all, it| {
        write!(all, "\n{} times, for instance {}", it.times, it.story).unwrap();
        all
    })
}
