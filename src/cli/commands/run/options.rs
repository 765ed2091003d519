//! What `axon run` is told, and the spec that it makes of that.

use clap::Args;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::api::task::AgentType;
use crate::api::task::TaskSpec;
use crate::cli::inspect::kind::object_name;
use crate::cli::ui::Failure;
use crate::model;
use crate::model::duration::GoDuration;
use crate::model::problem::Severity;

/// Stands for the value of a variable.
const MASK: &str = "***";

/// What an agent needs.
const NEEDS: &str = "\
An agent needs a Secret with its key, in the Task's namespace, named by --secret (or $AXON_SECRET). The
Secret's key has the name of the agent's variable: ANTHROPIC_API_KEY (claude-code), CODEX_API_KEY,
GEMINI_API_KEY, OPENCODE_API_KEY, CURSOR_API_KEY or AXON_API_KEY (custom); with --credential-type oauth
CLAUDE_CODE_OAUTH_TOKEN (claude-code).
To work on a repository it needs a Workspace, named by --workspace (or $AXON_WORKSPACE).";

/// Run an agent: create a Task
#[derive(Debug, Args)]
#[command(after_help = NEEDS)]
pub struct Options {
    /// What the agent is asked to do
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Read the prompt from this file; - is stdin
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<String>,
    /// Which agent: claude-code, codex, gemini, opencode, cursor or custom
    #[arg(short = 't', long = "type", env = "AXON_TYPE", value_name = "TYPE", default_value = "claude-code", value_parser = agent_type)]
    agent: AgentType,
    /// Secret with the agent's key
    #[arg(long, env = "AXON_SECRET", value_name = "NAME")]
    secret: Option<String>,
    /// What the Secret holds: api-key or oauth; none for an agent that needs no key [default: api-key]
    #[arg(long, env = "AXON_CREDENTIAL_TYPE", value_name = "TYPE", value_parser = ["api-key", "oauth", "none"])]
    credential_type: Option<String>,
    /// Model, in the agent's own terms
    #[arg(long, env = "AXON_MODEL", value_name = "MODEL")]
    model: Option<String>,
    /// Image to run instead of the default one
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Name of the Task [default: the type and five letters]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Workspace to work in
    #[arg(long, env = "AXON_WORKSPACE", value_name = "NAME")]
    workspace: Option<String>,
    /// Branch to work on; created if it is missing
    #[arg(long, value_name = "BRANCH", requires = "workspace")]
    branch: Option<String>,
    /// End the run after so long
    #[arg(long, value_name = "DURATION", value_parser = GoDuration::parse)]
    timeout: Option<GoDuration>,
    /// A variable of the agent; it stands in the Task as it is, so no secrets
    #[arg(long = "env", value_name = "KEY=VALUE")]
    env: Vec<String>,
    /// Follow the run; exits 1 if it failed
    #[arg(short, long)]
    pub watch: bool,
    /// Print all that would be created, values of --env masked, and create nothing
    #[arg(long, conflicts_with = "watch")]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

fn agent_type(text: &str) -> Result<AgentType, String> {
    let found = AgentType::ALL.into_iter().find(|it| it.as_str() == text);
    found.ok_or_else(|| {
        let known = AgentType::ALL.map(AgentType::as_str);
        format!("known are {}", known.join(", "))
    })
}

impl Options {
    pub(super) fn agent(&self) -> &'static str {
        self.agent.as_str()
    }

    /// The spec, of what was typed and nothing that is defaulted; checked as the controller will.
    pub(super) fn spec(&self, prompt: &str) -> Result<Value, Failure> {
        let mut spec = Map::from_iter([
            ("type".to_owned(), json!(self.agent())),
            ("prompt".to_owned(), json!(prompt)),
            ("credentials".to_owned(), self.credentials()?),
        ]);
        let mut set = |key: &str, value: Value| drop(spec.insert(key.to_owned(), value));
        let text = |text: &Option<String>| text.as_ref().map(|it| json!(it));
        for (key, value) in [
            ("model", text(&self.model)),
            ("image", text(&self.image)),
            ("branch", text(&self.branch)),
        ] {
            if let Some(value) = value {
                set(key, value);
            }
        }
        if let Some(workspace) = &self.workspace {
            let name = object_name(workspace)?;
            set("workspaceRef", json!({"name": name.as_str()}));
        }
        let overrides = self.overrides()?;
        if !overrides.is_empty() {
            set("podOverrides", Value::Object(overrides));
        }
        let spec = Value::Object(spec);
        check(&spec)?;
        Ok(spec)
    }

