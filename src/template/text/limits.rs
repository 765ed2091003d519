//! How much a template may ask for. It comes from a tenant: none may take the controller down.

use std::fmt;

/// Bytes of a template: as many as the prompt that it makes.
pub(crate) const MAX_TEMPLATE: usize = 128 * 1024;
/// Texts and actions of a template: far more than a person writes.
pub(super) const MAX_NODES: usize = 10_000;
/// Blocks and parentheses within each other. Parser, checker and evaluator recurse so deep.
pub(super) const MAX_NESTING: usize = 40;
/// Lists, pipelines and `template` calls in progress at once, so that the stack of the evaluator
/// stays under some 200 KiB.
pub(super) const MAX_DEPTH: usize = 120;
/// Depth of lists and maps in the data.
pub(super) const MAX_DATA_DEPTH: usize = 32;
/// Bytes of what a template writes, and of one string on the way.
pub(crate) const MAX_OUTPUT: usize = 1024 * 1024;
/// Units of work: a byte handled is one, a step [`STEP`]. Takes well under a second.
pub(super) const MAX_WORK: usize = 32 * 1024 * 1024;
/// What one command, text or turn of a loop costs.
pub(super) const STEP: usize = 32;
/// Greatest width and precision of `printf`; Go's.
pub(super) const MAX_WIDTH: usize = 1_000_000;

/// Which limit was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Template,
    Nodes,
    Nesting,
    Depth,
    Data,
    Output(usize),
    Work,
}

impl fmt::Display for Limit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Template => write!(out, "template is longer than {MAX_TEMPLATE} bytes"),
            Self::Nodes => write!(out, "template has more than {MAX_NODES} texts and actions"),
            Self::Nesting => write!(out, "blocks are nested deeper than {MAX_NESTING}"),
            Self::Depth => write!(out, "template calls go deeper than {MAX_DEPTH}"),
            Self::Data => write!(out, "data is nested deeper than {MAX_DATA_DEPTH}"),
            Self::Output(max) => write!(out, "output is longer than {max} bytes"),
            Self::Work => out.write_str("template takes too many steps"),
        }
    }
}
