//! A container's process as the runner holds it: its supervisor, and the line to it.
//!
//! Dropping it closes that line, and the supervisor then kills everything.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::AsyncBufReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::process::ChildStdin;
use tokio::process::ChildStdout;
use tokio::process::Command;

use super::launch::Launch;
use super::launch::Order;
use super::launch::Report;
use super::status::KILLED;
use super::supervise::SUBCOMMAND;
use super::supervise::kill_orphans;

/// How long a supervisor may take to say that the container runs.
const START_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
pub(super) enum Error {
    /// The container's own fault.
    #[error("{0}")]
    Refused(String),
    #[error("cannot run the supervisor \"{exe}\"")]
    Supervisor {
        exe: String,
        #[source]
        source: io::Error,
    },
}

pub(super) struct Process {
    pid: Pid,
    orders: ChildStdin,
    reports: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the container and returns when its main process is there.
    pub(super) async fn start(exe: &Path, launch: &Launch) -> Result<Self, Error> {
        let attempt = tokio::time::timeout(START_WITHIN, Self::attempt(exe, launch));
        let failed = |source: io::Error| Error::Supervisor {
            exe: exe.display().to_string(),
            source,
        };
        match attempt.await {
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
            Ok(Err(source)) => Err(failed(source)),
            Ok(Ok(Err(reason))) => Err(Error::Refused(reason)),
            Ok(Ok(Ok(process))) => Ok(process),
        }
    }

    async fn attempt(exe: &Path, launch: &Launch) -> io::Result<Result<Self, String>> {
        // A group of its own: Ctrl-C in the terminal is for the runner alone.
        let mut child = Command::new(exe)
            .arg(SUBCOMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let missing = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut orders = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let mut text = serde_json::to_vec(launch)?;
        text.push(b'\n');
        orders.write_all(&text).await?;
        let mut reports = BufReader::new(output).lines();
        match next(&mut reports).await? {
            Report::Started { pid } => Ok(Ok(Self {
                pid: Pid::from_raw(pid),
                orders,
                reports,
            })),
            Report::Refused { reason } => Ok(Err(reason)),
            Report::Exited { .. } => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Waits for the end and gives the exit code. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> i32 {
        loop {
            match next(&mut self.reports).await {
                Ok(Report::Exited { code }) => return code,
                Ok(Report::Started { .. } | Report::Refused { .. }) => {}
                Err(_) => {
                    // Somebody killed the supervisor; the kernel has killed the main process.
                    kill_orphans(self.pid);
                    return KILLED;
                }
            }
        }
    }

    /// Passes an order on. A supervisor that is gone needs none.
    pub(super) async fn order(&mut self, order: Order) {
        let Ok(mut text) = serde_json::to_vec(&order) else {
            return;
        };
        text.push(b'\n');
        let _ = self.orders.write_all(&text).await;
    }
}

async fn next(reports: &mut Lines<BufReader<ChildStdout>>) -> io::Result<Report> {
    let line = reports.next_line().await?;
    let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(&line)?)
}
