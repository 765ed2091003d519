//! Failures by what agents print of them: an HTTP status where there is one, else words.

use crate::stream::FailureClass;

/// Where a status is told in a text; the number follows.
const STATUS_AFTER: [&str; 5] = ["status: ", "status ", "\"code\":", "error: ", "("];
/// Words of agents and APIs, in lower case.
const WORDS: [(&str, FailureClass); 20] = [
    ("rate limit", FailureClass::RateLimited),
    ("rate_limit", FailureClass::RateLimited),
    ("too many requests", FailureClass::RateLimited),
    ("usage limit", FailureClass::RateLimited),
    ("quota", FailureClass::RateLimited),
    ("resource_exhausted", FailureClass::RateLimited),
    ("overloaded", FailureClass::Overloaded),
    ("at capacity", FailureClass::Overloaded),
    ("service unavailable", FailureClass::Overloaded),
    ("authentication", FailureClass::Unauthorized),
    ("unauthorized", FailureClass::Unauthorized),
    ("unauthenticated", FailureClass::Unauthorized),
    ("providerautherror", FailureClass::Unauthorized),
    ("permission_denied", FailureClass::Unauthorized),
    ("not logged in", FailureClass::Unauthorized),
    ("api key", FailureClass::Unauthorized),
    ("api_key", FailureClass::Unauthorized),
    ("missing environment variable", FailureClass::Unauthorized),
    ("turnlimited", FailureClass::TurnLimit),
    ("max_turns", FailureClass::TurnLimit),
];

/// The class of an answer with this HTTP status.
pub(crate) fn by_status(status: u64) -> FailureClass {
    match status {
        401 | 403 => FailureClass::Unauthorized,
        429 => FailureClass::RateLimited,
        500..600 => FailureClass::Overloaded,
        _ => FailureClass::Other,
    }
}

/// The class of a failure that is told in words.
pub(crate) fn by_text(text: &str) -> FailureClass {
    let class = status_in(text).map_or(FailureClass::Other, by_status);
    if class != FailureClass::Other {
        return class;
    }
    let text = text.to_ascii_lowercase();
    let found = WORDS.iter().find(|(word, _)| text.contains(word));
    found.map_or(FailureClass::Other, |(_, class)| *class)
}

fn status_in(text: &str) -> Option<u64> {
    let mut numbers = STATUS_AFTER.iter().flat_map(|mark| {
        text.match_indices(mark)
            .map(|(at, found)| &text[at + found.len()..])
    });
    numbers.find_map(status_at)
}

/// The three digits at the beginning of `text`, if they stand alone.
fn status_at(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text.get(..3).filter(|_| digits == 3)?.parse().ok()?;
    (400..600).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let check = |text: &str, class: FailureClass| assert_eq!(by_text(text), class, "{text}");
        check(
            "unexpected status 401 Unauthorized: no, url: http://127.0.0.1:8910/v1",
            FailureClass::Unauthorized,
        );
        check(
            "exceeded retry limit, last status: 429 Too Many Requests",
            FailureClass::RateLimited,
        );
        check(
            "[API Error: {\"error\":{\"code\":503,\"message\":\"x\"}}]",
            FailureClass::Overloaded,
        );
        check(
            "API Error: Request rejected (429) · x",
            FailureClass::RateLimited,
        );
        check(
            "API Error: 529 Overloaded. Try again",
            FailureClass::Overloaded,
        );
        check(
            "[API Error: You exceeded your current quota]",
            FailureClass::RateLimited,
        );
        check("Selected model is at capacity.", FailureClass::Overloaded);
        check(
            "Not logged in · Please run /login",
            FailureClass::Unauthorized,
        );
        check("unexpected status 404 Not Found", FailureClass::Other);
        check("(5000 lines), status 42, error: 4290", FailureClass::Other);
        check("", FailureClass::Other);
    }
}
