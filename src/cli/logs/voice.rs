//! Says what a follower finds: the agent's words to stdout, the rest to stderr. Of several Tasks each line
//! begins with a name.

use std::io;
use std::io::IsTerminal as _;
use std::time::Duration;

use anstyle::AnsiColor;
use anstyle::Style;
use indicatif::MultiProgress;
use indicatif::ProgressBar;

use super::follow::Told;
use super::transcript;
use super::transcript::Lines;
use crate::cli::screen;
use crate::cli::ui;

/// Colours of names. Red says that something is wrong.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Green,
    AnsiColor::Blue,
    AnsiColor::Yellow,
    AnsiColor::BrightCyan,
];
const DIM: Style = Style::new().dimmed();
/// Most of a line without end that is held back, where lines need a name.
const MAX_OPEN: usize = 64 << 10;
/// How often the spinner turns.
const TURN: Duration = Duration::from_millis(120);

/// How one Task is told.
pub(in crate::cli) struct Voice {
    /// What stands before each line.
    prefix: String,
    /// Whether all goes to stderr, because stdout is someone else's.
    aside: bool,
    waiting: Waiting,
    /// A line that has not ended.
    open: Vec<u8>,
}

impl Voice {
    /// The voice of the only Task.
    pub(in crate::cli) fn alone() -> Self {
        Self {
            prefix: String::new(),
            aside: false,
            waiting: Waiting::new(),
            open: Vec::new(),
        }
    }

    /// One of several; names are made as wide as the longest.
    pub(in crate::cli) fn named(name: &str, width: usize) -> Self {
        let style = color_of(name).on_default();
        let pad = " ".repeat(width.saturating_sub(screen::columns_of(name)));
        Self {
            prefix: format!("{style}{name}{pad} │{style:#} "),
            aside: false,
            waiting: Waiting::lines(),
            open: Vec::new(),
        }
    }

    /// The same, without a word to stdout.
    pub(in crate::cli) fn aside(mut self) -> Self {
        self.aside = true;
        self
    }

    pub(in crate::cli) fn tell(&mut self, told: Told<'_>) {
        if let Told::Waits(why) = told {
            let line = format!("{}{DIM}waits: {why}{DIM:#}", self.prefix);
            return self.waiting.tell(&line);
        }
        self.waiting.over();
        match told {
            Told::Waits(_) | Told::Begins => {}
            Told::Raw(bytes) => self.raw(bytes),
            Told::Event(kind, event) => match transcript::lines(kind, &event) {
                Some(Lines::Out(text)) if self.aside => ui::note(self.prefixed(&text)),
                Some(Lines::Out(text)) => ui::out(format_args!("{}\n", self.prefixed(&text))),
                Some(Lines::Err(text)) => ui::note(self.prefixed(&text)),
                None => {}
            },
            Told::Checkout(text) => {
                for line in text.lines() {
                    ui::note(self.prefixed(&screen::line(line)));
                }
            }
            Told::Note(text) => ui::note(self.prefixed(&format!("{DIM}{text}{DIM:#}"))),
        }
    }

    /// A line about the Task.
    pub(in crate::cli) fn note(&mut self, text: &str) {
        self.waiting.over();
        self.flush();
        ui::note(self.prefixed(text));
    }

    fn prefixed(&self, text: &str) -> String {
        let lines: Vec<String> = text
            .lines()
            .map(|line| format!("{}{line}", self.prefix))
            .collect();
        lines.join("\n")
    }

    fn raw(&mut self, bytes: &[u8]) {
        if self.prefix.is_empty() {
            return ui::bytes(bytes);
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|it| *it == b'\n') {
            self.open.extend_from_slice(&rest[..end]);
            self.flush();
            rest = &rest[end + 1..];
        }
        self.open.extend_from_slice(rest);
        if self.open.len() > MAX_OPEN {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.open.is_empty() {
            // The name's colour is for terminals; the line is as it came.
            ui::out(&self.prefix);
            self.open.push(b'\n');
            ui::bytes(&self.open);
            self.open.clear();
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.flush();
    }
}

/// The colour that a name always has.
fn color_of(name: &str) -> AnsiColor {
    let sum = name.bytes().fold(5381_usize, |sum, byte| {
        sum.wrapping_mul(33) ^ usize::from(byte)
    });
    COLORS[sum % COLORS.len()]
}

/// Shows that something is waited for, and why: a line that turns on a terminal, else each reason once.
pub(in crate::cli) struct Waiting {
    is_live: bool,
    spinner: Option<ProgressBar>,
    told: String,
}

impl Waiting {
    pub(in crate::cli) fn new() -> Self {
        let mut waiting = Self::lines();
        waiting.is_live = io::stderr().is_terminal();
        waiting
    }

    fn lines() -> Self {
        Self {
            is_live: false,
            spinner: None,
            told: String::new(),
        }
    }

    pub(in crate::cli) fn tell(&mut self, line: &str) {
        if self.told == line {
            return;
        }
        line.clone_into(&mut self.told);
        if !self.is_live {
            return ui::note(line);
        }
        let spinner = self.spinner.get_or_insert_with(|| {
            let all = MultiProgress::new();
            let spinner = all.add(ProgressBar::new_spinner());
            spinner.enable_steady_tick(TURN);
            ui::draws(Some(all));
            spinner
        });
        spinner.set_message(line.to_owned());
    }

    pub(in crate::cli) fn over(&mut self) {
        self.told.clear();
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
            ui::draws(None);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.over();
    }
}
