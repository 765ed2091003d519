//! Problems as workflow commands of GitHub Actions, which shows them on the lines of a pull request.

use std::fmt::Write as _;
use std::path::Path;

use crate::model::Diagnostic;

/// One command a line.
pub fn text(diagnostics: &[Diagnostic], base: Option<&Path>) -> String {
    let mut text = String::new();
    for told in diagnostics {
        let Diagnostic { place, code, .. } = told;
        let mut message = told.message.clone();
        if let Some(hint) = &told.hint {
            // Writing to a String cannot fail.
            write!(message, "\nhint: {hint}").ok();
        }
        let end = place.column + told.width.max(1);
        writeln!(
            text,
            "::{} file={},line={},endLine={},col={},endColumn={end},title={}::{}",
            super::word(told.severity),
            property(&super::file(place, base)),
            place.line,
            place.line,
            place.column,
            property(&format!("axon: {code}")),
            escaped(&message)
        )
        .ok();
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use crate::model::Code;
    use crate::model::RepoPath;
    use crate::model::problem::Place;
    use crate::model::problem::Severity;

    use super::*;

    #[test]
    fn what_means_something_to_github_is_escaped() {
        let told = Diagnostic {
            place: Place {
                file: RepoPath::parse("a,b:c%.yaml").unwrap(),
                line: 3,
                column: 5,
            },
            message: "100 % \"a\"::error::x\r".into(),
            hint: Some("one\ntwo".into()),
            severity: Severity::Warning,
            code: Code::UnknownKey,
            width: 4,
            line_text: String::new(),
        };
        assert_eq!(
            text(&[told], Some(Path::new("sub"))),
            "::warning file=sub/a%2Cb%3Ac%25.yaml,line=3,endLine=3,col=5,endColumn=9,\
             title=axon%3A unknown-key::100 %25 \"a\"::error::x%0D%0Ahint: one%0Atwo\n"
        );
    }
}
