//! A table as text: columns that line up, and fit the terminal. Pure.

use std::fmt::Write as _;

use anstyle::Style;

use crate::cli::screen;

/// Spaces between two columns.
const GAP: usize = 3;
/// What a column is never made narrower than: less says nothing.
const NARROWEST: usize = 8;

/// Rows under headings.
#[derive(Debug)]
pub(super) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One field of a row.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Plain text; nothing in it can steer a terminal.
    pub(super) fn new(text: impl AsRef<str>) -> Self {
        Self::styled(text, Style::new())
    }

    pub(super) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self {
            text: screen::line(text.as_ref()),
            style,
        }
    }

    /// Text that may be missing.
    pub(super) fn maybe(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(|| Self::new("-"), Self::new)
    }
}

impl Table {
    pub(super) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for each heading.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Puts `cell` into the column of every row that has one of these headings.
    pub(super) fn replace(&mut self, headings: &[&str], cell: &Cell) {
        let column = self.headings.iter().position(|it| headings.contains(it));
        let Some(column) = column else { return };
        for row in &mut self.rows {
            if let Some(old) = row.get_mut(column) {
                old.clone_from(cell);
            }
        }
    }

    /// How wide each column is, in at most `width` columns of a terminal.
    pub(super) fn layout(&self, width: Option<usize>) -> Vec<usize> {
        self.widths(width)
    }

    /// The rows alone, below those of a table of these widths. What is longer pushes the rest aside.
    pub(super) fn rows_in(&self, widths: &[usize]) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let wide = row.iter().zip(widths);
            let wide = wide.map(|(cell, width)| (*width).max(screen::columns_of(&cell.text)));
            let wide: Vec<usize> = wide.collect();
            text.push_str(line(row, &wide).trim_end());
            text.push('\n');
        }
        text
    }

    /// The text, in at most `width` columns where there is a limit.
    pub(super) fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths(width);
        let mut text = String::new();
        let heading = self.headings.iter().map(|it| Cell::new(*it)).collect();
        for row in std::iter::once(&heading).chain(&self.rows) {
            let line = line(row, &widths);
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|it| it.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(screen::columns_of(&cell.text));
            }
        }
        let Some(limit) = limit else {
            return widths;
        };
        let gaps = GAP * widths.len().saturating_sub(1);
        // The widest gives way first, and of several the last: it is the least important one.
        while widths.iter().sum::<usize>() + gaps > limit {
            let widest = widths.iter_mut().max_by_key(|it| **it);
            match widest {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                Some(_) | None => break,
            }
        }
        widths
    }
}

fn line(row: &[Cell], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let shown = screen::cut(&cell.text, *width);
        let pad = width.saturating_sub(screen::columns_of(&shown)) + GAP;
        let style = cell.style;
        // Writing to a String cannot fail.
        write!(text, "{style}{shown}{style:#}").ok();
        text.extend(std::iter::repeat_n(' ', pad));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["NAME", "READY", "MESSAGE"]);
        table.row(vec![
            Cell::new("app"),
            Cell::new("True"),
            Cell::new("all is\nwell\u{7}"),
        ]);
        table.row(vec![
            Cell::new("x".repeat(40)),
            Cell::maybe(None::<&str>),
            Cell::new("y".repeat(30)),
        ]);
        table
    }

    #[test]
    fn columns_line_up() {
        insta::assert_snapshot!(table().render(None), @r"
        NAME                                       READY   MESSAGE
        app                                        True    all is well\u{7}
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx   -       yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy
        ");
    }

    #[test]
    fn a_narrow_terminal_gets_short_columns() {
        insta::assert_snapshot!(table().render(Some(40)), @r"
        NAME              READY   MESSAGE
        app               True    all is well\u…
        xxxxxxxxxxxxxx…   -       yyyyyyyyyyyyy…
        ");
        for width in [0, 1, 20, 33] {
            table().render(Some(width));
        }
    }
}
