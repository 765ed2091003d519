//! A git repository, or a directory, at one revision.
