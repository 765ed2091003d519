//! What a Job's own policies say about a Pod that failed.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::batch::v1::PodFailurePolicyOnExitCodesRequirement;
use k8s_openapi::api::batch::v1::PodFailurePolicyOnPodConditionsPattern;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::api::core::v1::Pod;

/// What a failed Pod means for its Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One failure more.
    Count,
    /// No failure at all.
    Ignore,
    /// The end of the Job. The text says why.
    FailJob(String),
}

/// Asks the rules in order; the first that matches decides.
pub(super) fn judge(job: &Job, pod: &Pod) -> Verdict {
    let policy = job
        .spec
        .as_ref()
        .and_then(|it| it.pod_failure_policy.as_ref());
    let is_over = pod.status.as_ref().and_then(|it| it.phase.as_deref()) == Some("Failed");
    let Some(policy) = policy.filter(|_| is_over) else {
        return Verdict::Count;
    };
    for (at, rule) in policy.rules.iter().enumerate() {
        let by_exit = rule
            .on_exit_codes
            .as_ref()
            .and_then(|it| match_exit(it, pod));
        let by_condition = rule
            .on_pod_conditions
            .as_ref()
            .and_then(|it| match_condition(it, pod));
        let Some(what) = by_exit.or(by_condition) else {
            continue;
        };
        return match rule.action.as_str() {
            "FailJob" => Verdict::FailJob(format!("{what} matching FailJob rule at index {at}")),
            "Ignore" => Verdict::Ignore,
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

/// Whether a Pod that is being deleted is replaced only when it ended.
pub(super) fn only_replaces_failed(job: &Job) -> bool {
    job.spec.as_ref().is_some_and(|spec| {
        spec.pod_replacement_policy.as_deref() == Some("Failed")
            || (spec.pod_replacement_policy.is_none() && spec.pod_failure_policy.is_some())
    })
}

/// Whether another controller looks after the Job.
pub(super) fn is_foreign(job: &Job) -> bool {
    let manager = job.spec.as_ref().and_then(|it| it.managed_by.as_deref());
    manager.is_some_and(|it| it != "kubernetes.io/job-controller")
}

/// Why this cluster does not run such a Job.
pub(super) fn unsupported(job: &Job) -> Option<&'static str> {
    let spec = job.spec.as_ref()?;
    let many = |count: Option<i32>| count.is_some_and(|it| it > 1);
    (many(spec.completions)
        || many(spec.parallelism)
        || spec.completion_mode.as_deref() == Some("Indexed"))
    .then_some("this cluster runs Jobs of one Pod only")
}

fn match_exit(rule: &PodFailurePolicyOnExitCodesRequirement, pod: &Pod) -> Option<String> {
    let (container, code) = ends(pod).find_map(|(container, end)| {
        let is_meant = rule
            .container_name
            .as_ref()
            .is_none_or(|it| it == container);
        let is_listed = rule.values.contains(&end.exit_code);
        let matches = match rule.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        };
        (is_meant && end.exit_code != 0 && matches).then(|| (container.to_owned(), end.exit_code))
    })?;
    Some(format!(
        "Container {container} for pod {} failed with exit code {code}",
        full_name(pod)
    ))
}

fn match_condition(
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
    pod: &Pod,
) -> Option<String> {
    let status = pod.status.as_ref()?;
    let found = status.conditions.iter().flatten().find(|condition| {
        patterns
            .iter()
            .any(|it| it.type_ == condition.type_ && it.status == condition.status)
    })?;
    Some(format!(
        "Pod {} has condition {}",
        full_name(pod),
        found.type_
    ))
}

fn ends(pod: &Pod) -> impl Iterator<Item = (&str, &ContainerStateTerminated)> {
    let status = pod.status.iter();
    let all = status.flat_map(|it| {
        let init = it.init_container_statuses.iter().flatten();
        init.chain(it.container_statuses.iter().flatten())
    });
    all.filter_map(|it| {
        let end = it.state.as_ref()?.terminated.as_ref()?;
        Some((it.name.as_str(), end))
    })
}

fn full_name(pod: &Pod) -> String {
    format!(
        "{}/{}",
        pod.metadata.namespace.as_deref().unwrap_or_default(),
        pod.metadata.name.as_deref().unwrap_or_default()
    )
}
