//! The rules for Dockerfiles.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::AGENTS;
use super::EXAMPLE;
use super::folder;

/// The user of every agent image, as `controller::task::build` sets it too.
const USER: &str = "61100:61100";
/// What an agent needs for its work on a repository.
const PACKAGES: [&str; 4] = ["ca-certificates", "gh", "git", "openssh-client"];

/// One instruction: its name, its flags and the rest of its (joined) line.
#[derive(Clone, Debug, PartialEq)]
struct Instruction {
    name: String,
    flags: Vec<String>,
    rest: String,
}

/// The instructions of a Dockerfile. Here-documents and parser directives are not understood: we write none.
fn parse(text: &str) -> Vec<Instruction> {
    let lines = text.lines().filter(|it| !it.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|it| !it.is_empty());
    lines.map(instruction).collect()
}

fn instruction(line: &str) -> Instruction {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap().to_ascii_uppercase();
    let words: Vec<&str> = words.collect();
    let flags = words.iter().take_while(|it| it.starts_with("--")).count();
    Instruction {
        name,
        flags: words[..flags].iter().map(ToString::to_string).collect(),
        rest: words[flags..].join(" "),
    }
}

/// Everything that is wrong with the Dockerfile of `context`.
fn problems(text: &str, context: &Path) -> Vec<String> {
    let all = parse(text);
    let mut found = Vec::new();
    let mut stages = Vec::new();
    for it in &all {
        let wrong = match it.name.as_str() {
            "FROM" => {
                let (image, stage) = it.rest.split_once(" AS ").unwrap_or((&it.rest, ""));
                stages.push(stage);
                (!is_pinned(image)).then_some("is not pinned by tag and digest")
            }
            "COPY" if it.flags.iter().any(|flag| flag.starts_with("--from=")) => {
                let from = it
                    .flags
                    .iter()
                    .find_map(|flag| flag.strip_prefix("--from="));
                (!stages.contains(&from.unwrap())).then_some("names no stage")
            }
            "COPY" => sources_missing(&it.rest, context).then_some("copies what is not there"),
            "RUN" => unclean(&it.rest),
            "ENV" | "ARG" => is_secret(&it.rest).then_some("may hold a secret"),
            "LABEL" | "WORKDIR" | "USER" | "ENTRYPOINT" => None,
            _ => Some("is not among what we use"),
        };
        found.extend(wrong.map(|wrong| format!("{} {}: {wrong}", it.name, it.rest)));
    }
    let last = all.rsplit(|it| it.name == "FROM").next().unwrap();
    for (name, expected) in [
        ("USER", USER),
        ("WORKDIR", "/workspace/repo"),
        ("ENTRYPOINT", "[\"/axon_entrypoint.sh\"]"),
    ] {
        let given: Vec<&str> = last
            .iter()
            .filter(|it| it.name == name)
            .map(|it| it.rest.as_str())
            .collect();
        if given != [expected] {
            found.push(format!("{name} is {given:?}"));
        }
    }
    let starts = |it: &&Instruction| it.name == "COPY" && it.rest.ends_with(" /axon_entrypoint.sh");
    match last.iter().find(starts) {
        Some(it) if it.flags == ["--chmod=755"] => {}
        it => found.push(format!(
            "the entrypoint is not copied with its mode: {it:?}"
        )),
    }
    found
}

/// `NAME:TAG@sha256:DIGEST`.
fn is_pinned(image: &str) -> bool {
    let Some((name, digest)) = image.split_once("@sha256:") else {
        return false;
    };
    let is_digest = digest.len() == 64 && digest.bytes().all(|it| it.is_ascii_hexdigit());
    let tag = name.rsplit('/').next().unwrap().split_once(':');
    is_digest && tag.is_some_and(|(_, tag)| tag != "latest" && tag.contains('.'))
}

fn sources_missing(rest: &str, context: &Path) -> bool {
    let mut words: Vec<&str> = rest.split(' ').collect();
    words.pop();
    words.is_empty() || words.iter().any(|it| !context.join(it).is_file())
}

/// Why a command leaves more behind than it should.
fn unclean(command: &str) -> Option<&'static str> {
    if !command.contains("apt-get") {
        return None;
    }
    let is_clean = command.contains("--no-install-recommends")
        && command.contains("rm -rf /var/lib/apt/lists/*");
    (!is_clean).then_some("leaves apt's files, or installs what is not asked for")
}

fn is_secret(rest: &str) -> bool {
    let name = rest.split('=').next().unwrap().to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD"]
        .iter()
        .any(|it| name.contains(it))
}

#[test]
fn every_image_keeps_the_rules() {
    let agents = AGENTS.map(|(agent, _)| (agent, folder()));
    for (agent, context) in agents
        .into_iter()
        .chain([(EXAMPLE, folder().join(EXAMPLE))])
    {
        let text = fs::read_to_string(folder().join(agent).join("Dockerfile")).unwrap();
        assert_eq!(problems(&text, &context), [""; 0], "{agent}");
        let entrypoint = folder().join(agent).join("axon_entrypoint.sh");
        let mode = fs::metadata(&entrypoint).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{}", entrypoint.display());
    }
}

#[test]
fn the_images_of_our_agents_differ_only_where_they_must() {
    for (agent, _) in AGENTS {
        let text = fs::read_to_string(folder().join(agent).join("Dockerfile")).unwrap();
        let all = parse(&text);
        let install = format!("/src/install.sh {agent} /opt/agent \"$TARGETARCH\"");
        assert!(
            all.iter().any(|it| it.name == "RUN" && it.rest == install),
            "{agent}"
        );
        let apt = all.iter().find(|it| it.rest.contains("apt-get")).unwrap();
        for package in PACKAGES {
            assert!(
                apt.rest.contains(&format!(" {package} ")),
                "{agent}: {package}"
            );
        }
        let entrypoint = format!("{agent}/axon_entrypoint.sh /axon_entrypoint.sh");
        assert!(all.iter().any(|it| it.rest == entrypoint), "{agent}");
        assert!(all.iter().any(|it| it.name == "LABEL"), "{agent}");
        assert_eq!(all[0].flags, ["--platform=$BUILDPLATFORM"], "{agent}");
    }
}

#[test]
fn what_breaks_the_rules_is_found() {
    let digest = "0".repeat(64);
    let good = format!(
        "# a\nFROM debian:13.6-slim@sha256:{digest}\nCOPY --chmod=755 \\\n  axon_entrypoint.sh /axon_entrypoint.sh\n\
         WORKDIR /workspace/repo\nUSER 61100:61100\nENTRYPOINT [\"/axon_entrypoint.sh\"]\n"
    );
    let context = folder().join(EXAMPLE);
    assert_eq!(problems(&good, &context), [""; 0]);
    for (from, to) in [
        ("debian:13.6-slim", "debian:latest"),
        ("debian:13.6-slim", "debian"),
        ("@sha256:", "@sha1:"),
        ("USER 61100:61100", "USER agent"),
        ("USER 61100:61100", ""),
        (" --chmod=755", ""),
        ("axon_entrypoint.sh /", "missing.sh /"),
        ("WORKDIR /workspace/repo", "WORKDIR /"),
        ("WORKDIR", "ADD https://example.com/x /x\nWORKDIR"),
        ("WORKDIR", "ENV ANTHROPIC_API_KEY=x\nWORKDIR"),
        ("WORKDIR", "RUN apt-get install --yes git\nWORKDIR"),
        ("WORKDIR", "COPY --from=nowhere /a /a\nWORKDIR"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_eq!(problems(&bad, &context).len(), 1, "{bad}");
    }
}
