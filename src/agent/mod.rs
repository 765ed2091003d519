//! The workspace checkout that runs in the Pod before the agent.
