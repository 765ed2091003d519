//! Which images the Pods of Tasks run.

use std::collections::HashMap;
use std::str::FromStr;

use crate::api::task::AgentType;

/// Where our own images are published.
const REGISTRY: &str = "ghcr.io/axon-dev";

/// The images that Pods run: one for each agent type, and the helper's.
#[derive(Clone, Debug)]
pub struct Images {
    chosen: HashMap<AgentType, String>,
    /// Our own image: it checks the workspace out and brings the helper.
    pub helper: String,
    /// When to pull. Absent: as Kubernetes decides by the tag.
    pub pull_policy: Option<PullPolicy>,
}

impl Default for Images {
    fn default() -> Self {
        Self {
            chosen: HashMap::new(),
            helper: format!("{REGISTRY}/axon:{}", env!("CARGO_PKG_VERSION")),
            pull_policy: None,
        }
    }
}

impl Images {
    /// Uses `image` for Tasks of this type that name none.
    #[must_use]
    pub fn with(mut self, agent: AgentType, image: impl Into<String>) -> Self {
        self.chosen.insert(agent, image.into());
        self
    }

    /// The image of a Task of this type that names none; there is none for agents of the user's own.
    pub fn of(&self, agent: AgentType) -> Option<String> {
        if let Some(image) = self.chosen.get(&agent) {
            return Some(image.clone());
        }
        match agent {
            AgentType::ClaudeCode | AgentType::Codex | AgentType::Gemini | AgentType::OpenCode => {
                Some(format!(
                    "{REGISTRY}/axon-{}:{}",
                    agent.as_str(),
                    env!("CARGO_PKG_VERSION")
                ))
            }
            AgentType::Cursor | AgentType::Custom => None,
        }
    }
}

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullPolicy {
    Always,
    IfNotPresent,
    Never,
}

impl PullPolicy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Why a text does not choose an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImage {
    #[error("\"{0}\" must be TYPE=IMAGE, for example \"claude-code=registry.example/claude:1\"")]
    Form(String),
    #[error("\"{given}\" is not an agent type; those are {known}")]
    Agent { given: String, known: String },
    #[error("\"{0}\" must be \"Always\", \"IfNotPresent\" or \"Never\"")]
    PullPolicy(String),
}

/// The value of `--image`: an agent type and the image to run for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageChoice {
    pub agent: AgentType,
    pub image: String,
}

impl FromStr for ImageChoice {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        let (agent, image) = text
            .split_once('=')
            .filter(|(_, image)| !image.is_empty())
            .ok_or_else(|| InvalidImage::Form(text.to_owned()))?;
        let known = AgentType::ALL.into_iter().find(|it| it.as_str() == agent);
        let agent = known.ok_or_else(|| InvalidImage::Agent {
            given: agent.to_owned(),
            known: AgentType::ALL
                .map(|it| format!("\"{}\"", it.as_str()))
                .join(", "),
        })?;
        Ok(Self {
            agent,
            image: image.to_owned(),
        })
    }
}

impl FromStr for PullPolicy {
    type Err = InvalidImage;

    fn from_str(text: &str) -> Result<Self, InvalidImage> {
        [Self::Always, Self::IfNotPresent, Self::Never]
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or_else(|| InvalidImage::PullPolicy(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_wins_over_the_default() {
        let images = Images::default();
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            images.of(AgentType::ClaudeCode),
            Some(format!("ghcr.io/axon-dev/axon-claude-code:{version}"))
        );
        assert_eq!(images.of(AgentType::Custom), None);
        let images = images.with(AgentType::Codex, "mine:1");
        assert_eq!(images.of(AgentType::Codex).as_deref(), Some("mine:1"));
    }

    #[test]
    fn choices_as_written() {
        let choice: ImageChoice = "codex=registry:5000/x@sha256:00=".parse().unwrap();
        assert_eq!(choice.agent, AgentType::Codex);
        assert_eq!(choice.image, "registry:5000/x@sha256:00=");
        for bad in ["codex", "codex=", "=x", "Codex=x", ""] {
            assert!(bad.parse::<ImageChoice>().is_err(), "{bad}");
        }
        assert_eq!("Never".parse(), Ok(PullPolicy::Never));
        assert!("never".parse::<PullPolicy>().is_err());
    }
}
