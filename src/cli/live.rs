//! Lines on the terminal that are drawn over and over, below what is printed meanwhile.

use std::io;
use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;

use crate::cli::ui;

/// One line, cut at the edge of the terminal.
const LINE: &str = "{wide_msg}";

/// Whether a person looks on.
pub(super) fn is_live() -> bool {
    io::stderr().is_terminal()
}

/// Some lines; they go with this value.
pub(super) struct Lines {
    all: MultiProgress,
    lines: Mutex<Vec<ProgressBar>>,
}

impl Lines {
    /// None where nobody looks on.
    pub(super) fn new() -> Option<Self> {
        is_live().then(|| {
            let all = MultiProgress::new();
            ui::draws(Some(all.clone()));
            Self {
                all,
                lines: Mutex::default(),
            }
        })
    }

    pub(super) fn draw(&self, texts: &[String]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.len() > texts.len() {
            if let Some(line) = lines.pop() {
                line.finish_and_clear();
                self.all.remove(&line);
            }
        }
        while lines.len() < texts.len() {
            let line = self.all.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template(LINE);
            line.set_style(style.expect("the template is well formed"));
            lines.push(line);
        }
        for (line, text) in lines.iter().zip(texts) {
            line.set_message(text.clone());
            line.tick();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.draw(&[]);
        ui::draws(None);
    }
}
