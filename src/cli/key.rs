//! `aiproxy key`.

use std::io::{IsTerminal, Read};

use dialoguer::{
    Password,
    theme::{ColorfulTheme, SimpleTheme, Theme},
};

use crate::{
    profile::{Secret, keyring},
    term::{Exit, Problem, Term},
};

/// Put keys into the system's key ring, and take them out. No command prints one.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aiproxy key set groq\n  and in a profile, under [ai-proxy.auth]:\n  header_value = \"Bearer {vault://keyring/groq}\"",
    arg_required_else_help = true
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Store a key: typed without echo, or read from stdin
    #[command(
        after_help = "Examples:\n  aiproxy key set groq\n  pass show groq | aiproxy key set groq"
    )]
    Set(Name),
    /// Remove a key
    #[command(after_help = "Example:\n  aiproxy key remove groq")]
    Remove(Name),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// The key's name, as profiles write it in `{vault://keyring/NAME}`
    #[arg(value_parser = name)]
    name: String,
}

/// Keys are short; the largest are service accounts of a few KiB.
const LONGEST: u64 = 64 << 10;

pub(super) fn run(args: &Args, term: &Term) -> Result<Exit, Problem> {
    match &args.command {
        Command::Set(Name { name }) => {
            let key = read(name, term)?;
            keyring::write(name, &key).map_err(|why| refused(&why))?;
            term.line(&format!(
                "stored `{name}`; profiles write it as {{vault://keyring/{name}}}"
            ))?;
        }
        Command::Remove(Name { name }) => {
            keyring::remove(name).map_err(|why| refused(&why))?;
            term.line(&format!(
                "removed `{name}`; profiles with {{vault://keyring/{name}}} have no key now"
            ))?;
        }
    }
    Ok(Exit::Done)
}

/// What a reference can name.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(|c: char| c == '}' || c.is_control()) {
        return Err("a name has at least one character, and no `}` or control character".into());
    }
    Ok(text.to_owned())
}

fn read(name: &str, term: &Term) -> Result<Secret, Problem> {
    let unreadable =
        |error: std::io::Error| Problem::new(format!("the key cannot be read: {error}"));
    let text = if std::io::stdin().is_terminal() {
        let theme: &dyn Theme = if term.colour_err() {
            &ColorfulTheme::default()
        } else {
            &SimpleTheme
        };
        Password::with_theme(theme)
            .with_prompt(format!("Key for `{name}` (not shown)"))
            .interact()
            .map_err(|error| unreadable(error.into()))?
    } else {
        let mut bytes = Vec::new();
        std::io::stdin()
            .lock()
            .take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > LONGEST {
            return Err(Problem::usage(format!(
                "a key has at most {LONGEST} bytes; what is on stdin is longer"
            )));
        }
        // The error of the conversion holds the bytes, so it is not told.
        String::from_utf8(bytes).map_err(|_| Problem::usage("the key on stdin is not UTF-8"))?
    };
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(Problem::usage("the key is empty")
            .hint(format!("printf %s \"$KEY\" | aiproxy key set {name}"))),
        text => Ok(Secret::new(text.to_owned())),
    }
}

fn refused(why: &str) -> Problem {
    Problem::new(format!("the key ring cannot be used: {why}"))
        .hint("without one, a profile can name a variable, {vault://env/some-key}, or a file, {vault://file/PATH}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_references() {
        for (text, fits) in [
            ("groq", true),
            ("work/groq key", true),
            ("", false),
            ("a}b", false),
            ("a\nb", false),
        ] {
            assert_eq!(name(text).is_ok(), fits, "{text:?}");
        }
    }
}
