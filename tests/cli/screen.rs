//! What a terminal shows of what was written to it: enough of one for spinners and lines.

/// The lines of a screen without width or height.
pub(crate) fn shown(written: &str) -> String {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = written.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => column = 0,
            '\n' => {
                row += 1;
                if lines.len() <= row {
                    lines.push(Vec::new());
                }
            }
            '\u{8}' => column = column.saturating_sub(1),
            '\u{1b}' if chars.peek() == Some(&'[') => {
                chars.next();
                let mut digits = String::new();
                let end = loop {
                    match chars.next() {
                        Some(c @ ('0'..='9' | ';' | '?')) => digits.push(c),
                        Some(c) => break c,
                        None => return screen(&lines),
                    }
                };
                let number = digits.parse().unwrap_or(1_usize);
                match end {
                    'A' => row = row.saturating_sub(number),
                    'B' => row += number,
                    'C' => column += number,
                    'D' => column = column.saturating_sub(number),
                    'G' => column = number - 1,
                    'K' if digits == "2" => lines[row].clear(),
                    'K' => lines[row].truncate(column),
                    'J' => panic!("the screen was cleared"),
                    _ => {}
                }
                while lines.len() <= row {
                    lines.push(Vec::new());
                }
            }
            c if c.is_control() => {}
            c => {
                let line = &mut lines[row];
                while line.len() <= column {
                    line.push(' ');
                }
                line[column] = c;
                column += 1;
            }
        }
    }
    screen(&lines)
}

fn screen(lines: &[Vec<char>]) -> String {
    let lines = lines.iter().map(|line| line.iter().collect::<String>());
    lines
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_screen_forgets_what_was_erased() {
    assert_eq!(shown("one\r\ntwo\r\u{1b}[2Kthree\r\n"), "one\nthree\n");
    assert_eq!(shown("\u{1b}[2mfaint\u{1b}[0m\u{1b}[3D\u{1b}[K"), "fa");
    assert_eq!(shown("a\r\n\u{1b}[1A\u{1b}[2Kb\r\n"), "b\n");
}
