//! What expressions write, what is refused, and that nothing hangs.

use proptest::prelude::*;

use super::*;

fn write(text: &str) -> Result<String, Error> {
    let repo = Scalar::Text("acme/Web".into());
    let values = [
        ("repo", &repo),
        ("n", &Scalar::Number(7)),
        ("on", &Scalar::Bool(true)),
    ];
    let names = values.iter().map(|(name, _)| *name).collect();
    let mut fleets = Fleets::default();
    let (text, _) = fleets.parse(text, &names)?;
    fleets.write(&text, &values)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(
        write(text).map_err(|error| shown(&error)).as_deref(),
        Ok(expected),
        "{text}"
    );
}

fn shown(error: &Error) -> String {
    format!("{}:{} {}", error.line, error.column, error.fault)
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(
        write(text).map_err(|error| shown(&error)),
        Err(expected.to_owned()),
        "{text}"
    );
}

#[test]
fn expressions() {
    check("plain { text } %}", "plain { text } %}");
    check(
        "https://github.com/{{ repo }}.git",
        "https://github.com/acme/Web.git",
    );
    check("{{repo}}{{n}}{{on}}", "acme/Web7true");
    check("{{ repo | split(pat='/') | last | lower }}", "web");
    check("{{ repo | replace(from=\"/\", to='-') }}", "acme-Web");
    check(
        "{{ n + 1 }} {{ n * n }} {{ repo ~ '#' ~ n }}",
        "8 49 acme/Web#7",
    );
    check(
        "{{ 'a' if repo is starting_with(pat='acme') else 'b' }}",
        "a",
    );
    check("{{ 'yes' if n > 3 and not (n is even) else 'no' }}", "yes");
    check("{{ '}}' }}", "}}");
    check("{{ 'it\\'s \\\\ \"x\"' }}", "it's \\ \"x\"");
    check("a  {{- repo -}}  b{# no #}c", "aacme/Webbc");
    check(
        "{% raw %}${{ github.ref }}{% endraw %} {{ n }}",
        "${{ github.ref }} 7",
    );
    check("<&> {{ '<&>' }}", "<&> <&>");
    check("ä {{ repo | upper }} ß", "ä ACME/WEB ß");
}

#[test]
fn what_is_refused() {
    refused("x {{ rep }}", "1:6 unknown variable \"rep\"");
    refused("x\n  {{ repo ~ m }}", "2:13 unknown variable \"m\"");
    refused("{{ repo | uper }}", "1:11 unknown filter \"uper\"");
    refused("{{ repo | safe }}", "1:11 unknown filter \"safe\"");
    refused(
        "{{ range(end=9) }}",
        "1:4 there are no functions here, such as \"range\"",
    );
    refused("{{ [n for n in [1]] }}", "1:7 there are no loops here");
    refused(
        "{% for x in repo %}{% endfor %}",
        "1:1 there are no statements here, only expressions \"{{ … }}\"",
    );
    refused(
        "{% include 'x' %}",
        "1:1 there are no statements here, only expressions \"{{ … }}\"",
    );
    refused(
        "${{ github.ref }}",
        "1:11 the values of a fleet have no fields",
    );
    refused("{{ repo", "1:1 \"{{\" is not closed");
    refused("{{ 'repo }}", "1:4 \"a quote\" is not closed");
    refused("{# x", "1:1 \"{#\" is not closed");
    refused("{% raw %} x", "1:1 \"{% raw %}\" is not closed");
    refused(
        "{{ }}",
        "1:1 an expression is missing between \"{{\" and \"}}\"",
    );
    refused("{{ {} }}", "1:4 \"{\" cannot stand in an expression");
    refused(
        "{{ n - }}",
        "1:1 found \"}}\" but expected one of: integer, float, string, bool, ident, \"-\", \"not\", \"<\", \"{\", \"[\" or \"(\"",
    );
}

/// Small texts that would grow without end elsewhere.
#[test]
fn nothing_explodes() {
    let chain = |step: &str, times: usize| format!("{{{{ 'aaaaaaaaaa' {} }}}}", step.repeat(times));
    let grows = chain("| replace(from='a', to='aaaaaaaaaa') ", 5);
    refused(&grows, "1:1 a text between filters has at most 16 KiB");
    let grows = chain("| split(pat='') | join(sep='aaaaaaaaaa') ", 4);
    refused(&grows, "1:1 a text between filters has at most 16 KiB");
    assert!(write("{{ 9 ** 9 ** 9 ** 9 }}").is_err());
    assert!(write("{{ 'a' * 999999999 }}").is_err());
    let long = format!("{{{{ n {} }}}}", "+ n ".repeat(40));
    refused(&long, "1:132 an expression has at most 64 words and signs");
    let nested = format!("{{{{ {}n{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    refused(&nested, "1:68 an expression has at most 64 words and signs");
    assert!(write(&format!("{{{{ {}n }}}}", "not ".repeat(50))).is_err());
    let many: Vec<String> = (0..2_000).map(|at| format!("{{{{ {at} }}}}")).collect();
    let many = many.concat();
    assert!(matches!(
        write(&many),
        Err(Error {
            fault: Fault::TooMany,
            ..
        })
    ));
    let large = format!("{}{{{{ n }}}}", "x".repeat(MAX_OUTPUT));
    assert!(matches!(
        write(&large),
        Err(Error {
            fault: Fault::TooLarge,
            ..
        })
    ));
}

#[test]
fn all_texts_together_have_a_budget() {
    let mut fleets = Fleets::default();
    let source = "{{ 'aaaaaaaaaaaaaaaa' | replace(from='a', to='bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb') \
                  | replace(from='b', to='cccccccccccccccc') | length }}";
    let (text, _) = fleets.parse(source, &BTreeSet::new()).unwrap();
    let ended = (0..1_000_000).find_map(|_| fleets.write(&text, &[]).err());
    assert_eq!(ended.map(|error| error.fault), Some(Fault::TooMuch));
}

proptest! {
    #[test]
    fn any_text_ends(text in "(\\{\\{|\\}\\}|\\{%|%\\}|\\{#|#\\}|-|repo|n|for|if|else|is|not|in|\\||split\\(pat=|'|\"|\\\\|\\(|\\)|\\[|\\]|\\.|[0-9]|[a-zä ~+*/<>=!:,@?{}]|raw|endraw|\n){0,60}") {
        write(&text).ok();
    }

    /// Text without signs of a template stays as it is, whatever it is.
    #[test]
    fn plain_text_stays(text in "[^{]*") {
        prop_assert_eq!(write(&text).unwrap(), text);
    }
}
