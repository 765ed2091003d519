//! One of the two servers, and one namespace there: requests go out, answers come in.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use serde_json::json;

use super::answer::Exchange;
use super::answer::Normal;
use super::material::Edit;
use super::material::Subject;
use super::sequence::Action;
use super::sequence::From;
use super::sequence::NAMES;
use super::sequence::Naming;
use super::sequence::Options;
use super::sequence::Precondition;
use super::sequence::Sequence;
use super::sequence::Step;
use super::sequence::Version;
use crate::server;
use crate::server::Kind;

/// The object whose creation ends every watch.
const LAST: &str = "zz-last";
/// How names begin that the server ends.
const GENERATED: &str = "zz-gen-";
/// The most pages of a list that are read.
const PAGES: usize = 6;
/// How long a watch may take to come to its end.
const PATIENCE: Duration = Duration::from_mins(1);
/// Who writes, if nobody else is named.
const AGENT: &str = "tester/1.0";

pub(super) struct Side {
    client: Client,
    kind: Kind,
    namespace: String,
    group: String,
    normal: Normal,
    /// The resourceVersions that each object had.
    versions: BTreeMap<(Subject, String), Vec<String>>,
    uids: BTreeMap<(Subject, String), String>,
    /// Watches that are read at the end: (kind, labels, from where on).
    watches: Vec<(Subject, &'static str, String)>,
    start: String,
    generated: bool,
}

impl Side {
    pub(super) fn new(client: Client, kind: Kind, namespace: &str, group: &str) -> Self {
        Self {
            client,
            kind,
            namespace: namespace.to_owned(),
            group: group.to_owned(),
            normal: Normal::default(),
            versions: BTreeMap::new(),
            uids: BTreeMap::new(),
            watches: Vec::new(),
            start: String::new(),
            generated: false,
        }
    }

    /// Makes the namespace, and awaits what its controllers put there.
    pub(super) async fn prepare(&mut self) {
        server::create_namespace(&self.client, &self.namespace).await;
        let core = format!("/api/v1/namespaces/{}", self.namespace);
        let given = [
            ("configmaps", "kube-root-ca.crt"),
            ("serviceaccounts", "default"),
        ];
        for (plural, name) in given {
            let path = format!("{core}/{plural}");
            if self.kind == Kind::Embedded {
                let body = json!({"metadata": {"name": name}}).to_string();
                self.send("POST", &path, "application/json", body).await;
            } else {
                let one = format!("{path}/{name}");
                let made = async || {
                    (self.send("GET", &one, "", String::new()).await.0 == 200).then_some(())
                };
                server::eventually("what every namespace has", made).await;
            }
        }
        self.start = self.revision().await;
    }

