//! GitHub Apps: from an App's private key to a token of one of its installations.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::RSA_PKCS1_SHA256;
use ring::signature::RsaKeyPair;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::client::ApiUrl;
use super::client::Client;
use super::error::Error as ApiError;
use crate::model::Secret;

/// How long a token is asked for with: GitHub takes at most ten minutes.
const PROOF: Duration = Duration::from_mins(9);
/// How much earlier the proof says it was made: clocks differ.
const SKEW: Duration = Duration::from_mins(1);

/// An installation of a GitHub App.
pub struct App {
    api: ApiUrl,
    id: String,
    installation: u64,
    key: RsaKeyPair,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the private key of the GitHub App {app_id} is {what}")]
    Key { app_id: String, what: &'static str },
    #[error("cannot get a token for the installation {installation_id} of the GitHub App {app_id}")]
    Refused {
        app_id: String,
        installation_id: u64,
        source: ApiError,
    },
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    expires_at: Timestamp,
}

impl App {
    /// An App by its number or client ID, and its private key in PEM form (PKCS#1, as GitHub gives it
    /// out, or PKCS#8). Connects to nothing yet.
    pub fn new(
        api: ApiUrl,
        app_id: impl Into<String>,
        installation_id: u64,
        key: &Secret,
    ) -> Result<Self, Error> {
        let app_id = app_id.into();
        match read(key.expose()) {
            Ok(key) => Ok(Self {
                api,
                id: app_id,
                installation: installation_id,
                key,
            }),
            Err(what) => Err(Error::Key { app_id, what }),
        }
    }

    /// A token for `repository`, by its name without the owner's, and when it expires. Whatever else
    /// the installation may read stays closed to who has it.
    pub async fn token(
        &self,
        repository: &str,
        now: Timestamp,
    ) -> Result<(Secret, Timestamp), Error> {
        let scope = json!({"repositories": [repository]});
        self.asked(Some(&scope), now).await
    }

    /// A token for all repositories that the installation was given, and when it expires.
    pub async fn wide_token(&self, now: Timestamp) -> Result<(Secret, Timestamp), Error> {
        self.asked(None, now).await
    }

    async fn asked(
        &self,
        scope: Option<&Value>,
        now: Timestamp,
    ) -> Result<(Secret, Timestamp), Error> {
        let asked = self.ask(scope, now).await;
        asked.map_err(|source| Error::Refused {
            app_id: self.id.clone(),
            installation_id: self.installation,
            source,
        })
    }

    async fn ask(
        &self,
        scope: Option<&Value>,
        now: Timestamp,
    ) -> Result<(Secret, Timestamp), ApiError> {
        let client = Client::new(&self.api, Some(&self.proof(now)?))?;
        let path = format!("/app/installations/{}/access_tokens", self.installation);
        let answer = client.post(&path, scope, now).await?;
        // What cannot be read may hold the token: it is not told.
        let answer: Answer = serde_json::from_slice(&answer.body)
            .map_err(|_| ApiError::Unreadable("no token in it".into()))?;
        Ok((Secret::new(answer.token), answer.expires_at))
    }

    /// A JSON Web Token that proves who asks.
    fn proof(&self, now: Timestamp) -> Result<Secret, ApiError> {
        let encode = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let at = now.as_second();
        let seconds = |it: Duration| i64::try_from(it.as_secs()).unwrap_or(i64::MAX);
        let header = encode(json!({"alg": "RS256", "typ": "JWT"}));
        let claims = encode(json!({
            "iat": at.saturating_sub(seconds(SKEW)),
            "exp": at.saturating_add(seconds(PROOF)),
            "iss": self.id,
        }));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| ApiError::InvalidToken)?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Secret::new(format!("{signed}.{signature}")))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "App({}, {})", self.id, self.installation)
    }
}

/// Reads a private key in PEM form.
fn read(pem: &str) -> Result<RsaKeyPair, &'static str> {
    let malformed = "not an RSA key in PEM form";
    let mut lines = pem.trim().lines().map(str::trim);
    let (first, last) = (lines.next(), lines.next_back());
    let base64: String = lines.collect();
    let der = STANDARD.decode(base64).map_err(|_| malformed)?;
    let key = match (first, last) {
        (Some("-----BEGIN RSA PRIVATE KEY-----"), Some("-----END RSA PRIVATE KEY-----")) => {
            RsaKeyPair::from_der(&der)
        }
        (Some("-----BEGIN PRIVATE KEY-----"), Some("-----END PRIVATE KEY-----")) => {
            RsaKeyPair::from_pkcs8(&der)
        }
        (Some("-----BEGIN ENCRYPTED PRIVATE KEY-----"), _) => {
            return Err("encrypted: it must have no passphrase");
        }
        _ => return Err(malformed),
    };
    key.map_err(|_| "not an RSA key of 2048 to 4096 bits")
}
