//! What must hold of any bytes, whoever thought of them: the property tests and the targets in `fuzz/` share it.

use std::time::Duration;
use std::time::Instant;

use axon::model::Digest;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync::load::includes;
use axon::sync::load::load;
use axon::template::Template;
use axon::template::render_value;
use serde_json::json;

/// Most problems that are told.
const MOST: usize = 101;
/// Longest text of one.
const LONGEST: usize = 4096;
/// Most characters that are shown of the line where it is.
const WIDEST: usize = 160;
const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration: it does not panic or hang, and says no more than it may.
pub(super) fn load_any(bytes: &[u8]) {
    let began = Instant::now();
    includes(bytes);
    let path = RepoPath::parse("axon.yaml").unwrap();
    let snapshot = Snapshot {
        source: Source {
            canonical: "github.com/acme/app".into(),
            url: None,
        },
        revision: Revision::Directory(Digest::of("")),
        root: path.clone(),
        files: vec![InputFile {
            path,
            bytes: bytes.to_vec(),
        }],
        unmatched: Vec::new(),
    };
    if let Err(problems) = load(&snapshot) {
        assert!(!problems.is_empty() && problems.len() <= MOST);
        for told in problems {
            assert!(told.message.len() < LONGEST, "{}", told.message);
            assert!(told.line_text.chars().count() <= WIDEST);
        }
    }
    assert!(began.elapsed() < PATIENCE);
}

/// A template: it is refused, or writes within its bounds.
pub(super) fn render_any(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let began = Instant::now();
    Template::parse(text).ok();
    let data = json!({
        "Title": "a \"title\"", "Body": "", "Number": 42, "Labels": ["a", "b", "c"],
        "Deps": {"build": {"Results": {"branch": "x"}, "Outputs": ["commit: y"]}},
    });
    if let Ok(written) = render_value(text, &data) {
        assert!(written.len() <= 1 << 20);
    }
    assert!(began.elapsed() < PATIENCE);
}
