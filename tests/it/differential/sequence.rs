//! Sequences of requests: drawn at random, and made smaller when they fail.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use super::material::Edit;
use super::material::SUBJECTS;
use super::material::Subject;

/// The most requests of a sequence, besides the first one.
const LENGTH: usize = 9;
/// The names that objects have.
pub(super) const NAMES: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
pub(super) struct Sequence {
    pub(super) steps: Vec<Step>,
}

/// One request, or a few that belong together.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) subject: Subject,
    pub(super) name: &'static str,
    pub(super) action: Action,
    pub(super) options: Options,
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Create {
        edits: Vec<Edit>,
        how: Naming,
    },
    Update {
        edits: Vec<Edit>,
        from: From,
        version: Version,
        status: bool,
    },
    Merge {
        edits: Vec<Edit>,
        strategic: bool,
        version: Version,
        status: bool,
    },
    Json {
        operations: Vec<(&'static str, Edit)>,
        status: bool,
    },
    Apply {
        edits: Vec<Edit>,
        manager: &'static str,
        force: bool,
        /// Whether the required fields are applied too.
        whole: bool,
        status: bool,
    },
    Delete {
        policy: Option<&'static str>,
        precondition: Precondition,
    },
    DeleteCollection {
        labels: &'static str,
    },
    Get {
        status: bool,
    },
    List {
        labels: &'static str,
        fields: &'static str,
        limit: Option<u8>,
        /// Whether an object is written between two pages.
        disturbed: bool,
    },
    /// From here on; what it saw is read at the end.
    Watch {
        labels: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    Given,
    Generated,
    /// The name stands there twice.
    Twice,
}

/// What an update starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The object as it is now.
    Live,
    /// A new one.
    Scratch,
}

/// Which resourceVersion is sent along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Live,
    None,
    /// The first that the object had.
    Stale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    None,
    Uid,
    WrongUid,
    Version,
    StaleVersion,
}

/// Options of a write.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) dry_run: Option<&'static str>,
    pub(super) validation: Option<&'static str>,
    pub(super) manager: Option<&'static str>,
}

impl Sequence {
    /// Whether the garbage collector frees several objects of a kind at once: it does so in no order.
    pub(super) fn frees(&self, subject: Subject) -> bool {
        let frees = |step: &Step| matches!(step.action, Action::DeleteCollection { .. });
        subject == Subject::Job
            && self
                .steps
                .iter()
                .any(|it| it.subject == subject && frees(it))
    }
}

/// Usually about one kind, sometimes about two.
pub(super) fn sequence() -> impl Strategy<Value = Sequence> {
    let subject = prop::sample::select(&SUBJECTS[..]);
    (subject.clone(), subject)
        .prop_flat_map(move |(one, other)| {
            let either = prop_oneof![4 => step(one), 1 => step(other)];
            (first(one), prop::collection::vec(either, 0..=LENGTH))
        })
        .prop_map(|(first, mut steps)| {
            steps.insert(0, first);
            Sequence { steps }
        })
}

/// An object to work on.
fn first(subject: Subject) -> impl Strategy<Value = Step> {
    let edits = prop::collection::vec(prop::sample::select(subject.edits()), 0..2);
    edits.prop_map(move |edits| Step {
        subject,
        name: NAMES[0],
        action: Action::Create {
            edits,
            how: Naming::Given,
        },
        options: Options::default(),
    })
}

fn step(subject: Subject) -> impl Strategy<Value = Step> + Clone {
    let name = prop_oneof![4 => Just(NAMES[0]), 1 => Just(NAMES[1])];
    (name, action(subject), options()).prop_map(move |(name, action, options)| Step {
        subject,
        name,
        action,
        options,
    })
}

fn options() -> impl Strategy<Value = Options> + Clone {
    let dry_run = prop_oneof![12 => Just(None), 2 => Just(Some("All")), 1 => Just(Some("Some"))];
    let validation = prop_oneof![
        6 => Just(None),
        2 => Just(Some("Strict")),
        1 => Just(Some("Ignore")),
        1 => Just(Some("Warn")),
    ];
    let manager = prop_oneof![3 => Just(None), 1 => Just(Some("one")), 1 => Just(Some("editor"))];
    (dry_run, validation, manager).prop_map(|(dry_run, validation, manager)| Options {
        dry_run,
        validation,
        manager,
    })
}

/// Some fields; of the status if that is what is written, as far as there is one.
fn edits(subject: Subject) -> impl Strategy<Value = (bool, Vec<Edit>)> + Clone {
    let of_status = subject.status_edits();
    let share = u32::from(!of_status.is_empty());
    let of_status = if of_status.is_empty() {
        subject.edits()
    } else {
        of_status
    };
    let whole = prop::collection::vec(prop::sample::select(subject.edits()), 0..4);
    let status = prop::collection::vec(prop::sample::select(of_status), 0..3);
    prop_oneof![
        4 => whole.prop_map(|edits| (false, edits)),
        share => status.prop_map(|edits| (true, edits)),
    ]
}

