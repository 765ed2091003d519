//! The few API-server verbs that the pipeline needs: list, dry run, server-side apply, delete.
