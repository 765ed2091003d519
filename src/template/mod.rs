//! Prompts from work items by Go text/template: pure, bounded.