fn version() -> impl Strategy<Value = Version> + Clone {
    prop_oneof![3 => Just(Version::Live), 2 => Just(Version::None), 1 => Just(Version::Stale)]
}

fn action(subject: Subject) -> impl Strategy<Value = Action> + Clone {
    prop_oneof![
        3 => create(subject),
        4 => update(subject),
        4 => merge(subject),
        3 => json(subject),
        6 => apply(subject),
        2 => delete(),
        1 => ours().prop_map(|labels| Action::DeleteCollection { labels }),
        1 => any::<bool>().prop_map(move |status| Action::Get { status: status && subject.has_status() }),
        2 => list(),
        1 => labels().prop_map(|labels| Action::Watch { labels }),
    ]
}

fn create(subject: Subject) -> impl Strategy<Value = Action> + Clone {
    let how = prop_oneof![6 => Just(Naming::Given), 1 => Just(Naming::Generated), 1 => Just(Naming::Twice)];
    let edits = prop::collection::vec(prop::sample::select(subject.edits()), 0..3);
    (edits, how).prop_map(|(edits, how)| Action::Create { edits, how })
}

fn update(subject: Subject) -> impl Strategy<Value = Action> + Clone {
    let from = prop_oneof![3 => Just(From::Live), 1 => Just(From::Scratch)];
    (edits(subject), from, version()).prop_map(|((status, edits), from, version)| Action::Update {
        edits,
        from,
        version,
        status,
    })
}

fn merge(subject: Subject) -> impl Strategy<Value = Action> + Clone {
    let version = prop_oneof![6 => Just(Version::None), 1 => version()];
    (edits(subject), any::<bool>(), version).prop_map(|((status, edits), strategic, version)| {
        Action::Merge {
            edits,
            strategic,
            version,
            status,
        }
    })
}

fn json(subject: Subject) -> impl Strategy<Value = Action> + Clone {
    let verb = prop::sample::select(&["add", "replace", "remove", "test"][..]);
    (edits(subject), prop::collection::vec(verb, 3)).prop_map(move |((status, edits), verbs)| {
        // What a null among a Secret's bytes becomes is known to differ: docs/local-mode.md.
        let verb = |verb, edit: &Edit| match (subject, &edit.value) {
            (Subject::Secret, Value::Null) => "remove",
            _ => verb,
        };
        let operations = verbs.into_iter().zip(edits);
        let operations = operations.map(|(it, edit)| (verb(it, &edit), edit));
        Action::Json {
            operations: operations.collect(),
            status,
        }
    })
}

fn apply(subject: Subject) -> impl Strategy<Value = Action> + Clone {
    let manager = prop::sample::select(&["one", "two", "three", ""][..]);
    let flags = (any::<bool>(), any::<bool>());
    (edits(subject), manager, flags).prop_map(|((status, mut edits), manager, (force, whole))| {
        // What an applied null leaves behind is known to differ: docs/local-mode.md.
        edits.retain(|it| !it.value.is_null() && it.value != json!([]));
        Action::Apply {
            edits,
            manager,
            force,
            whole,
            status,
        }
    })
}

fn delete() -> impl Strategy<Value = Action> + Clone {
    let policy = prop_oneof![
        4 => Just(None),
        2 => Just(Some("Background")),
        1 => Just(Some("Foreground")),
        1 => Just(Some("Orphan")),
        1 => Just(Some("Odd")),
    ];
    let precondition = prop_oneof![
        4 => Just(Precondition::None),
        1 => Just(Precondition::Uid),
        1 => Just(Precondition::WrongUid),
        1 => Just(Precondition::Version),
        1 => Just(Precondition::StaleVersion),
    ];
    (policy, precondition).prop_map(|(policy, precondition)| Action::Delete {
        policy,
        precondition,
    })
}

/// The last object of a watch, with the labels `app=end,tier=end`, is seen by each of these.
fn labels() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(
        &[
            "app",
            "app in (a, end)",
            "app!=b",
            "tier",
            "app,tier notin (1)",
            "!gone",
        ][..],
    )
}

/// Only what the sequence itself has made.
fn ours() -> impl Strategy<Value = &'static str> + Clone {
    prop::sample::select(&["app", "app in (a, end)", "tier", "app,tier notin (1)"][..])
}

fn list() -> impl Strategy<Value = Action> + Clone {
    let labels = prop::sample::select(
        &[
            "",
            "app=a",
            "app in (a,b),tier",
            "app notin (z)",
            "!app",
            "app=",
            "a b",
            "app in x",
            "tier>1",
        ][..],
    );
    let fields = prop::sample::select(
        &[
            "",
            "metadata.name=a",
            "metadata.name!=a",
            "spec.odd=1",
            "metadata.name",
        ][..],
    );
    let fields = prop_oneof![3 => Just(""), 1 => fields];
    let limit = prop_oneof![2 => Just(None), 2 => Just(Some(1)), 1 => Just(Some(2))];
    (labels, fields, limit, any::<bool>()).prop_map(|(labels, fields, limit, disturbed)| {
        Action::List {
            labels,
            fields,
            limit,
            disturbed,
        }
    })
}
