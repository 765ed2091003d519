//! One place says which version of a program an image has, and with which checksum.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::AGENTS;
use super::folder;

fn read(agent: &str, file: &str) -> Value {
    let text = fs::read_to_string(folder().join(agent).join(file)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_program_is_pinned_with_its_checksum() {
    for (agent, _) in AGENTS {
        let wanted = &read(agent, "package.json")["dependencies"];
        let wanted: BTreeMap<String, String> = serde_json::from_value(wanted.clone()).unwrap();
        assert_eq!(wanted.len(), 1, "{agent}");
        let lock = read(agent, "package-lock.json");
        let packages = lock["packages"].as_object().unwrap();
        for (name, version) in wanted {
            let is_exact = version.split('.').all(|it| it.parse::<u32>().is_ok());
            assert!(is_exact, "{agent}: \"{version}\" is not one version");
            assert_eq!(
                packages[&format!("node_modules/{name}")]["version"],
                version,
                "{agent}"
            );
        }
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            let checksum = package["integrity"].as_str().unwrap_or_default();
            assert!(
                checksum.starts_with("sha512-"),
                "{agent}: {name} has no checksum"
            );
            assert_eq!(
                package.get("resolved"),
                None,
                "{agent}: {name} names a registry"
            );
        }
    }
}

/// Claude Code and Codex are programs of their own for each architecture.
#[test]
fn both_architectures_are_pinned() {
    for agent in ["claude-code", "codex"] {
        let lock = read(agent, "package-lock.json");
        let packages = lock["packages"].as_object().unwrap();
        for cpu in ["x64", "arm64"] {
            let has = |name: &String| name.ends_with(&format!("-linux-{cpu}"));
            assert!(packages.keys().any(has), "{agent}: {cpu}");
        }
    }
}
