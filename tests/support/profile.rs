//! Profiles written from strings.

use std::fmt::Write as _;

use super::Upstream;

/// The text of a profile, table by table.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProfileText {
    tables: Vec<(&'static str, Vec<String>)>,
}

impl ProfileText {
    /// A chat profile of OpenAI's format whose API root is the upstream's `/v1`.
    pub(crate) fn openai(upstream: &Upstream) -> ProfileText {
        ProfileText::at(&format!("http://{}/v1", upstream.address))
    }

    /// The same at any root.
    pub(crate) fn at(base_url: &str) -> ProfileText {
        ProfileText::default()
            .line("ai-proxy", r#"route_type = "llm/v1/chat""#)
            .line("ai-proxy.model", r#"provider = "openai""#)
            .line("aiproxy", format!("base_url = \"{base_url}\""))
    }

    /// Adds a line to a table; a line of the same key gives way.
    pub(crate) fn line(mut self, table: &'static str, line: impl Into<String>) -> ProfileText {
        let line = line.into();
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        match self.tables.iter_mut().find(|(name, _)| *name == table) {
            Some((_, lines)) => {
                lines.retain(|known| key(known) != key(&line));
                lines.push(line);
            }
            None => self.tables.push((table, vec![line])),
        }
        self
    }

    /// Leaves a table out.
    pub(crate) fn without(mut self, table: &str) -> ProfileText {
        self.tables.retain(|(name, _)| *name != table);
        self
    }

    /// A fixed key in a header.
    pub(crate) fn key(self, header: &str, value: &str) -> ProfileText {
        self.line("ai-proxy.auth", format!("header_name = \"{header}\""))
            .line("ai-proxy.auth", format!("header_value = \"{value}\""))
    }

    /// The file.
    pub(crate) fn toml(&self) -> String {
        let mut text = String::new();
        for (table, lines) in &self.tables {
            let _ = writeln!(text, "[{table}]\n{}\n", lines.join("\n"));
        }
        text
    }
}
