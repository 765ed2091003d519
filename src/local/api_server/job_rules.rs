//! What may not be in the specification of a Job, in Kubernetes' words.

use serde_json::Value;

use super::builtin_rules;
use super::error::FieldError;
use super::error::Problem;
use super::metadata;
use super::object;
use super::pod_rules;
use super::pod_rules::supported;

/// The most rules that a policy of failures may have.
const MAX_RULES: usize = 20;
/// The most codes, or conditions, of one rule.
const MAX_CODES: usize = 255;
const MAX_CONDITIONS: usize = 20;
const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: [&str; 2] = ["In", "NotIn"];
const STATUSES: [&str; 3] = ["False", "True", "Unknown"];

/// Labels that the server gives the Pods of a Job: its UID, and its name.
const GENERATED: [(&str, &str); 4] = [
    ("batch.kubernetes.io/controller-uid", "uid"),
    ("batch.kubernetes.io/job-name", "name"),
    ("controller-uid", "uid"),
    ("job-name", "name"),
];

pub(super) fn check(job: &Value, errors: &mut Vec<FieldError>) {
    let spec = &job["spec"];
    let mut problems = Problems { errors };
    problems.selector(job);
    let policy = &spec["podFailurePolicy"];
    let replacements: &[&str] = if policy.is_null() {
        &["Failed", "TerminatingOrFailed"]
    } else {
        &["Failed"]
    };
    problems.choice(
        "spec.podReplacementPolicy",
        &spec["podReplacementPolicy"],
        replacements,
    );
    problems.choice(
        "spec.completionMode",
        &spec["completionMode"],
        &["NonIndexed", "Indexed"],
    );
    if spec["completionMode"] == "Indexed" && spec["completions"].is_null() {
        problems.required("spec.completions", "when completion mode is Indexed");
    }
    problems.host_names(job);
    problems.rules(spec, policy);
    let template = &spec["template"];
    metadata::labels(
        "spec.template.labels",
        &template["metadata"],
        problems.errors,
    );
    pod_rules::spec(&template["spec"], "spec.template.spec", problems.errors);
    let at = "spec.template.spec.restartPolicy";
    let restarts = &template["spec"]["restartPolicy"];
    if *restarts == "Always" {
        problems.required(at, "valid values: \"OnFailure\", \"Never\"");
    } else if !policy.is_null() && *restarts == "OnFailure" {
        let why = "only \"Never\" is supported when podFailurePolicy is specified";
        problems.wrong(at, Problem::Invalid(restarts.clone()), why);
    } else {
        problems.choice(at, restarts, &["OnFailure", "Never"]);
    }
}

/// What of a Job's Pods may change while it is suspended: where they run.
const WHERE: [&str; 4] = ["nodeSelector", "tolerations", "affinity", "schedulingGates"];

/// Checks what changed from `old` to `new`.
pub(super) fn change(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let (was, is) = (&old["spec"], &new["spec"]);
    if let Some(why) = completions_problem(was, is) {
        let problem = Problem::Invalid(is["completions"].clone());
        errors.push(FieldError::new("spec.completions", problem, why));
    }
    if is_held(old) {
        if resting(was) != resting(is) {
            let spec = &is["template"]["spec"];
            errors.push(builtin_rules::immutable("spec.template.spec", spec));
        }
    } else if was["template"] != is["template"] {
        errors.push(builtin_rules::immutable("spec.template", &is["template"]));
    }
}

/// How many Pods have to succeed may change of a Job whose Pods have an index, together with how many run at once.
fn completions_problem(old: &Value, new: &Value) -> Option<&'static str> {
    let wanted = &new["completions"];
    if *wanted == old["completions"] {
        None
    } else if new["completionMode"] != "Indexed" {
        Some("field is immutable")
    } else if !wanted.is_null() && *wanted != new["parallelism"] {
        Some("can only be modified in tandem with spec.parallelism")
    } else {
        None
    }
}

