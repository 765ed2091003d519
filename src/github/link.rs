//! The `Link` header of a page.

/// The query of the page that comes next.
///
/// Only the query: host and path are ours, so that no server can send the token elsewhere.
pub(super) fn next(header: &str) -> Option<String> {
    header.split(',').find_map(|link| {
        let (url, params) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = params.split(';').any(|param| {
            param
                .trim()
                .strip_prefix("rel=")
                .is_some_and(|rel| rel.trim_matches('"').split(' ').any(|it| it == "next"))
        });
        let (_, query) = url.split_once('?')?;
        (is_next && !query.is_empty()).then(|| query.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::next;

    fn check(header: &str, expected: Option<&str>) {
        assert_eq!(next(header).as_deref(), expected, "{header}");
    }

    #[test]
    fn the_query_of_the_next_page() {
        check(
            r#"<https://x/repos/a/b/issues?page=1>; rel="prev", <https://evil/y?page=3&after=Z%3D>; rel="next""#,
            Some("page=3&after=Z%3D"),
        );
        check("<https://x/y?page=2>; rel=next", Some("page=2"));
        check(r#"<https://x/y?page=9>; rel="last""#, None);
        check(r#"<https://x/y>; rel="next""#, None);
        check("", None);
        check("<<,>,;", None);
    }
}
