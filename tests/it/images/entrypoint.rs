//! The entrypoints as processes, with a program in place of the agent's that writes down how it was started.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;
use serde_json::json;

use super::AGENTS;
use super::EXAMPLE;
use super::folder;

/// Writes its arguments, variables and input into the folder `$SEEN`, and ends as nobody else does.
const RECORDER: &str = "#!/bin/sh\nfor it; do printf '%s\\0' \"$it\"; done >\"$SEEN/arguments\"\n\
    env -0 >\"$SEEN/variables\"\ncat >\"$SEEN/input\"\nexit 42\n";

/// How the program was started.
struct Seen {
    arguments: Vec<Vec<u8>>,
    variables: BTreeMap<String, String>,
    input: Vec<u8>,
    home: tempfile::TempDir,
}

impl Seen {
    /// The arguments, the last of which may be a prompt of any bytes, as text.
    fn words(&self) -> Vec<&str> {
        self.arguments
            .iter()
            .map(|it| std::str::from_utf8(it).unwrap())
            .collect()
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

fn start(agent: &str, prompt: &[u8], variables: &[(&str, &str)]) -> Seen {
    start_in(agent, prompt, variables, tempfile::tempdir().unwrap())
}

fn start_in(
    agent: &str,
    prompt: &[u8],
    variables: &[(&str, &str)],
    home: tempfile::TempDir,
) -> Seen {
    let (_, program) = AGENTS.into_iter().find(|(name, _)| *name == agent).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(program);
    fs::write(&file, RECORDER).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(folder().join(agent).join("axon_entrypoint.sh"))
        .arg(OsStr::from_bytes(prompt))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()))
        .env("HOME", home.path())
        .env("SEEN", dir.path())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(42), "{agent}: {told}");
    let parts = |name: &str| parts(&dir.path().join(name));
    let variable = |it: Vec<u8>| {
        let it = String::from_utf8(it).unwrap();
        let (name, value) = it.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    Seen {
        arguments: parts("arguments"),
        variables: parts("variables").into_iter().map(variable).collect(),
        input: fs::read(dir.path().join("input")).unwrap(),
        home,
    }
}

/// What stands before each NUL of a file.
fn parts(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let mut parts: Vec<_> = bytes.split(|it| *it == 0).map(<[u8]>::to_vec).collect();
    parts.pop();
    parts
}

#[test]
fn they_are_posix_shell() {
    let agents = AGENTS.map(|(agent, _)| agent);
    for agent in agents.into_iter().chain([EXAMPLE]) {
        let file = folder().join(agent).join("axon_entrypoint.sh");
        let text = fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("#!/bin/sh\n") && text.contains("\nset -eu\n"),
            "{agent}"
        );
        let checked = Command::new("sh").arg("-n").arg(&file).status().unwrap();
        assert!(checked.success(), "{agent}");
    }
    let install = Command::new("sh")
        .arg("-n")
        .arg(folder().join("install.sh"))
        .status();
    assert!(install.unwrap().success());
}

/// Every byte that an argument may hold comes through, and nothing in it is a flag or is expanded.
#[test]
fn the_prompt_arrives_byte_for_byte() {
    let every_byte: Vec<u8> = (1..=255).collect();
    let long = "x".repeat(128 * 1024 - 100).into_bytes();
    for prompt in [
        b"fix it".as_slice(),
        b"--help",
        b"-p",
        b"--",
        b"-",
        b"two\nlines\n\n",
        b" ",
        b"$HOME `id` $(id) \\n \"x\" 'y' * ~ %s %",
        "prompt für 🦀".as_bytes(),
        &every_byte,
        &long,
    ] {
        for (agent, _) in AGENTS {
            let file = tempfile::NamedTempFile::new().unwrap();
            fs::write(file.path(), prompt).unwrap();
            let path = file.path().to_str().unwrap();
            let seen = start(agent, prompt, &[("AXON_PROMPT_FILE", path)]);
            let last = seen.arguments.last().unwrap();
            let (arrived, before) = match agent {
                "gemini" => (last.strip_prefix(b"--prompt=").unwrap(), None),
                "opencode" => (seen.input.as_slice(), None),
                _ => (last.as_slice(), seen.arguments.iter().nth_back(1)),
            };
            assert!(
                arrived == prompt,
                "{agent}: {}",
                String::from_utf8_lossy(prompt)
            );
            assert!(before.is_none_or(|it| it == b"--"), "{agent}");
            assert_eq!(seen.input.is_empty(), agent != "opencode", "{agent} reads");
        }
    }
}

