//! Where work comes from. Each source yields work items.
