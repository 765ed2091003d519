//! The command line: one file per command; all printing is here.
