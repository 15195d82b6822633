//! What a terminal shows of what was written to it: enough of one for lines, wraps and a status line.

/// A screen of this width, with as many rows as it takes.
#[derive(Debug)]
struct Screen {
    width: usize,
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
    kept: (usize, usize),
}

/// The lines that a screen of this width shows.
pub(crate) fn shown(written: &str, width: usize) -> String {
    let mut screen = Screen {
        width,
        lines: vec![Vec::new()],
        row: 0,
        column: 0,
        kept: (0, 0),
    };
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\u{1b}' {
            screen.put(c);
            continue;
        }
        match chars.next() {
            Some('[') => {
                let mut digits = String::new();
                let end = loop {
                    match chars.next() {
                        Some(c @ ('0'..='9' | ';' | '?')) => digits.push(c),
                        Some(c) => break c,
                        None => return screen.text(),
                    }
                };
                screen.sequence(&digits, end);
            }
            Some('7') => screen.kept = (screen.row, screen.column),
            Some('8') => (screen.row, screen.column) = screen.kept,
            Some('D') => screen.down(),
            Some(other) => panic!("an escape that nobody expects: {other:?}"),
            None => {}
        }
    }
    screen.text()
}

impl Screen {
    fn put(&mut self, c: char) {
        match c {
            '\r' => self.column = 0,
            '\n' => self.down(),
            '\u{8}' => self.column = self.column.saturating_sub(1),
            c if c.is_control() => panic!("a control that nobody expects: {c:?}"),
            c => {
                if self.column == self.width {
                    self.down();
                    self.column = 0;
                }
                let line = &mut self.lines[self.row];
                while line.len() <= self.column {
                    line.push(' ');
                }
                line[self.column] = c;
                self.column += 1;
            }
        }
    }

    fn down(&mut self) {
        self.row += 1;
        if self.lines.len() <= self.row {
            self.lines.push(Vec::new());
        }
    }

    fn sequence(&mut self, digits: &str, end: char) {
        // A move at the right edge would lose the next character: see `Live`.
        assert!(
            end == 'm' || self.column < self.width,
            "moved at the right edge"
        );
        match (end, digits) {
            ('m', _) => {}
            ('A', "") => self.row = self.row.saturating_sub(1),
            ('J', "") => {
                self.lines[self.row].truncate(self.column);
                self.lines.truncate(self.row + 1);
            }
            _ => panic!("a sequence that nobody expects: {digits}{end}"),
        }
    }

    fn text(&self) -> String {
        let lines = self
            .lines
            .iter()
            .map(|line| line.iter().collect::<String>());
        lines
            .map(|line| line.trim_end().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[test]
fn a_screen_forgets_what_was_erased() {
    assert_eq!(shown("one\r\ntwo\r\u{1b}[Jthree\r\n", 80), "one\nthree\n");
    assert_eq!(
        shown("ab\u{1b}D\u{1b}[A\u{1b}7\r\nbelow\u{1b}8c", 80),
        "abc\nbelow"
    );
    assert_eq!(shown("abcdef", 4), "abcd\nef");
}
