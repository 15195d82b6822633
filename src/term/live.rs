//! Text that grows on stdout, with a status line below it that is written over.

use std::io;

use super::Term;

/// Erases from the cursor to the end of the screen.
const ERASE: &str = "\u{1b}[J";

/// Makes room for a line below this one (which may scroll), comes back to where it was, and keeps that place.
const BELOW: &str = "\u{1b}D\u{1b}[A\u{1b}7\r\n";

/// Goes back to the place that was kept.
const BACK: &str = "\u{1b}8";

/// Prints text as it comes, and below it a status line where the terminal can write over it; elsewhere there is none.
///
/// The cursor always stands at the end of the text, is never hidden, and dropping this erases the status line: however the process ends,
/// there is little to tidy.
#[derive(Debug)]
pub struct Live {
    term: Term,
    /// Where the cursor stands; as many as the screen has columns if the next character begins a row.
    column: usize,
    /// The status line on the screen; empty if there is none.
    status: String,
}

impl Live {
    /// At the beginning of a line.
    #[must_use]
    pub fn new(term: &Term) -> Live {
        Live {
            term: *term,
            column: 0,
            status: String::new(),
        }
    }

    /// Adds `text` and shows `status` below it. What came from outside in them must be sanitized.
    ///
    /// # Errors
    ///
    /// If nobody reads it any more.
    pub fn print(&mut self, text: &str, status: &str) -> io::Result<()> {
        let columns = self.term.columns().filter(|_| self.term.moves());
        let out = self.form(text, status, columns);
        if out.is_empty() {
            return Ok(());
        }
        self.term.out(&out)
    }

    /// What is to be written: in one piece, so that nothing flickers.
    fn form(&mut self, text: &str, status: &str, columns: Option<usize>) -> String {
        let Some(columns) = columns.filter(|columns| *columns > 1) else {
            return text.to_owned();
        };
        let status = console::truncate_str(status, columns - 1, "…").into_owned();
        let (column, same_row) = advance(self.column, text, columns);
        // At the right edge the cursor waits for the next character before it goes to the next row. A move would lose that.
        let at_edge = column >= columns;
        if same_row && !at_edge && status == self.status && (self.column > 0 || text.is_empty()) {
            self.column = column;
            return text.to_owned();
        }
        self.column = column;
        let mut out = String::with_capacity(text.len() + status.len() + 16);
        if !self.status.is_empty() {
            out.push_str(ERASE);
        }
        out.push_str(text);
        self.status.clear();
        if status.is_empty() || at_edge {
            return out;
        }
        if column == 0 {
            out.push_str(&status);
            out.push('\r');
        } else {
            out.push_str(BELOW);
            out.push_str(&status);
            out.push_str(BACK);
        }
        self.status = status;
        out
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.print("", "");
    }
}

/// Where the cursor stands after `text`, and whether it stays in its row.
fn advance(from: usize, text: &str, columns: usize) -> (usize, bool) {
    let (mut column, mut same_row) = (from, true);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => (column, same_row) = (0, false),
            '\t' => column = ((column / 8 + 1) * 8).min(columns - 1),
            // Colours: all that is written here beside text.
            '\u{1b}' => {
                let _ = chars.find(char::is_ascii_alphabetic);
            }
            c => {
                let wide = console::measure_text_width(c.encode_utf8(&mut [0; 4]));
                if column + wide > columns {
                    (column, same_row) = (0, false);
                }
                column += wide;
            }
        }
    }
    (column, same_row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live::new(&Term::screen(true))
    }

    #[test]
    fn a_pipe_gets_the_text_alone() {
        let mut live = live();
        assert_eq!(live.form("a\nb", "busy", None), "a\nb");
    }

    #[test]
    fn the_status_stands_below_the_text() {
        let mut live = live();
        assert_eq!(live.form("", "1 more", Some(20)), "1 more\r");
        assert_eq!(live.form("", "1 more", Some(20)), "");
        let below = |status: &str| format!("{BELOW}{status}{BACK}");
        assert_eq!(
            live.form("ab", "1 more", Some(20)),
            format!("{ERASE}ab{}", below("1 more"))
        );
        assert_eq!(live.form("cd", "1 more", Some(20)), "cd");
        assert_eq!(
            live.form("\n", "2 more", Some(20)),
            format!("{ERASE}\n2 more\r")
        );
        assert_eq!(live.form("", "", Some(20)), ERASE);
        assert_eq!(live.form("x\n", "", Some(20)), "x\n");
    }

    #[test]
    fn the_status_is_cut_to_the_width() {
        let mut live = live();
        assert_eq!(live.form("", "你好你好你好", Some(9)), "你好你…\r");
        assert_eq!(
            live.form("", "\u{1b}[2mabcdefghij\u{1b}[0m", Some(5)),
            format!("{ERASE}\u{1b}[2mabc…\u{1b}[0m\r")
        );
    }

    #[test]
    fn no_status_at_the_right_edge() {
        let mut live = live();
        live.form("abc", "s", Some(4));
        assert_eq!(live.form("d", "s", Some(4)), format!("{ERASE}d"));
        assert_eq!(live.form("", "s", Some(4)), "");
        assert_eq!(live.form("e", "s", Some(4)), format!("e{BELOW}s{BACK}"));
        // A wide character does not fit into the last column.
        assert_eq!(advance(3, "你", 4), (2, false));
        assert_eq!(advance(2, "你", 4), (4, true));
        assert_eq!(advance(1, "\u{1b}[2m\t\u{1b}[0m", 40), (8, true));
    }
}
