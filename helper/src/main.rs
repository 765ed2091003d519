//! Starts the helper.

fn main() {}
