//! Whether the process of a container that ended starts again, and when: the kubelet's rules.

use std::time::Duration;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::PodSpec;

use super::status::End;
use super::status::is_sidecar;

/// The pause before the second new process; the first has none.
const FIRST: Duration = Duration::from_secs(10);
const LAST: Duration = Duration::from_mins(5);
/// Whoever ran this long begins with short pauses again.
const FORGIVEN: SignedDuration = SignedDuration::from_mins(10);

/// After which ends a container starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restarts {
    Never,
    AfterFailure,
    Always,
}

impl Restarts {
    /// Of one of a Pod's main containers.
    pub(super) fn of_main(pod: &PodSpec) -> Self {
        match pod.restart_policy.as_deref() {
            Some("Never") => Self::Never,
            Some("OnFailure") => Self::AfterFailure,
            // What Kubernetes takes where nothing is said.
            Some(_) | None => Self::Always,
        }
    }

    /// Of an init container: it is to end well once, unless it runs beside the others.
    pub(super) fn of_init(pod: &PodSpec, container: &Container) -> Self {
        if is_sidecar(container) {
            return Self::Always;
        }
        match Self::of_main(pod) {
            Self::Never => Self::Never,
            Self::AfterFailure | Self::Always => Self::AfterFailure,
        }
    }

    pub(super) fn after(self, code: i32) -> bool {
        match self {
            Self::Never => false,
            Self::AfterFailure => code != 0,
            Self::Always => true,
        }
    }
}

/// The pauses between the processes of one container.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    /// How long to wait after this end.
    pub(super) fn after(&mut self, end: &End) -> Duration {
        let ran = end.started.map(|it| end.finished.duration_since(it));
        if ran.is_some_and(|ran| ran >= FORGIVEN) {
            self.next = Duration::ZERO;
        }
        let pause = self.next;
        self.next = (pause * 2).clamp(FIRST, LAST);
        pause
    }
}

/// Whole seconds as Kubernetes prints them: `10s`, `2m40s`.
pub(super) fn go_duration(it: Duration) -> String {
    match (it.as_secs() / 60, it.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn end(ran: i64) -> End {
        let at = |second| Timestamp::from_second(second).unwrap();
        End {
            code: 1,
            reason: String::new(),
            message: String::new(),
            started: Some(at(0)),
            finished: at(ran),
        }
    }

    #[test]
    fn pauses_double_until_one_ran_long() {
        let mut backoff = Backoff::default();
        let ran = [1, 1, 1, 1, 1, 1, 1, 1, 600, 1];
        let pauses = ran.map(|it| go_duration(backoff.after(&end(it))));
        let expected = [
            "0s", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s", "5m0s", "0s", "10s",
        ];
        assert_eq!(pauses, expected);
    }

    #[test]
    fn a_policy_says_after_which_ends() {
        let check = |pod: &str, is_sidecar: bool, main, init| {
            let pod = PodSpec {
                restart_policy: Some(pod.to_owned()),
                ..PodSpec::default()
            };
            let container = Container {
                restart_policy: is_sidecar.then(|| "Always".to_owned()),
                ..Container::default()
            };
            assert_eq!(Restarts::of_main(&pod), main);
            assert_eq!(Restarts::of_init(&pod, &container), init);
        };
        check("Never", false, Restarts::Never, Restarts::Never);
        check("Never", true, Restarts::Never, Restarts::Always);
        check(
            "OnFailure",
            false,
            Restarts::AfterFailure,
            Restarts::AfterFailure,
        );
        check("Always", false, Restarts::Always, Restarts::AfterFailure);
        assert!(Restarts::Always.after(0) && !Restarts::AfterFailure.after(0));
        assert!(Restarts::AfterFailure.after(1) && !Restarts::Never.after(1));
    }
}
