//! The embedded cluster: API server, Job controller, runner. Knows Kubernetes and nothing of Axon.
