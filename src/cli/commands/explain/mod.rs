//! `axon explain`: what a field means, from the schemas that check it.

mod shape;
mod text;

use clap::Args;
use serde_json::Value;

use self::shape::Shape;
use crate::api;
use crate::cli::exit::Exit;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::sync::load::suggest;

#[derive(Debug, Args)]
pub struct Options {
    /// Field of axon.yaml, such as "spawners.when", or of a kind, such as "task.spec.prompt"
    #[arg(value_name = "FIELD")]
    field: Option<String>,
}

/// What a path can begin with besides the keys of axon.yaml.
const CONFIG: &str = "config";

pub fn run(options: &Options) -> Result<Exit, Failure> {
    let path = options.field.as_deref().unwrap_or_default();
    let mut steps = path.split('.').filter(|step| !step.is_empty()).peekable();
    let first = steps.peek().copied().unwrap_or_default();
    let kinds = kinds();
    // A key of axon.yaml is meant before a kind's short name.
    let config = api::config_schema();
    let is_key = Shape::of(&config, &config).field(first).is_some();
    let of_kind = kinds.iter().find(|kind| kind.is_called(first) && !is_key);
    let (title, root) = match of_kind {
        Some(kind) => (kind.name.clone(), kind.schema.clone()),
        None => ("axon.yaml".to_owned(), config.clone()),
    };
    if of_kind.is_some() || first.eq_ignore_ascii_case(CONFIG) {
        steps.next();
    }
    let mut shape = Shape::of(&root, &root);
    let mut walked = Walked::new(title);
    for step in steps {
        shape = shape.through_names(&mut |sign| walked.push(sign));
        let Some(next) = shape.field(step) else {
            let begins = walked.is_at_start().then(|| kinds.iter().map(Kind::short));
            return Err(unknown(step, &walked, &shape, begins.into_iter().flatten()));
        };
        walked.push(step);
        shape = next;
    }
    let page = text::page(&walked.title, &walked.path, &shape);
    ui::out(format_args!("{}\n", page.trim_end()));
    if path.is_empty() {
        let kinds: Vec<String> = kinds.iter().map(Kind::short).collect();
        ui::out(format_args!(
            "Kinds: {} (axon explain KIND)\n",
            kinds.join(", ")
        ));
    }
    Ok(Exit::Ok)
}

/// A kind that Kubernetes manifests have.
struct Kind {
    name: String,
    short_names: Vec<String>,
    schema: Value,
}

impl Kind {
    /// By its name in any case, or a short name of `kubectl`. Not by its plural, which may be a key
    /// of axon.yaml.
    fn is_called(&self, word: &str) -> bool {
        self.name.eq_ignore_ascii_case(word) || self.short_names.iter().any(|it| it == word)
    }

    fn short(&self) -> String {
        self.name.to_lowercase()
    }
}

fn kinds() -> Vec<Kind> {
    let crds = api::crds().into_iter();
    let kinds = crds.filter_map(|crd| {
        let version = crd.spec.versions.into_iter().next()?;
        let schema = version.schema?.open_api_v3_schema?;
        let names = crd.spec.names;
        Some(Kind {
            name: names.kind,
            short_names: names.short_names.unwrap_or_default(),
            schema: serde_json::to_value(schema).ok()?,
        })
    });
    kinds.collect()
}

/// The way so far.
struct Walked {
    title: String,
    path: String,
}

impl Walked {
    fn new(title: String) -> Self {
        let path = String::new();
        Self { title, path }
    }

    fn is_at_start(&self) -> bool {
        self.path.is_empty()
    }

    /// Adds a field's name; or `<name>` or `[]`, for what stands between it and the next.
    fn push(&mut self, step: &str) {
        if !self.path.is_empty() && step != "[]" {
            self.path.push('.');
        }
        self.path.push_str(step);
    }
}

fn unknown(
    step: &str,
    walked: &Walked,
    shape: &Shape<'_>,
    begins: impl Iterator<Item = String>,
) -> Failure {
    let place = match walked.path.as_str() {
        "" => walked.title.clone(),
        path => format!("{} of {}", path, walked.title),
    };
    let failure = Failure::usage(format!("there is no field \"{step}\" in {place}"));
    let mut known: Vec<String> = shape.fields().map(|(name, ..)| name.to_owned()).collect();
    if known.is_empty() {
        return failure.hint(format!("{place} is {}, and has no fields", shape.kind()));
    }
    known.extend(begins);
    match suggest(step, known.iter().map(String::as_str)) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

#[cfg(test)]
mod tests;