/// Whether a Job is suspended, and none of its Pods runs.
fn is_held(job: &Value) -> bool {
    let status = &job["status"];
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let is_told = conditions.any(|it| it["type"] == "Suspended" && it["status"] == "True");
    job["spec"]["suspend"] == true
        && (status["startTime"].is_null() || is_told)
        && status["active"].as_i64().unwrap_or(0) == 0
}

/// What of a suspended Job's Pods may not change: all but where they run and what they ask for.
fn resting(spec: &Value) -> Value {
    let mut pod = spec["template"]["spec"].clone();
    for field in WHERE {
        pod[field] = Value::Null;
    }
    for kind in ["containers", "initContainers"] {
        for container in pod[kind].as_array_mut().into_iter().flatten() {
            container["resources"] = Value::Null;
        }
    }
    pod
}

/// What was found.
struct Problems<'a> {
    errors: &'a mut Vec<FieldError>,
}

impl Problems<'_> {
    fn wrong(&mut self, at: &str, problem: Problem, why: &str) {
        self.errors.push(FieldError::new(at, problem, why));
    }

    fn required(&mut self, at: &str, why: &str) {
        self.wrong(at, Problem::Required, why);
    }

    /// One of a few words, if it is there.
    fn choice(&mut self, at: &str, value: &Value, among: &[&str]) {
        if !value.is_null() && !among.iter().any(|it| value == it) {
            let problem = Problem::Unsupported(value.clone());
            self.wrong(at, problem, &supported(among));
        }
    }

    /// One of a few words, which must be there.
    fn needed(&mut self, at: &str, value: &Value, among: &[&str]) {
        if value.as_str().is_none_or(str::is_empty) {
            let quoted: Vec<_> = among.iter().map(|it| format!("\"{it}\"")).collect();
            self.required(at, &format!("valid values: [{}]", quoted.join(" ")));
        } else {
            self.choice(at, value, among);
        }
    }

    /// The selector must find the Pods of this Job, and where it is generated no others.
    fn selector(&mut self, job: &Value) {
        const PODS: &str = "spec.template.metadata.labels";
        let spec = &job["spec"];
        let selector = &spec["selector"];
        let labels = &spec["template"]["metadata"]["labels"];
        if selector.is_null() {
            self.required("spec.selector", "");
        }
        let wanted = selector["matchLabels"].as_object();
        let of_labels = |key: &str| labels.get(key).cloned().unwrap_or_default();
        let finds = |of: &dyn Fn(&str) -> Value| {
            let mut wanted = wanted.into_iter().flatten();
            !selector.is_null() && wanted.all(|(key, value)| of(key) == *value)
        };
        if !finds(&of_labels) {
            let why = "`selector` does not match template `labels`";
            self.wrong(PODS, Problem::Invalid(labels.clone()), why);
        }
        if spec["manualSelector"] == true || selector.is_null() {
            return;
        }
        let generated = |key: &str| {
            let found = GENERATED.iter().find(|(label, _)| *label == key);
            found.map_or(Value::Null, |(_, of)| job["metadata"][*of].clone())
        };
        for (label, _) in GENERATED {
            let expected = generated(label);
            let problem = match of_labels(label) {
                Value::Null => Problem::Required,
                known if known != expected => Problem::Invalid(labels.clone()),
                _ => continue,
            };
            let why = format!("must be '{}'", expected.as_str().unwrap_or_default());
            self.wrong(&format!("{PODS}[{label}]"), problem, &why);
        }
        if !finds(&generated) {
            let why = "`selector` not auto-generated";
            self.wrong("spec.selector", Problem::Invalid(selector.clone()), why);
        }
    }

    /// A Pod with an index has it in its host's name.
    fn host_names(&mut self, job: &Value) {
        let name = object::name(job);
        let wanted = job["spec"]["completions"].as_i64().unwrap_or(0);
        let host = format!("{name}-{}", wanted - 1);
        let is_indexed = job["spec"]["completionMode"] == "Indexed" && wanted > 0;
        if is_indexed && metadata::dns_label(&host).is_some() {
            let why = format!("will not able to create pod with invalid DNS label: {host}");
            self.wrong("metadata.name", Problem::Invalid(name.into()), &why);
        }
    }

    fn rules(&mut self, spec: &Value, policy: &Value) {
        let rules = policy["rules"].as_array().map(Vec::as_slice);
        let rules = rules.unwrap_or_default();
        if rules.len() > MAX_RULES {
            let many = Problem::TooMany(rules.len() as u64);
            let why = format!("must have at most {MAX_RULES} items");
            self.wrong("spec.podFailurePolicy.rules", many, &why);
        }
        let template = &spec["template"]["spec"];
        let containers = ["containers", "initContainers"];
        let containers = containers.iter().filter_map(|it| template[*it].as_array());
        let names: Vec<_> = containers.flatten().map(|it| &it["name"]).collect();
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("spec.podFailurePolicy.rules[{index}]");
            let action = &rule["action"];
            if *action == "FailIndex" && spec["backoffLimitPerIndex"].is_null() {
                let problem = Problem::Invalid(action.clone());
                let why = "requires the backoffLimitPerIndex to be set";
                self.wrong(&format!("{at}.action"), problem, why);
            } else {
                self.needed(&format!("{at}.action"), action, &ACTIONS);
            }
            self.rule(rule, &at, &names);
        }
    }

    fn rule(&mut self, rule: &Value, at: &str, names: &[&Value]) {
        let codes = &rule["onExitCodes"];
        let conditions = rule["onPodConditions"].as_array().map(Vec::as_slice);
        let conditions = conditions.unwrap_or_default();
        if !codes.is_null() {
            self.codes(codes, &format!("{at}.onExitCodes"), names);
        }
        if conditions.len() > MAX_CONDITIONS {
            let many = Problem::TooMany(conditions.len() as u64);
            let why = format!("must have at most {MAX_CONDITIONS} items");
            self.wrong(&format!("{at}.onPodConditions"), many, &why);
        }
        for (index, condition) in conditions.iter().enumerate() {
            let at = format!("{at}.onPodConditions[{index}]");
            let kind = condition["type"].as_str().unwrap_or_default();
            if let Some(why) = metadata::qualified_name_problem(kind) {
                let problem = Problem::Invalid(kind.into());
                self.wrong(&format!("{at}.type"), problem, &why);
            }
            self.needed(&format!("{at}.status"), &condition["status"], &STATUSES);
        }
        if codes.is_null() == conditions.is_empty() {
            let why = if codes.is_null() {
                "specifying one of OnExitCodes and OnPodConditions is required"
            } else {
                "specifying both OnExitCodes and OnPodConditions is not supported"
            };
            self.wrong(at, Problem::InvalidWhole, why);
        }
    }

    fn codes(&mut self, codes: &Value, at: &str, names: &[&Value]) {
        let operator = &codes["operator"];
        self.needed(&format!("{at}.operator"), operator, &OPERATORS);
        let container = &codes["containerName"];
        if !container.is_null() && !names.contains(&container) {
            let problem = Problem::Invalid(container.clone());
            let why = "must be one of the container or initContainer names in the pod template";
            self.wrong(&format!("{at}.containerName"), problem, why);
        }
        let values = codes["values"].as_array().map(Vec::as_slice);
        let values = values.unwrap_or_default();
        let path = format!("{at}.values");
        if values.is_empty() {
            let problem = Problem::Invalid(codes["values"].clone());
            self.wrong(&path, problem, "at least one value is required");
        } else if values.len() > MAX_CODES {
            let why = format!("must have at most {MAX_CODES} items");
            self.wrong(&path, Problem::TooMany(values.len() as u64), &why);
        }
        for (index, value) in values.iter().enumerate() {
            let at = format!("{path}[{index}]");
            if *operator == "In" && *value == 0 {
                let problem = Problem::Invalid(value.clone());
                self.wrong(&at, problem, "must not be 0 for the In operator");
            }
            if values[..index].contains(value) {
                self.wrong(&at, Problem::Duplicate(value.clone()), "");
            }
        }
        if !values.is_sorted_by_key(Value::as_i64) {
            let problem = Problem::Invalid(codes["values"].clone());
            self.wrong(&path, problem, "must be ordered");
        }
    }
}
