//! `axon render`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::args::Global;
use crate::cli::commands::validate;
use crate::cli::diagnostics;
use crate::cli::exit::Exit;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Namespace;
use crate::sync::load::load;
use crate::sync::render;

#[derive(Debug, Args)]
pub struct Options {
    /// Directory with an axon.yaml, or that file
    #[arg(default_value = ".")]
    path: PathBuf,
}

pub async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let source = validate::Source::read(&options.path).await?;
    let loaded = load(&source.snapshot).map_err(|told| source.refused(&told))?;
    diagnostics::print(&loaded.warnings, Some(&source.base));
    let asked = global
        .namespace
        .as_deref()
        .map(Namespace::parse)
        .transpose();
    let asked = asked.map_err(|error| Failure::new("cannot use --namespace", &error))?;
    if let (Some(asked), Some(declared)) = (&asked, &loaded.set.namespace)
        && asked != declared
    {
        let message = format!(
            "namespace \"{asked}\" is asked for, and \"{}\" declares \"{declared}\"",
            source.name()
        );
        return Err(Failure::plain(message).hint("leave out one of the two"));
    }
    ui::out(render::yaml(&loaded.set, asked.as_ref()));
    Ok(Exit::Ok)
}
