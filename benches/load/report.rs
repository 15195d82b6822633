//! What came of it, in Markdown.

use std::fmt::Write as _;

#[derive(Default)]
pub(crate) struct Report {
    title: String,
    rows: Vec<(String, String)>,
    table: Vec<[String; 4]>,
    /// What may not be.
    found: Vec<String>,
}

impl Report {
    pub(crate) fn new(title: String) -> Report {
        Report {
            title,
            ..Report::default()
        }
    }

    pub(crate) fn row(&mut self, name: &str, value: impl Into<String>) {
        self.rows.push((name.to_owned(), value.into()));
    }

    /// A line of the table of operations: which, asked, answered, left by the client.
    pub(crate) fn line(&mut self, cells: [String; 4]) {
        self.table.push(cells);
    }

    /// Notes what may not be.
    pub(crate) fn found(&mut self, what: impl Into<String>) {
        self.found.push(what.into());
    }

    pub(crate) fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.found.push(what());
        }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("# {}\n\n", self.title);
        let verdict = match self.found.len() {
            0 => "It holds: nothing was found.".to_owned(),
            count => format!("**{count} found.**"),
        };
        let _ = writeln!(text, "{verdict}\n");
        for found in self.found.iter().take(20) {
            let _ = writeln!(text, "- {found}");
        }
        if !self.found.is_empty() {
            text.push('\n');
        }
        let _ = writeln!(text, "| what | value |\n| --- | --- |");
        for (name, value) in &self.rows {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        if !self.table.is_empty() {
            let _ = writeln!(
                text,
                "\n| operation and fault | asked | answered right | client left |\n| --- | ---: | ---: | ---: |"
            );
            for cells in &self.table {
                let _ = writeln!(text, "| {} |", cells.join(" | "));
            }
        }
        text
    }
}