    fn credentials(&self) -> Result<Value, Failure> {
        let kind = self.credential_type.as_deref();
        match (&self.secret, kind) {
            (Some(_), Some("none")) => Err(Failure::usage(
                "--secret cannot be used with --credential-type none",
            )),
            (Some(name), kind) => {
                let name = object_name(name)?;
                let kind = kind.unwrap_or("api-key");
                Ok(json!({"type": kind, "secretRef": {"name": name.as_str()}}))
            }
            (None, Some("none")) => Ok(json!({"type": "none"})),
            (None, Some(_) | None) => Err(Failure::usage("no Secret with the agent's key is named")
                .hint("name it: --secret NAME (or $AXON_SECRET); an agent that needs none: --credential-type none")),
        }
    }

    fn overrides(&self) -> Result<Map<String, Value>, Failure> {
        let mut overrides = Map::new();
        if let Some(limit) = self.timeout {
            let seconds = limit.get().as_secs();
            if seconds == 0 {
                return Err(Failure::usage("--timeout must be at least 1s"));
            }
            overrides.insert("activeDeadlineSeconds".to_owned(), json!(seconds));
        }
        let mut env = Vec::new();
        for each in &self.env {
            // The value is not repeated: it may be a secret all the same.
            let Some((name, value)) = each.split_once('=').filter(|(name, _)| !name.is_empty())
            else {
                return Err(Failure::usage("an --env has the wrong form").hint("write KEY=VALUE"));
            };
            env.push(json!({"name": name, "value": value}));
        }
        if !env.is_empty() {
            overrides.insert("env".to_owned(), json!(env));
        }
        Ok(overrides)
    }
}

fn check(spec: &Value) -> Result<(), Failure> {
    let spec: TaskSpec = serde_json::from_value(spec.clone())
        .map_err(|error| Failure::new("cannot make a Task of this", &error))?;
    let problems = model::task::validate(&spec);
    let wrong = problems.iter().filter(|it| it.severity == Severity::Error);
    let wrong: Vec<String> = wrong
        .map(|it| format!("{}: {}", it.pointer.trim_start_matches('/'), it.message))
        .collect();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Failure {
        causes: wrong,
        ..Failure::usage("cannot make a Task of this")
    })
}

/// Hides the values of variables: no name tells that one is no secret.
pub(super) fn mask(manifest: &mut Value) {
    let env = manifest.pointer_mut("/spec/podOverrides/env");
    for each in env.and_then(Value::as_array_mut).into_iter().flatten() {
        each["value"] = json!(MASK);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn check(arguments: &str, expected: &str) {
        let words = format!("run {arguments}");
        let line = Line::try_parse_from(words.split_whitespace()).unwrap();
        let told = match line.options.spec("x") {
            Ok(spec) => spec.to_string(),
            Err(failure) => format!("{} {}", failure.what, failure.causes.join(" ")),
        };
        assert!(told.contains(expected), "{arguments}: {told}");
    }

    #[test]
    fn only_what_was_typed_is_sent() {
        check(
            "--secret s",
            r#"{"credentials":{"secretRef":{"name":"s"},"type":"api-key"},"prompt":"x","type":"claude-code"}"#,
        );
        check(
            "-t codex --credential-type none --workspace web --branch b --timeout 90s --env A=b=c --model m",
            r#""podOverrides":{"activeDeadlineSeconds":90,"env":[{"name":"A","value":"b=c"}]}"#,
        );
    }

    #[test]
    fn what_cannot_be_is_said_before_it_is_sent() {
        check("-t codex", "no Secret");
        check("--secret A_B", "cannot use this name");
        check("--secret s --credential-type none", "cannot be used with");
        check("--secret s --env A", "wrong form");
        check("--secret s --timeout 1ms", "at least 1s");
        check("-t custom --credential-type none", "image");
    }

    #[test]
    fn values_of_variables_are_masked() {
        let mut manifest = json!({"spec": {"podOverrides": {"env": [
            {"name": "MY_TOKEN", "value": "a"}, {"name": "DATABASE_URL", "value": "b"},
        ]}}});
        mask(&mut manifest);
        let env = &manifest["spec"]["podOverrides"]["env"];
        let masked =
            json!([{"name": "MY_TOKEN", "value": MASK}, {"name": "DATABASE_URL", "value": MASK}]);
        assert_eq!(*env, masked);
    }
}
