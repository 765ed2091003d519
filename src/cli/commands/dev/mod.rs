//! `axon dev`: the whole system in one process, until Ctrl-C or, with `--once`, until all is done.

mod agents;
mod board;
mod embedded;
mod isolation;
mod lend;
mod live;
mod options;
mod report;
mod secrets;
mod source;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use kube::Api;
use kube::Client;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::api::Task;
use crate::api::TaskSpawner;
use crate::api::Workspace;
use crate::cli::args::Global;
use crate::cli::commands::dev::board::Board;
use crate::cli::commands::dev::embedded::create_namespace;
use crate::cli::commands::dev::embedded::path_folders;
use crate::cli::commands::dev::embedded::start;
use crate::cli::commands::dev::embedded::unwritable;
use crate::cli::commands::dev::lend::Repositories;
use crate::cli::commands::dev::live::Live;
use crate::cli::commands::dev::secrets::Secrets;
use crate::cli::exit::Exit;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::controller;
use crate::controller::follow::Event;
use crate::controller::follow::Follower;
use crate::controller::follow::Look;
use crate::controller::follow::Trigger;
use crate::local::runner::isolation::Isolation;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Kept;
use crate::model::run::Outcome;

pub use options::Options;

/// With `--once`, Tasks that wait for a person for this long are not waited for: longer than an object
/// of the same sync takes to be seen.
const STUCK: Duration = Duration::from_secs(5);

/// With `--once`, how long the rest of what agents said is awaited once all Tasks have ended.
const LINGER: Duration = Duration::from_secs(5);
/// How often the lines of what goes on are drawn anew: their clocks show seconds.
const TICK: Duration = Duration::from_millis(500);

pub async fn run(global: &Global, options: Options) -> Result<Exit, Failure> {
    let secrets = Secrets::read(&options.secrets)?;
    let source = options.source.open()?;
    let repositories = Arc::new(Repositories::default());
    let is_own = source::folder(&source).is_some();
    let isolation = isolation::choose(is_own, &options).await?;
    if !is_own {
        // The user named it.
        repositories.allow(&options.source.source);
    }
    let state = source::state_dir(&source)?;
    let table = agents::Table::new(&state, source::folder(&source), path_folders())?;
    let controllers = controllers(&options, &table, &isolation);
    let cluster = start(
        &state,
        options.ephemeral,
        table,
        isolation,
        repositories.clone(),
    )
    .await?;
    ui::note(format_args!(
        "kubeconfig: {}",
        cluster.kubeconfig().display()
    ));
    let trigger = source::trigger(&source, &options);
    let session = Session {
        client: cluster.client(),
        secrets,
        repositories,
        is_own,
        base: source.base.clone(),
        sync: source::sync_of(source, global, &options, &state, cluster.client())?,
        command: format!(
            "axon apply --kubeconfig {} {}",
            cluster.kubeconfig().display(),
            options.source.source
        ),
        board: RefCell::new(Board::new(options.once)),
        live: Live::new(),
        planned: RefCell::default(),
        stop: CancellationToken::new(),
    };
    let outcome = tokio::select! {
        outcome = session.run(trigger, controllers) => outcome,
        why = cluster.broken() => Err(unwritable(&state, why)),
        () = interrupted() => {
            ui::note("stopping");
            // With --once the work that was asked for is not done.
            Ok(if options.once { Exit::Interrupted } else { Exit::Ok })
        }
    };
    session.stop.cancel();
    cluster.stop().await;
    outcome
}

fn controllers(
    options: &Options,
    table: &agents::Table,
    isolation: &Isolation,
) -> controller::Options {
    controller::Options {
        images: table.images.clone(),
        allow_file_urls: true,
        only_own_repositories: matches!(isolation, Isolation::Open) && !options.unconfined,
        local_addresses: true,
        deployment_name: "axon-dev".into(),
        github_api: options.github_api_url.clone(),
        once: options.once,
        ..controller::Options::default()
    }
}

/// One run of `axon dev` on a cluster that has started.
struct Session {
    client: Client,
    secrets: Secrets,
    /// What agents are lent.
    repositories: Arc<Repositories>,
    /// Whether the source is a directory of the user's own.
    is_own: bool,
    /// The directory that the source is, where it is one.
    base: Option<PathBuf>,
    sync: Follower,
    /// What takes the flags that this command does not have.
    command: String,
    board: RefCell<Board>,
    live: Live,
    planned: RefCell<Planned>,
    stop: CancellationToken,
}