#[test]
fn the_model_is_passed_on_if_there_is_one() {
    for (agent, flag) in [
        ("claude-code", "--model"),
        ("codex", "-m"),
        ("gemini", "-m"),
        ("opencode", "-m"),
    ] {
        let seen = start(agent, b"x", &[("AXON_MODEL", "some/mo del \"$(id)")]);
        let words = seen.words();
        let at = words.iter().position(|it| *it == flag).unwrap();
        assert_eq!(words[at + 1], "some/mo del \"$(id)", "{agent}");
        for unset in [&[][..], &[("AXON_MODEL", "")]] {
            assert!(
                !start(agent, b"x", unset).words().contains(&flag),
                "{agent}"
            );
        }
    }
}

#[test]
fn claude_code() {
    let seen = start("claude-code", b"x", &[]);
    let expected = [
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
        "--dangerously-skip-permissions",
        "--",
        "x",
    ];
    assert_eq!(seen.words(), expected);
    assert_eq!(seen.variable("CLAUDE_CODE_MAX_RETRIES"), Some("4"));
    assert_eq!(
        seen.variable("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"),
        Some("1")
    );
    let is_root = nix::unistd::getuid().is_root();
    assert_eq!(seen.variable("IS_SANDBOX"), is_root.then_some("1"));
    let given = [
        ("CLAUDE_CODE_MAX_RETRIES", "9"),
        ("ANTHROPIC_BASE_URL", "http://gateway"),
    ];
    let seen = start("claude-code", b"x", &given);
    for (name, value) in given {
        assert_eq!(seen.variable(name), Some(value));
    }
}

#[test]
fn codex() {
    let provider = |url: &str| {
        format!(
            "model_providers.axon={{name=\"axon\",base_url=\"{url}\",env_key=\"CODEX_API_KEY\",wire_api=\"responses\",\
             request_max_retries=2,stream_max_retries=3}}"
        )
    };
    let seen = start("codex", b"x", &[]);
    let expected = [
        "exec",
        "--json",
        "--dangerously-bypass-approvals-and-sandbox",
        "--skip-git-repo-check",
        "-c",
        "model_provider=axon",
        "-c",
        &provider("https://api.openai.com/v1"),
        "-c",
        "analytics.enabled=false",
        "-c",
        "check_for_update_on_startup=false",
        "-c",
        "otel.metrics_exporter=\"none\"",
        "--disable",
        "plugins",
        "--disable",
        "apps",
        "--",
        "x",
    ];
    assert_eq!(seen.words(), expected);
    let home = seen.home.path().join(".codex");
    assert_eq!(seen.variable("CODEX_HOME"), home.to_str());
    assert!(home.is_dir());

    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().join("a/b");
    let variables = [
        ("OPENAI_BASE_URL", "http://gateway/\"\\v1"),
        ("CODEX_HOME", elsewhere.to_str().unwrap()),
    ];
    let seen = start("codex", b"x", &variables);
    assert_eq!(seen.words()[7], provider("http://gateway/\\\"\\\\v1"));
    assert!(elsewhere.is_dir());
}

#[test]
fn gemini() {
    let seen = start("gemini", b"x", &[]);
    let expected = [
        "--output-format",
        "stream-json",
        "--yolo",
        "--skip-trust",
        "--prompt=x",
    ];
    assert_eq!(seen.words(), expected);
    assert_eq!(seen.variable("GEMINI_CLI_NO_RELAUNCH"), Some("true"));
    let settings = seen.home.path().join(".gemini/settings.json");
    let written: Value = serde_json::from_str(&fs::read_to_string(settings).unwrap()).unwrap();
    assert_eq!(
        written["security"]["auth"]["selectedType"],
        "gemini-api-key"
    );
    assert_eq!(written["general"]["maxAttempts"], 3);
    assert_eq!(written["privacy"]["usageStatisticsEnabled"], false);

    // A file of the user's is not touched.
    let home = tempfile::tempdir().unwrap();
    let settings = home.path().join(".gemini/settings.json");
    fs::create_dir(home.path().join(".gemini")).unwrap();
    fs::write(&settings, "mine").unwrap();
    let seen = start_in("gemini", b"x", &[], home);
    assert_eq!(
        fs::read_to_string(seen.home.path().join(".gemini/settings.json")).unwrap(),
        "mine"
    );

    let elsewhere = tempfile::tempdir().unwrap();
    let variable = [("GEMINI_CLI_HOME", elsewhere.path().to_str().unwrap())];
    let seen = start("gemini", b"x", &variable);
    assert!(elsewhere.path().join(".gemini/settings.json").is_file());
    assert!(!seen.home.path().join(".gemini").exists());
}

