//! What people see: data to stdout, everything else to stderr.

use std::error::Error as StdError;
use std::fmt;
use std::fmt::Write as _;
use std::io;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use anstyle::AnsiColor;
use anstyle::Style;
use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;

use crate::cli::args::Color;
use crate::cli::exit::Exit;

/// Headings of errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Headings of warnings.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Headings of hints.
pub const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// Why a command failed: what was tried, the causes, a hint where a person can act.
#[derive(Debug)]
pub struct Failure {
    /// What was tried: `cannot start Task "fix-login"`.
    pub what: String,
    /// The causes, outermost first.
    pub causes: Vec<String>,
    pub hint: Option<String>,
    pub exit: Exit,
}

impl Failure {
    /// `what` went wrong because of `error` and its sources.
    pub fn new(what: impl Into<String>, error: &dyn StdError) -> Self {
        let mut causes = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            // Its own text repeats the whole answer as Rust's debug output.
            if let Some(kube::Error::Api(status)) = cause.downcast_ref() {
                causes.push(status.message.clone());
                break;
            }
            let text = cause.to_string();
            // Some libraries repeat the source in their own message.
            if causes.last().is_none_or(|last| !last.ends_with(&text)) {
                causes.push(text);
            }
            source = cause.source();
        }
        Self {
            what: what.into(),
            causes,
            hint: None,
            exit: Exit::Error,
        }
    }

    /// Something that has no further cause.
    pub fn plain(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            causes: Vec::new(),
            hint: None,
            exit: Exit::Error,
        }
    }

    /// The command was used wrongly.
    pub fn usage(what: impl Into<String>) -> Self {
        Self {
            exit: Exit::Usage,
            ..Self::plain(what)
        }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }
}

/// Prints a failure to stderr.
pub fn error(failure: &Failure) {
    let mut text = String::new();
    // Writing to a String cannot fail.
    writeln!(text, "{ERROR}error{ERROR:#}: {}", failure.what).ok();
    for cause in &failure.causes {
        writeln!(
            text,
            "  caused by: {}",
            cause.replace('\n', "\n             ")
        )
        .ok();
    }
    if let Some(hint) = &failure.hint {
        writeln!(text, "{HINT}hint{HINT:#}: {hint}").ok();
    }
    note_raw(&text);
}

/// Prints what a person can do to stderr.
pub fn hint(line: impl fmt::Display) {
    note_raw(&format!("{HINT}hint{HINT:#}: {line}\n"));
}

/// Prints a line of progress to stderr.
pub fn note(line: impl fmt::Display) {
    note_raw(&format!("{line}\n"));
}

/// Prints a warning to stderr.
pub fn warning(line: impl fmt::Display) {
    note_raw(&format!("{WARNING}warning{WARNING:#}: {line}\n"));
}

/// Prints data to stdout as it is. A reader that has gone away (`| head`) ends the output quietly.
pub fn out(text: impl fmt::Display) {
    above(|| {
        io::Write::write_fmt(&mut anstream::stdout(), format_args!("{text}")).ok();
    });
}

/// Prints bytes to stdout, whatever they are.
pub fn bytes(bytes: &[u8]) {
    above(|| {
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).ok();
    });
}

/// Lines that are drawn over and over; what is printed meanwhile goes above them.
static DRAWN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Says what is drawn from now on.
pub fn draws(lines: Option<MultiProgress>) {
    *DRAWN.lock().unwrap_or_else(PoisonError::into_inner) = lines;
}

fn above(print: impl FnOnce()) {
    let drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match drawn {
        Some(lines) => lines.suspend(print),
        None => print(),
    }
}

fn note_raw(text: &str) {
    // Nowhere is left to say that stderr is gone.
    above(|| {
        anstream::stderr().write_all(text.as_bytes()).ok();
    });
}

/// stderr, above what is drawn.
struct Above;

impl io::Write for Above {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = Ok(0);
        above(|| written = io::stderr().write(bytes));
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Fixes for the whole process when colour is used.
pub fn set_color(color: Color) {
    match color {
        // anstream looks at the terminal and at NO_COLOR itself.
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// Sends log lines to stderr: warnings, with `-v` information, with `-vv` all of ours.
pub fn log(verbose: u8) {
    let filter = match verbose {
        0 => "off,axon=warn",
        1 => "warn,axon=info",
        _ => "info,axon=debug",
    };
    // A second initialisation (tests) keeps the first one.
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| Above)
        .with_ansi(anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never)
        .try_init()
        .ok();
}
