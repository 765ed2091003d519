//! Prompts reach agents byte for byte, through manifests, the API server, the kubelet and two
//! containers.

use serde_json::json;

use crate::nasty;
use crate::node;

#[test]
fn every_prompt_arrives_byte_for_byte() {
    node::run(|place| {
        let corpus = nasty::corpus();
        for (name, prompt) in &corpus {
            let task = json!({
                "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
                "spec": {
                    "type": "custom", "image": "localhost/echo:1", "prompt": prompt,
                    "credentials": {"type": "none"},
                    // All of them find room at once.
                    "podOverrides": {"resources": {"requests": {"cpu": "5m", "memory": "8Mi"}}},
                },
            });
            place.create(&task);
        }
        for (name, prompt) in &corpus {
            let task = place.succeeded(name);
            let results = &task["status"]["results"];
            let digest = nasty::digest(prompt);
            assert_eq!(results["arguments"], "1", "{name}");
            assert_eq!(results["file"], digest, "the file of {name}");
            assert_eq!(
                results["argument"] == digest,
                nasty::fits_an_argument(prompt),
                "the argument of {name}"
            );
        }
    });
}