    /// Where the server's history is now.
    async fn revision(&self) -> String {
        let path = self.collection(Subject::Secret);
        let (_, _, list) = self.send("GET", &path, "", String::new()).await;
        list["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn collection(&self, subject: Subject) -> String {
        let version = subject.api_version(&self.group);
        let root = if version == "v1" { "api" } else { "apis" };
        format!(
            "/{root}/{version}/namespaces/{}/{}",
            self.namespace,
            subject.plural()
        )
    }

    /// Code, warnings, body.
    async fn send(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: String,
    ) -> (u16, Vec<String>, Value) {
        let response = self
            .client
            .send(request(method, path, media, body))
            .await
            .unwrap();
        let code = response.status().as_u16();
        let warnings = response.headers().get_all("warning").iter();
        let warnings = warnings.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let warnings = warnings.collect();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
        (code, warnings, body)
    }

    /// Sends a request, remembers what it tells, and makes its answer comparable.
    async fn ask(
        &mut self,
        method: &str,
        path: &str,
        media: &str,
        body: String,
    ) -> (Exchange, Value) {
        let mut asked = format!("{method} {path}");
        if !body.is_empty() {
            asked = format!("{asked}\n      {media}: {body}");
        }
        let (code, warnings, answer) = self.send(method, path, media, body).await;
        self.learn(&answer);
        let shown = json!({"code": code, "warnings": warnings, "body": answer});
        let exchange = Exchange {
            asked,
            answer: self.normal.of(shown),
        };
        (exchange, answer)
    }

    fn learn(&mut self, answer: &Value) {
        let meta = &answer["metadata"];
        let subject = super::material::SUBJECTS
            .into_iter()
            .find(|it| answer["kind"] == format!("{it:?}"));
        let name = meta["name"].as_str();
        let (Some(subject), Some(name), Some(version)) =
            (subject, name, meta["resourceVersion"].as_str())
        else {
            return;
        };
        let key = (subject, name.to_owned());
        let uid = meta["uid"].as_str().unwrap_or_default();
        self.uids.insert(key.clone(), uid.to_owned());
        let known = self.versions.entry(key).or_default();
        if known.last().is_none_or(|it| it != version) {
            known.push(version.to_owned());
        }
    }

    #[expect(clippy::too_many_lines, reason = "one table of actions")]
    pub(super) async fn run(&mut self, step: &Step) -> Vec<Exchange> {
        let subject = step.subject;
        let collection = self.collection(subject);
        let object = format!("{collection}/{}", step.name);
        let query = query(&step.options);
        match &step.action {
            Action::Create { edits, how } => {
                let body = self.created(step, edits, *how);
                let path = format!("{collection}?{query}");
                vec![self.ask("POST", &path, "application/json", body).await.0]
            }
            Action::Update {
                edits,
                from,
                version,
                status,
            } => {
                let mut exchanges = Vec::new();
                let mut body = subject.base(&self.group, step.name);
                if *from == From::Live {
                    let (exchange, live) = self.ask("GET", &object, "", String::new()).await;
                    exchanges.push(exchange);
                    if live["kind"] != "Status" {
                        body = live;
                    }
                }
                self.set_version(&mut body, step, *version);
                for edit in edits {
                    lay(&mut body, edit, false);
                }
                let path = format!("{object}{}?{query}", part(*status));
                let updated = self
                    .ask("PUT", &path, "application/json", body.to_string())
                    .await;
                exchanges.push(updated.0);
                exchanges
            }
            Action::Merge {
                edits,
                strategic,
                version,
                status,
            } => {
                let mut body = json!({});
                if *version != Version::None {
                    self.set_version(&mut body, step, *version);
                }
                for edit in edits {
                    lay(&mut body, edit, true);
                }
                let media = if *strategic {
                    "strategic-merge"
                } else {
                    "merge"
                };
                let media = format!("application/{media}-patch+json");
                let path = format!("{object}{}?{query}", part(*status));
                vec![self.ask("PATCH", &path, &media, body.to_string()).await.0]
            }
            Action::Json { operations, status } => {
                let operations: Vec<_> = operations
                    .iter()
                    .map(|(op, edit)| operation(op, edit))
                    .collect();
                let path = format!("{object}{}?{query}", part(*status));
                let body = json!(operations).to_string();
                vec![
                    self.ask("PATCH", &path, "application/json-patch+json", body)
                        .await
                        .0,
                ]
            }
            Action::Apply {
                edits,
                manager,
                force,
                whole,
                status,
            } => {
                let mut body = subject.base(&self.group, step.name);
                // Admission would add to a Pod that says less.
                if !whole && subject != Subject::Pod {
                    body = json!({"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": {"name": step.name}});
                }
                for edit in edits {
                    lay(&mut body, edit, true);
                }
                let options = Options {
                    manager: Some(manager),
                    ..step.options.clone()
                };
                let force = if *force { "&force=true" } else { "" };
                let query = self::query(&options);
                let path = format!("{object}{}?{query}{force}", part(*status));
                vec![
                    self.ask(
                        "PATCH",
                        &path,
                        "application/apply-patch+yaml",
                        body.to_string(),
                    )
                    .await
                    .0,
                ]
            }
            Action::Delete {
                policy,
                precondition,
            } => {
                let body = self.delete_options(step, *policy, *precondition);
                let path = format!("{object}?{query}");
                let answer = self
                    .ask("DELETE", &path, "application/json", body.to_string())
                    .await
                    .0;
                self.settle(subject, step.name).await;
                vec![answer]
            }
            Action::DeleteCollection { labels } => {
                let labels = encoded(labels);
                let path = format!("{collection}?labelSelector={labels}&{query}");
                let answer = self
                    .ask("DELETE", &path, "application/json", String::new())
                    .await
                    .0;
                for name in NAMES {
                    self.settle(subject, name).await;
                }
                vec![answer]
            }
            Action::Get { status } => {
                let path = format!("{object}{}", part(*status));
                vec![self.ask("GET", &path, "", String::new()).await.0]
            }
            Action::List {
                labels,
                fields,
                limit,
                disturbed,
            } => self.list(step, labels, fields, *limit, *disturbed).await,
            Action::Watch { labels } => {
                let from = self.revision().await;
                self.watches.push((subject, labels, from));
                Vec::new()
            }
        }
    }

    fn created(&mut self, step: &Step, edits: &[Edit], how: Naming) -> String {
        let mut body = step.subject.base(&self.group, step.name);
        // Two generated names would come in any order.
        if how == Naming::Generated && !self.generated {
            self.generated = true;
            body["metadata"]["generateName"] = GENERATED.into();
            body["metadata"].as_object_mut().unwrap().remove("name");
        }
        for edit in edits {
            lay(&mut body, edit, false);
        }
        let text = body.to_string();
        if how == Naming::Twice {
            return text.replacen("\"metadata\":{", "\"metadata\":{\"name\":\"first\",", 1);
        }
        text
    }

    fn set_version(&self, body: &mut Value, step: &Step, version: Version) {
        let known = self.versions.get(&(step.subject, step.name.to_owned()));
        let value = match version {
            Version::Live => known.and_then(|it| it.last()),
            Version::Stale => known.and_then(|it| it.first()),
            Version::None => None,
        };
        body["metadata"]["resourceVersion"] = json!(value.map_or("", String::as_str));
    }

    fn delete_options(
        &self,
        step: &Step,
        policy: Option<&str>,
        precondition: Precondition,
    ) -> Value {
        let mut options = json!({"kind": "DeleteOptions", "apiVersion": "v1"});
        // The real collector learns of new kinds only every half minute.
        let collects = !step.subject.is_custom() || step.options.dry_run.is_some();
        if let Some(policy) =
            policy.filter(|it| collects || !matches!(*it, "Foreground" | "Orphan"))
        {
            options["propagationPolicy"] = policy.into();
        }
        let key = (step.subject, step.name.to_owned());
        let versions = self.versions.get(&key);
        let (field, value) = match precondition {
            Precondition::None => return options,
            Precondition::Uid => ("uid", self.uids.get(&key).cloned()),
            Precondition::WrongUid => ("uid", Some("00000000-0000-4000-8000-000000000001".into())),
            Precondition::Version => (
                "resourceVersion",
                versions.and_then(|it| it.last()).cloned(),
            ),
            Precondition::StaleVersion => (
                "resourceVersion",
                versions.and_then(|it| it.first()).cloned(),
            ),
        };
        if let Some(value) = value {
            options["preconditions"] = json!({field: value});
        }
        options
    }

    /// Awaits that the garbage collector has done its part.
    async fn settle(&self, subject: Subject, name: &str) {
        let path = format!("{}/{name}", self.collection(subject));
        let done = async || {
            let (_, _, object) = self.send("GET", &path, "", String::new()).await;
            let finalizers = object["metadata"]["finalizers"].to_string();
            let waits =
                finalizers.contains("\"orphan\"") || finalizers.contains("\"foregroundDeletion\"");
            let deleting = object["metadata"]["deletionTimestamp"].is_string();
            (!waits || !deleting).then_some(())
        };
        server::eventually("the garbage collector", done).await;
    }

    async fn list(
        &mut self,
        step: &Step,
        labels: &str,
        fields: &str,
        limit: Option<u8>,
        disturbed: bool,
    ) -> Vec<Exchange> {
        let collection = self.collection(step.subject);
        let limit = limit.map_or(String::new(), |limit| format!("&limit={limit}"));
        let path = format!(
            "{collection}?labelSelector={}&fieldSelector={}{limit}",
            encoded(labels),
            encoded(fields)
        );
        let (first, mut page) = self.ask("GET", &path, "", String::new()).await;
        let mut exchanges = vec![first];
        while exchanges.len() < PAGES
            && let Some(token) = page["metadata"]["continue"]
                .as_str()
                .filter(|it| !it.is_empty())
        {
            let path = format!("{path}&continue={}", encoded(token));
            if disturbed && exchanges.len() == 1 {
                let object = format!("{collection}/{}", NAMES[1]);
                let body = json!({"metadata": {"labels": {"app": "b", "tier": "1"}}}).to_string();
                let written = self
                    .ask("PATCH", &object, "application/merge-patch+json", body)
                    .await;
                exchanges.push(written.0);
            }
            let (exchange, next) = self.ask("GET", &path, "", String::new()).await;
            exchanges.push(exchange);
            page = next;
        }
        exchanges
    }

    /// What watches of all kinds have seen, and those that began on the way.
    pub(super) async fn events(&mut self, sequence: &Sequence) -> Vec<Exchange> {
        let subjects: BTreeSet<_> = sequence.steps.iter().map(|step| step.subject).collect();
        let mut watches: Vec<_> = subjects
            .iter()
            .map(|subject| (*subject, "", self.start.clone()))
            .collect();
        watches.append(&mut self.watches);
        for subject in subjects {
            let mut last = subject.base(&self.group, LAST);
            last["metadata"]["labels"] = json!({"app": "end", "tier": "end"});
            let path = self.collection(subject);
            let made = self
                .send("POST", &path, "application/json", last.to_string())
                .await;
            assert_eq!(made.0, 201, "{}", made.2);
        }
        let mut exchanges = Vec::new();
        for (subject, labels, from) in watches {
            let path = format!(
                "{}?watch=1&resourceVersion={from}&labelSelector={}",
                self.collection(subject),
                encoded(labels)
            );
            let events = tokio::time::timeout(PATIENCE, self.watch(&path)).await;
            let mut events = events.unwrap_or_else(|_| vec![json!("no end")]);
            if sequence.frees(subject) {
                events.sort_by_key(|it| it["object"]["metadata"]["name"].to_string());
            }
            exchanges.push(Exchange {
                asked: format!("GET {path}"),
                answer: self.normal.of(json!({"events": events})),
            });
        }
        exchanges
    }

    /// Reads a watch until it shows the last object.
    async fn watch(&self, path: &str) -> Vec<Value> {
        let response = self
            .client
            .send(request("GET", path, "", String::new()))
            .await
            .unwrap();
        let mut body = response.into_body();
        let (mut bytes, mut events) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.unwrap();
            bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |it| &it[..]));
            while let Some(end) = bytes.iter().position(|it| *it == b'\n') {
                let line: Vec<u8> = bytes.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).unwrap();
                let is_last = event["object"]["metadata"]["name"] == LAST;
                events.push(event);
                if is_last {
                    return events;
                }
            }
        }
        events.push(String::from_utf8_lossy(&bytes).into_owned().into());
        events
    }
}

