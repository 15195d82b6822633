//! `aiproxy profile schema`.

use super::print_json;
use crate::{
    profile::describe::{self, Section},
    term::{Exit, Problem, Term},
};

/// Print the JSON Schema of profiles, so that an editor completes keys and marks mistakes.
///
/// Save it beside the folder of profiles, not inside. Then name it in a profile's first line: `#:schema ../profile.schema.json` in TOML (taplo,
/// Even Better TOML, Zed), `# yaml-language-server: $schema=../profile.schema.json` in YAML. For JSON, map it in VS Code's settings:
/// `"json.schemas": [{"fileMatch": ["**/aiproxy/profiles/*.json"], "url": "/path/to/profile.schema.json"}]`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy profile schema > ~/.config/aiproxy/profile.schema.json\n  aiproxy profile schema --reference"
)]
pub(super) struct Args {
    /// Print JSON: it always is
    #[arg(long)]
    json: bool,
    /// Print the reference of all keys as Markdown instead
    #[arg(long, conflicts_with = "json")]
    reference: bool,
}

pub(super) fn run(args: &Args, term: &Term) -> Result<Exit, Problem> {
    if args.reference {
        term.out(&markdown(&describe::reference()))?;
    } else {
        print_json(&describe::schema_json(), term)?;
    }
    Ok(Exit::Done)
}

fn markdown(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        let title = match section.table.as_str() {
            "" => "Top of the file".to_owned(),
            table => format!("`[{table}]`"),
        };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!(
            "### {title}\n\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n"
        ));
        for row in &section.rows {
            let default = match (&row.default, row.required) {
                (_, true) => "required".to_owned(),
                (Some(default), false) => format!("`{}`", cell(default)),
                (None, false) => String::new(),
            };
            text.push_str(&format!(
                "| `{}` | {} | {default} | {} |\n",
                row.key,
                cell(&row.kind),
                cell(&row.doc)
            ));
        }
    }
    text
}

/// Text inside a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
