//! The filters of expressions. Those whose result can be longer than what they are given are our
//! own and bounded; the others are Tera's.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tera::Kwargs;
use tera::State;
use tera::Tera;
use tera::Value;

use super::BUDGET;
use super::Fault;

/// The filters that can be used.
pub const FILTERS: &[&str] = &[
    "capitalize",
    "default",
    "first",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "nth",
    "replace",
    "reverse",
    "split",
    "str",
    "title",
    "trim",
    "trim_end",
    "trim_start",
    "truncate",
    "upper",
];

/// Longest text between two filters.
const MAX_TEXT: usize = 16 << 10;

/// Counts work that was done.
pub(super) fn spend(spent: &AtomicUsize, cost: usize) -> Result<(), Fault> {
    let before = spent.fetch_add(cost, Ordering::Relaxed);
    if before.saturating_add(cost) > BUDGET {
        return Err(Fault::TooMuch);
    }
    Ok(())
}

/// Puts the bounded filters in place of Tera's own.
pub(super) fn register(tera: &mut Tera, spent: &Arc<AtomicUsize>) {
    let count = Arc::clone(spent);
    tera.register_filter(
        "replace",
        move |text: &str, arguments: Kwargs, _: &State<'_>| {
            let from: &str = arguments.must_get("from")?;
            let to: &str = arguments.must_get("to")?;
            let times = text.matches(from).count();
            let size = text.len() + times * to.len();
            bounded(size, &count)?;
            Ok::<_, tera::Error>(text.replace(from, to))
        },
    );
    let count = Arc::clone(spent);
    tera.register_filter(
        "join",
        move |items: Vec<Value>, arguments: Kwargs, _: &State<'_>| {
            let between: &str = arguments.get("sep")?.unwrap_or_default();
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            let size: usize = items.iter().map(|item| item.len() + between.len()).sum();
            bounded(size, &count)?;
            Ok::<_, tera::Error>(items.join(between))
        },
    );
}

fn bounded(size: usize, spent: &AtomicUsize) -> Result<(), tera::Error> {
    spend(spent, size).map_err(tera::Error::message)?;
    if size > MAX_TEXT {
        let limit = MAX_TEXT >> 10;
        let message = format!("a text between filters has at most {limit} KiB");
        return Err(tera::Error::message(message));
    }
    Ok(())
}
