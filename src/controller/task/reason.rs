//! The reasons that a Task's conditions give.

/// What a Task that has not ended waits for: reasons of the condition `Started` while it is false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// For Tasks that it depends on.
    ForDependency,
    /// Another Task works on the same branch of the same Workspace.
    ForBranch,
    /// The last attempt has failed; the next one is not due yet.
    ForRetry,
    WorkspaceNotFound,
    /// Ours: the Workspace is there, and cannot be used as it is.
    WorkspaceInvalid,
    SecretNotFound,
    SecretKeyMissing,
    /// Ours: the controller may not read it.
    SecretForbidden,
    /// Ours: `podOverrides` names it.
    ConfigMapNotFound,
    ConfigMapKeyMissing,
    /// The name of the Job is claimed; the Job itself has not been seen.
    Starting,
    /// Ours: the API server refuses the Job or its Pod for now, by a quota for example.
    JobRefused,
    /// The Job is there; its Pod is not, or does nothing yet.
    PodPending,
    Unschedulable,
    ImagePullFailed,
    /// Ours: its node cannot make a container as the Pod asks.
    ContainerRefused,
    Cloning,
}

/// Whether a Task that waits for this `reason` (of its condition `Started`) waits until a person
/// does something.
pub fn waits_for_a_person(reason: &str) -> bool {
    Waiting::parse(reason).is_some_and(Waiting::needs_a_person)
}

impl Waiting {
    const ALL: [Self; 17] = [
        Self::ForDependency,
        Self::ForBranch,
        Self::ForRetry,
        Self::WorkspaceNotFound,
        Self::WorkspaceInvalid,
        Self::SecretNotFound,
        Self::SecretKeyMissing,
        Self::SecretForbidden,
        Self::ConfigMapNotFound,
        Self::ConfigMapKeyMissing,
        Self::Starting,
        Self::JobRefused,
        Self::PodPending,
        Self::Unschedulable,
        Self::ImagePullFailed,
        Self::ContainerRefused,
        Self::Cloning,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ForDependency => "WaitingForDependency",
            Self::ForBranch => "WaitingForBranch",
            Self::ForRetry => "WaitingForRetry",
            Self::WorkspaceNotFound => "WorkspaceNotFound",
            Self::WorkspaceInvalid => "WorkspaceInvalid",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::SecretForbidden => "SecretForbidden",
            Self::ConfigMapNotFound => "ConfigMapNotFound",
            Self::ConfigMapKeyMissing => "ConfigMapKeyMissing",
            Self::Starting => "Starting",
            Self::JobRefused => "JobRefused",
            Self::PodPending => "PodPending",
            Self::Unschedulable => "Unschedulable",
            Self::ImagePullFailed => "ImagePullFailed",
            Self::ContainerRefused => "ContainerRefused",
            Self::Cloning => "Cloning",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }

    /// Whether a Task that waits for this may still have no Job.
    pub(super) fn is_before_the_job(self) -> bool {
        match self {
            Self::ForDependency
            | Self::ForBranch
            | Self::ForRetry
            | Self::WorkspaceNotFound
            | Self::WorkspaceInvalid
            | Self::SecretNotFound
            | Self::SecretKeyMissing
            | Self::SecretForbidden
            | Self::ConfigMapNotFound
            | Self::ConfigMapKeyMissing
            | Self::Starting
            | Self::JobRefused => true,
            Self::PodPending
            | Self::Unschedulable
            | Self::ImagePullFailed
            | Self::ContainerRefused
            | Self::Cloning => false,
        }
    }

    /// Whether a person has to do something before it goes on.
    pub(super) fn needs_a_person(self) -> bool {
        match self {
            Self::WorkspaceNotFound
            | Self::WorkspaceInvalid
            | Self::SecretNotFound
            | Self::SecretKeyMissing
            | Self::SecretForbidden
            | Self::ConfigMapNotFound
            | Self::ConfigMapKeyMissing
            | Self::JobRefused
            | Self::Unschedulable
            | Self::ImagePullFailed
            | Self::ContainerRefused => true,
            Self::ForDependency
            | Self::ForBranch
            | Self::ForRetry
            | Self::Starting
            | Self::PodPending
            | Self::Cloning => false,
        }
    }
}

/// How a Task ended: reasons of the conditions `Complete` and `Failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Succeeded,
    AgentFailed,
    CloneFailed,
    DeadlineExceeded,
    OutOfMemory,
    /// The node or the cluster wanted its room back.
    Evicted,
    NodeLost,
    JobLost,
    InvalidSpec,
    AlreadyRan,
    NameTaken,
    /// A Task that it depends on has failed.
    DependencyFailed,
    Cancelled,
}

impl End {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::AgentFailed => "AgentFailed",
            Self::CloneFailed => "CloneFailed",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::OutOfMemory => "OutOfMemory",
            Self::Evicted => "Evicted",
            Self::NodeLost => "NodeLost",
            Self::JobLost => "JobLost",
            Self::InvalidSpec => "InvalidSpec",
            Self::AlreadyRan => "AlreadyRan",
            Self::NameTaken => "NameTaken",
            Self::DependencyFailed => "DependencyFailed",
            Self::Cancelled => "Cancelled",
        }
    }
}
