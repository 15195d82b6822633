//! Text in columns, without lines around them.

use std::borrow::Cow;

use super::{Ink, Term, sanitize};

/// Rows whose cells stand under each other. A row may end early; its last cell then takes the rest of the line.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
}

/// One piece of text in a row.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    ink: Option<Ink>,
    right: bool,
}

/// What is left of a text that does not fit.
const CUT: &str = "…";

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    /// A table with this row on top.
    #[must_use]
    pub fn new<const N: usize>(head: [&str; N]) -> Table {
        let mut table = Table::default();
        table.row(head.map(|text| Cell::from(text).ink(Ink::Faint)));
        table
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines for stdout, cut to this width (see [`Term::columns`]).
    #[must_use]
    pub fn render(&self, term: &Term, width: Option<usize>) -> String {
        self.lines(width, |ink, text| term.ink(ink, text))
    }

    fn lines(&self, width: Option<usize>, paint: impl Fn(Ink, &str) -> String) -> String {
        let widths = self.widths();
        let mut out = String::new();
        for row in &self.rows {
            let mut left = width.unwrap_or(usize::MAX);
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                if left == 0 {
                    break;
                }
                let text = cell.shown();
                let text = console::truncate_str(&text, left, CUT);
                let used = console::measure_text_width(&text);
                let last = column + 1 == row.len();
                let column_width = widths.get(column).copied().unwrap_or_default();
                let mut room = column_width.saturating_sub(used);
                if cell.right && !last {
                    let pad = room.min(left - used);
                    line.push_str(&" ".repeat(pad));
                    left -= pad;
                    room = 0;
                }
                line.push_str(&match cell.ink {
                    Some(ink) if !text.is_empty() => paint(ink, &text),
                    _ => text.into_owned(),
                });
                left = left.saturating_sub(used);
                if last {
                    break;
                }
                let pad = (room + GAP.len()).min(left);
                line.push_str(&" ".repeat(pad));
                left -= pad;
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The widest cell of each column. What ends a row pushes nothing aside.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            let inner = row.len().saturating_sub(1);
            for (column, cell) in row.iter().take(inner).enumerate() {
                let width = console::measure_text_width(&cell.shown());
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        widths
    }
}

impl Cell {
    /// In the colour of a meaning.
    #[must_use]
    pub fn ink(self, ink: Ink) -> Cell {
        Cell {
            ink: Some(ink),
            ..self
        }
    }

    /// At the right of its column, as numbers stand; a row's last cell stays where it is.
    #[must_use]
    pub fn right(self) -> Cell {
        Cell {
            right: true,
            ..self
        }
    }

    /// One line, whatever the text holds.
    fn shown(&self) -> Cow<'_, str> {
        if self.text.contains(['\n', '\t']) {
            let text = self.text.replace(['\n', '\t'], " ");
            return Cow::Owned(sanitize(&text).into_owned());
        }
        sanitize(&self.text)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell {
            text: text.into(),
            ink: None,
            right: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["name", "model", "from"]);
        table.row([
            "a".into(),
            Cell::from("gpt").ink(Ink::Good),
            "built in".into(),
        ]);
        table.row(["你好".into(), "x\u{1b}[2J\ny".into(), "/p".into()]);
        table.row([
            "broken".into(),
            "a long line that says what is wrong".into(),
        ]);
        table
    }

    #[test]
    fn columns_stand_under_each_other() {
        assert_eq!(
            table().lines(None, |_, text| text.to_owned()),
            "name    model         from\n\
             a       gpt           built in\n\
             你好    x\\u{1b}[2J y  /p\n\
             broken  a long line that says what is wrong\n"
        );
    }

    #[test]
    fn numbers_stand_at_the_right() {
        let mut table = Table::default();
        table.row(["a".into(), Cell::from("5").right(), "x".into()]);
        table.row(["b".into(), Cell::from("1234").right(), "y".into()]);
        let lines = |width| table.lines(width, |_, text| text.to_owned());
        assert_eq!(lines(None), "a     5  x\nb  1234  y\n");
        assert_eq!(lines(Some(5)), "a   5\nb  1…\n");
    }

    #[test]
    fn lines_end_at_the_width() {
        let lines = table().lines(Some(20), |_, text| text.to_owned());
        assert_eq!(
            lines,
            "name    model\na       gpt\n你好    x\\u{1b}[2J y\nbroken  a long line…\n"
        );
        assert!(
            lines
                .lines()
                .all(|line| console::measure_text_width(line) <= 20)
        );
    }

    #[test]
    fn colours_take_no_room() {
        let lines = table().lines(None, |_, text| format!("<{text}>"));
        assert!(
            lines.contains("a       <gpt>           built in"),
            "{lines}"
        );
    }
}