/// What the last plan leaves in the cluster.
#[derive(Default)]
struct Planned {
    namespace: String,
    tasks: BTreeSet<ObjectName>,
}

impl Session {
    /// Does the work; what must go on meanwhile ends with it.
    async fn run(
        &self,
        trigger: Option<Trigger>,
        controllers: controller::Options,
    ) -> Result<Exit, Failure> {
        cluster::install(&self.client)
            .await
            .map_err(|error| Failure::new("cannot install the resource definitions", &error))?;
        let changed = Notify::new();
        tokio::select! {
            outcome = self.work(trigger, &changed) => outcome,
            ended = controller::run(self.client.clone(), controllers, self.stop.clone()) => {
                let why = "the controllers have ended";
                Err(ended.map_or_else(|error| Failure::new(why, &error), |()| Failure::plain(why)))
            }
            () = self.watch_tasks(&changed) => Err(Failure::plain("the watch of Tasks has ended")),
            () = self.watch_spawners(&changed) => Err(Failure::plain("the watch of TaskSpawners has ended")),
        }
    }

    async fn work(&self, trigger: Option<Trigger>, changed: &Notify) -> Result<Exit, Failure> {
        let Some(trigger) = trigger else {
            return Ok(self.once(changed).await);
        };
        self.sync
            .run(
                trigger,
                async |event| {
                    self.tell(event).await;
                },
                &self.stop,
            )
            .await
            .map_err(|error| Failure::new("cannot follow the source", &error))?;
        Ok(Exit::Ok)
    }

    /// Syncs once, and waits until all is done.
    async fn once(&self, changed: &Notify) -> Exit {
        let mut exit = Exit::Ok;
        let look = self
            .sync
            .once(
                async |event| {
                    exit = self.tell(event).await.unwrap_or(exit);
                },
                &self.stop,
            )
            .await;
        if look != Look::Done || exit != Exit::Ok {
            return if exit == Exit::Ok { Exit::Error } else { exit };
        }
        let planned = self.planned.take();
        let namespace = &planned.namespace;
        while !self.board.borrow().is_settled(namespace, &planned.tasks) {
            let is_stuck = self.board.borrow().is_stuck(namespace);
            tokio::select! {
                () = changed.notified() => {}
                () = sleep(STUCK), if is_stuck => break,
            }
        }
        let all_said = async {
            while self.live.listens() {
                changed.notified().await;
            }
        };
        // What is not said by then is lost to nobody: `axon logs` tells it.
        timeout(LINGER, all_said).await.ok();
        self.live.draw();
        let board = self.board.borrow();
        ui::out(board.outcome(namespace));
        if board.is_success(namespace) {
            Exit::Ok
        } else {
            Exit::Error
        }
    }

    /// Shows an event, and prepares what the next step needs. Gives an exit code where the event is
    /// a failure.
    async fn tell(&self, event: Event) -> Option<Exit> {
        match event {
            Event::Loaded { revision, warnings } => {
                ui::note(format_args!("axon.yaml at {revision}"));
                report::diagnostics(&warnings, self.base.as_deref());
                None
            }
            Event::Invalid(problems) => {
                report::diagnostics(&problems, self.base.as_deref());
                Some(Exit::Error)
            }
            Event::Planned(plan) => {
                report::plan(&plan, &self.command);
                self.prepare(&plan).await.or(failed_before(&plan))
            }
            Event::Refused(refusals) => {
                let failure = report::refused(&refusals);
                ui::error(&failure);
                Some(failure.exit)
            }
            // Nobody is asked here.
            Event::Declined => None,
            Event::Applied(applied) => report::applied(&applied),
            Event::Failed(error) => {
                let failure = report::failed(&error);
                ui::error(&failure);
                Some(failure.exit)
            }
        }
    }

    /// Makes the namespace and the Secrets that the plan's objects need.
    async fn prepare(&self, plan: &Plan) -> Option<Exit> {
        *self.planned.borrow_mut() = Planned {
            namespace: plan.namespace.to_string(),
            tasks: declared_tasks(plan),
        };
        let made = async {
            create_namespace(&self.client, &plan.namespace).await?;
            if self.is_own {
                self.allow_workspaces(plan).await;
            }
            self.secrets.apply(&self.client, &plan.namespace).await
        };
        let failure = made.await.err()?;
        ui::error(&failure);
        Some(failure.exit)
    }

