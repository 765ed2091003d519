//! The controllers: watch, decide, requeue, status, events.
