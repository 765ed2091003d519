//! Which path is what. Paths are compared as they were sent: nothing is decoded or tidied.

use http::Method;

use crate::model::Namespace;
use crate::model::ObjectName;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Whether the process is alive.
    Alive,
    /// Whether it can do its work.
    Ready,
    /// A delivery.
    Hook(Target),
    Unknown,
}

/// The RepoSync that a delivery is for. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    pub(super) namespace: Namespace,
    pub(super) name: ObjectName,
}

impl Route {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/healthz") => Self::Alive,
            (&Method::GET | &Method::HEAD, "/readyz") => Self::Ready,
            (&Method::POST, path) => target(path).map_or(Self::Unknown, Self::Hook),
            (_, _) => Self::Unknown,
        }
    }
}

fn target(path: &str) -> Option<Target> {
    let (namespace, name) = path.strip_prefix("/hook/")?.split_once('/')?;
    Some(Target {
        namespace: Namespace::parse(namespace).ok()?,
        name: ObjectName::parse(name).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &Method, path: &str, expected: &Route) {
        assert_eq!(&Route::of(method, path), expected, "{method} {path}");
    }

    #[test]
    fn the_paths_there_are() {
        let hook = Route::Hook(Target {
            namespace: Namespace::parse("agents").unwrap(),
            name: ObjectName::parse("app.v1").unwrap(),
        });
        check(&Method::GET, "/healthz", &Route::Alive);
        check(&Method::HEAD, "/readyz", &Route::Ready);
        check(&Method::POST, "/hook/agents/app.v1", &hook);
    }

    #[test]
    fn all_else_is_unknown() {
        for path in [
            "",
            "/",
            "*",
            "/hook",
            "/hook/",
            "/hook/agents",
            "/hook/agents/",
            "/hook//app",
            "/hook/agents/app/",
            "/hook/agents/app/status",
            "/hook/agents/..",
            "/hook/../app",
            "/hook/agents/../../api/v1/secrets",
            "/hook/agents/%2e%2e%2fsecrets",
            "/hook/agents/app%00",
            "/hook/agents/app%20",
            "/hook/agents/app;x=1",
            "/hook/Agents/app",
            "/hook/a.b/app",
            "/hook/agents/-app",
            "/hook/agents/a..b",
            "/hook/agents/\u{fc}",
            "//hook/agents/app",
            "/HOOK/agents/app",
            "/healthz",
            &format!("/hook/{}/app", "n".repeat(64)),
            &format!("/hook/agents/{}", "n".repeat(254)),
        ] {
            check(&Method::POST, path, &Route::Unknown);
        }
        for method in [
            &Method::GET,
            &Method::PUT,
            &Method::DELETE,
            &Method::OPTIONS,
        ] {
            check(method, "/hook/agents/app", &Route::Unknown);
        }
        check(&Method::GET, "/healthz/", &Route::Unknown);
    }
}