fn request(method: &str, path: &str, media: &str, body: String) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("user-agent", AGENT);
    if !media.is_empty() {
        request = request.header("content-type", media);
    }
    request.body(Body::from(body.into_bytes())).unwrap()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn part(status: bool) -> &'static str {
    if status { "/status" } else { "" }
}

fn query(options: &Options) -> String {
    let pairs = [
        ("dryRun", options.dry_run),
        ("fieldValidation", options.validation),
        ("fieldManager", options.manager),
    ];
    let given = pairs
        .iter()
        .filter_map(|(key, value)| value.map(|value| format!("{key}={value}")));
    given.collect::<Vec<_>>().join("&")
}

fn operation(op: &str, edit: &Edit) -> Value {
    match op {
        "remove" => json!({"op": op, "path": edit.path}),
        _ => json!({"op": op, "path": edit.path, "value": edit.value}),
    }
}

/// Puts a value into an object; null takes it away, unless it is to be told.
fn lay(object: &mut Value, edit: &Edit, tells_null: bool) {
    let parts: Vec<_> = edit.path[1..]
        .split('/')
        .map(|it| it.replace("~1", "/"))
        .collect();
    let (last, outer) = parts.split_last().unwrap();
    let mut place = object;
    for part in outer {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[part.as_str()];
    }
    // Places in lists are for JSON patches.
    let in_list = place.is_array() || last == "-" || last.parse::<u8>().is_ok();
    if in_list {
        return;
    }
    if !place.is_object() {
        *place = json!({});
    }
    if edit.value.is_null() && !tells_null {
        place.as_object_mut().unwrap().remove(last);
    } else {
        place[last.as_str()] = edit.value.clone();
    }
}