/// The configuration that the program gets.
fn opencode_config(variables: &[(&str, &str)]) -> Value {
    let seen = start("opencode", b"x", variables);
    serde_json::from_str(seen.variable("OPENCODE_CONFIG_CONTENT").unwrap()).unwrap()
}

#[test]
fn opencode() {
    let seen = start("opencode", b"two words", &[("AXON_TASK", "fix-login")]);
    assert_eq!(
        seen.words(),
        ["run", "--format", "json", "--auto", "--title", "fix-login"]
    );
    assert_eq!(
        seen.input, b"two words\n",
        "without a file of the prompt it has one line feed more"
    );
    for name in ["AUTOUPDATE", "MODELS_FETCH", "LSP_DOWNLOAD"] {
        assert_eq!(
            seen.variable(&format!("OPENCODE_DISABLE_{name}")),
            Some("1")
        );
    }
}

/// A key and a gateway are those of the model's provider.
#[test]
fn opencode_is_told_of_its_provider() {
    let key = ("OPENCODE_API_KEY", "secret");
    let quiet = json!({"permission": "allow", "autoupdate": false, "share": "disabled"});
    assert_eq!(opencode_config(&[]), quiet);
    // Its own provider finds its key by itself.
    assert_eq!(
        opencode_config(&[key, ("AXON_MODEL", "opencode/big")]),
        quiet
    );
    for (model, url, id, expected) in [
        (
            "anthropic/claude",
            ("ANTHROPIC_BASE_URL", "http://gateway"),
            "anthropic",
            json!({"models": {"claude": {}}, "options": {"baseURL": "http://gateway/v1"}}),
        ),
        (
            "openai/gpt",
            ("OPENAI_BASE_URL", "http://gateway/v1"),
            "openai",
            json!({"models": {"gpt": {}}, "options": {"baseURL": "http://gateway/v1"}}),
        ),
        (
            "google/gemini",
            ("GOOGLE_GEMINI_BASE_URL", "http://gateway"),
            "google",
            json!({"models": {"gemini": {}}, "options": {"baseURL": "http://gateway/v1beta"}}),
        ),
        (
            "mine/or\"g/m\\odel",
            ("OPENAI_BASE_URL", "http://gateway/v1"),
            "mine",
            json!({
                "npm": "@ai-sdk/openai-compatible", "models": {"or\"g/m\\odel": {}},
                "options": {"baseURL": "http://gateway/v1"},
            }),
        ),
        (
            "groq/model",
            ("UNRELATED", ""),
            "groq",
            json!({"models": {"model": {}}, "options": {}}),
        ),
    ] {
        let mut expected = expected;
        let given = opencode_config(&[("AXON_MODEL", model), url]);
        assert_eq!(given["provider"], json!({id: expected}), "{model}");
        // The value of the key is in no argument and no configuration.
        expected["options"]["apiKey"] = json!("{env:OPENCODE_API_KEY}");
        let given = opencode_config(&[("AXON_MODEL", model), url, key]);
        assert_eq!(given["provider"], json!({id: expected}), "{model}");
    }
    assert_eq!(
        opencode_config(&[("OPENCODE_CONFIG_CONTENT", "{\"mine\":1}")]),
        json!({"mine": 1})
    );
}

/// Where nothing but the home directory is writable, temporary files go there.
#[test]
fn temporary_files_need_no_writable_root() {
    for (agent, _) in AGENTS {
        let seen = start(agent, b"x", &[("TMPDIR", "/nowhere")]);
        let expected = seen.home.path().join("tmp");
        assert_eq!(seen.variable("TMPDIR"), expected.to_str(), "{agent}");
        assert!(expected.is_dir(), "{agent}");
        assert_eq!(start(agent, b"x", &[]).variable("TMPDIR"), None, "{agent}");
    }
}

/// The example does what the guide says of it.
#[test]
fn the_example_works() {
    let dir = tempfile::tempdir().unwrap();
    let git = |args: &[&str]| {
        crate::git_server::command()
            .current_dir(dir.path())
            .args(args)
            .output()
            .unwrap()
    };
    git(&["init", "--quiet"]);
    let results = dir.path().join("results");
    let output = Command::new(folder().join(EXAMPLE).join("axon_entrypoint.sh"))
        .arg("hello\nworld")
        .current_dir(dir.path())
        .env("AXON_RESULTS_FILE", &results)
        .envs(["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"].map(|it| (it, "agent")))
        .envs(["GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"].map(|it| (it, "agent@example.com")))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(git(&["show", "HEAD:REQUEST.md"]).stdout, b"hello\nworld\n");
    assert_eq!(fs::read_to_string(results).unwrap(), "lines: 2\n");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("START---\nwrote REQUEST.md\n---"), "{told}");
}
