//! The agents under test, and the Tasks that they get.

use serde_json::Value;
use serde_json::json;

use crate::model::Model;

/// The key that every agent has.
pub(crate) const KEY: &str = "scripted-key-5f1c";
/// The Secret that it is in.
pub(crate) const SECRET: &str = "agents";

/// One agent as a Task names it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agent {
    /// Of the Task.
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    model: Option<&'static str>,
    /// The variable of its credential, which is the Secret's key too.
    pub(crate) variable: &'static str,
    /// The variable that leads it to another host, and what follows that.
    base: (&'static str, &'static str),
    /// In the path of its requests.
    pub(crate) path: &'static str,
    /// What the scripted run costs, to the ten-thousandth of a cent, and whether it is an estimate.
    pub(crate) cost: Option<(f64, bool)>,
    /// Most requests that it makes before it takes a refusal for one.
    pub(crate) most_refused: usize,
}

pub(crate) const CLAUDE: Agent = Agent {
    name: "claude",
    kind: "claude-code",
    model: Some("claude-sonnet-4-5"),
    variable: "ANTHROPIC_API_KEY",
    base: ("ANTHROPIC_BASE_URL", ""),
    path: "/v1/messages",
    cost: Some((0.006_915, false)),
    most_refused: 5,
};

pub(crate) const CODEX: Agent = Agent {
    name: "codex",
    kind: "codex",
    model: Some("gpt-5.1-codex"),
    variable: "CODEX_API_KEY",
    base: ("OPENAI_BASE_URL", "/v1"),
    path: "/v1/responses",
    cost: Some((0.003_087, true)),
    most_refused: 4,
};

/// Codex without a model's name: it then offers other tools.
pub(crate) const CODEX_DEFAULT: Agent = Agent {
    name: "codex-default",
    model: None,
    cost: None,
    ..CODEX
};

pub(crate) const GEMINI: Agent = Agent {
    name: "gemini",
    kind: "gemini",
    model: Some("gemini-2.5-pro"),
    variable: "GEMINI_API_KEY",
    base: ("GOOGLE_GEMINI_BASE_URL", ""),
    path: "/v1beta/models/gemini-2.5-pro",
    cost: Some((0.003_087, true)),
    most_refused: 1,
};

pub(crate) const OPENCODE: Agent = Agent {
    name: "opencode",
    kind: "opencode",
    model: Some("scripted/model"),
    variable: "OPENCODE_API_KEY",
    base: ("OPENAI_BASE_URL", "/v1"),
    path: "/v1/chat/completions",
    cost: None,
    most_refused: 1,
};

pub(crate) const ALL: [Agent; 4] = [CLAUDE, CODEX, GEMINI, OPENCODE];

impl Agent {
    /// What a Task of this agent says, less where it works. `deadline`: in seconds.
    pub(crate) fn task(&self, model: &Model, prompt: &str, deadline: Option<u64>) -> Value {
        let (variable, suffix) = self.base;
        let mut overrides = json!({"env": [{"name": variable, "value": model.url() + suffix}]});
        if let Some(seconds) = deadline {
            overrides["activeDeadlineSeconds"] = json!(seconds);
        }
        let mut task = json!({
            "type": self.kind, "prompt": prompt, "podOverrides": overrides,
            "credentials": {"type": "api-key", "secretRef": {"name": SECRET}},
            "branch": self.branch(),
        });
        if let Some(name) = self.model {
            task["model"] = json!(name);
        }
        task
    }

    pub(crate) fn branch(&self) -> String {
        format!("axon/{}", self.name)
    }

    /// The branch that the lingering tool pushes as soon as it runs.
    pub(crate) fn began(&self) -> String {
        format!("began/{}", self.name)
    }
}