    /// Lets agents have the repositories of this machine that the user's own `axon.yaml` names.
    async fn allow_workspaces(&self, plan: &Plan) {
        let live: Api<Workspace> = Api::namespaced(self.client.clone(), plan.namespace.as_str());
        let ours = plan
            .steps
            .iter()
            .filter(|it| it.key.kind == Kind::Workspace);
        for step in ours {
            let repo = match &step.action {
                Action::Create { manifest, .. }
                | Action::Update { manifest, .. }
                | Action::Replace { manifest, .. } => manifest.as_value()["spec"]["repo"]
                    .as_str()
                    .map(str::to_owned),
                Action::Unchanged | Action::Keep { why: Kept::Asked } => {
                    let found = live.get_opt(step.key.name.as_str()).await;
                    found.ok().flatten().map(|it| it.spec.repo)
                }
                // Nobody knows whether the user's own named it.
                Action::Keep {
                    why: Kept::Unproven,
                }
                | Action::Delete { .. }
                | Action::AlreadyRan { .. }
                | Action::Blocked { .. } => None,
            };
            if let Some(repo) = repo {
                self.repositories.allow(&repo);
            }
        }
    }

    async fn watch_tasks(&self, changed: &Notify) {
        let show = |line: Option<String>| line.into_iter().for_each(ui::note);
        let tasks = Api::<Task>::all(self.client.clone());
        let mut events = pin!(watcher(tasks, watcher::Config::default()).default_backoff());
        let mut listening = FuturesUnordered::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                Some(()) = listening.next() => {
                    changed.notify_one();
                    continue;
                }
                _ = tick.tick() => {
                    self.live.draw();
                    continue;
                }
            };
            match event {
                Some(Ok(watcher::Event::Apply(task) | watcher::Event::InitApply(task))) => {
                    show(self.board.borrow_mut().task(&task));
                    if let Some(item) = self.live.task(&task) {
                        listening.push(self.live.listen(self.client.clone(), item));
                    }
                }
                Some(Ok(watcher::Event::Delete(task))) => {
                    self.board.borrow_mut().task_gone(&task);
                    self.live.gone(&task);
                }
                Some(Ok(watcher::Event::Init | watcher::Event::InitDone)) => {}
                Some(Err(error)) => tracing::warn!(%error, "watching Tasks"),
                None => return,
            }
            changed.notify_one();
        }
    }

    async fn watch_spawners(&self, changed: &Notify) {
        let show = |line: Option<String>| line.into_iter().for_each(ui::note);
        let spawners = Api::<TaskSpawner>::all(self.client.clone());
        let mut events = pin!(watcher(spawners, watcher::Config::default()).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(spawner) | watcher::Event::InitApply(spawner)) => {
                    show(self.board.borrow_mut().spawner(&spawner));
                }
                Ok(watcher::Event::Delete(spawner)) => {
                    self.board.borrow_mut().spawner_gone(&spawner);
                }
                Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                Err(error) => tracing::warn!(%error, "watching TaskSpawners"),
            }
            changed.notify_one();
        }
    }
}

/// A Task that ran before, is gone, and did not succeed.
fn failed_before(plan: &Plan) -> Option<Exit> {
    let failed = |action: &Action| match action {
        Action::AlreadyRan { outcome, .. } => match outcome {
            Outcome::Succeeded => false,
            Outcome::Failed | Outcome::Cancelled | Outcome::Unknown => true,
        },
        _ => false,
    };
    plan.steps
        .iter()
        .any(|step| failed(&step.action))
        .then_some(Exit::Error)
}

/// The Tasks that a plan leaves in the cluster.
fn declared_tasks(plan: &Plan) -> BTreeSet<ObjectName> {
    let stays = |action: &Action| match action {
        Action::Create { .. }
        | Action::Update { .. }
        | Action::Replace { .. }
        | Action::Unchanged => true,
        Action::Delete { .. }
        | Action::Keep { .. }
        | Action::AlreadyRan { .. }
        | Action::Blocked { .. } => false,
    };
    let tasks = plan
        .steps
        .iter()
        .filter(|step| step.key.kind == Kind::Task && stays(&step.action));
    tasks.map(|step| step.key.name.clone()).collect()
}

/// Ctrl-C, or the SIGTERM of a service manager.
async fn interrupted() {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => if pressed.is_err() { std::future::pending::<()>().await },
        () = terminated => {}
    }
}
