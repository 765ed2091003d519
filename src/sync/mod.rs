//! GitOps: load → plan → guard → apply → observe. Only `apply` writes.
