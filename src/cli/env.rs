//! `aiproxy env`: the variables by which SDKs find a running server, as lines for a shell.

use clap::ValueEnum;
use serde_json::{Map, Value};

use super::{
    servers::{self, Found, Server, ServerFlag, Want},
    variables::{self, Place},
};
use crate::term::{Exit, Problem, Term};

/// Print the variables that point SDKs at the running server, for the shell to set.
///
/// For OpenAI, Anthropic, Azure OpenAI, Gemini, Ollama, Cohere and Bedrock. The server's token, if it has one, is printed in the place of
/// their keys: do not log or share this output. aiproxy reads providers' keys from the same variables: start servers in another shell.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  eval \"$(aiproxy env)\"\n  aiproxy env --shell fish --profile openai | source\n  aiproxy env --shell powershell | Out-String | Invoke-Expression\n  eval \"$(aiproxy env --unset)\"\n\nFor one program, with a server of its own: aiproxy run -- CMD"
)]
pub(super) struct Args {
    /// Whose language to write; without it, that of $SHELL
    #[arg(long, value_enum)]
    shell: Option<Shell>,
    /// Send everything through this profile; without it, through the server's default, or the one that a request's model names
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Print the lines that remove the variables again; what they were before is not known
    #[arg(long)]
    unset: bool,
    /// Print one JSON object of names and values
    #[arg(long, conflicts_with_all = ["shell", "unset"])]
    json: bool,
    #[command(flatten)]
    server: ServerFlag,
}

/// A shell's language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// Also zsh, ksh, dash and sh
    #[value(aliases = ["zsh", "sh", "ksh", "dash"])]
    Bash,
    /// The fish shell
    Fish,
    /// PowerShell
    #[value(alias = "pwsh")]
    Powershell,
}

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let shell = args.shell.unwrap_or_else(|| {
        let variable = std::env::var("SHELL").ok();
        Shell::of(variable.as_deref())
    });
    if args.unset {
        let lines: String = variables::names().map(|name| shell.unset(name)).collect();
        term.out(&lines)?;
        return Ok(Exit::Done);
    }
    let server = running(&args.server).await?;
    let place = place(&server, args.profile.as_deref())?;
    let mut pairs = variables::of(&place);
    pairs.extend(variables::direct(|name| std::env::var(name).ok()));
    if args.json {
        let object: Map<String, Value> = pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::String(value)))
            .collect();
        let json = serde_json::to_string_pretty(&object)
            .map_err(|error| Problem::new(format!("cannot write JSON: {error}")))?;
        term.json(&json)?;
        return Ok(Exit::Done);
    }
    let lines: String = pairs
        .iter()
        .map(|(name, value)| shell.set(name, value))
        .collect();
    term.bytes(lines.as_bytes())?;
    Ok(Exit::Done)
}

/// The server that programs are to use.
///
/// # Errors
///
/// If none runs, or several could be meant.
pub(super) async fn running(flag: &ServerFlag) -> Result<Server, Problem> {
    match servers::find(flag, servers::usual_address(None), Want::Send).await? {
        Found::Running(server) => Ok(server),
        Found::Nobody(why) => Err(Problem::new(why).hint(
            "start one: aiproxy serve; or give a program one of its own: aiproxy run -- CMD",
        )),
    }
}

/// Where a server takes requests for a profile.
///
/// # Errors
///
/// If it does not serve that.
pub(super) fn place<'a>(
    server: &'a Server,
    profile: Option<&'a str>,
) -> Result<Place<'a>, Problem> {
    if let Some(name) = profile
        && !server.serves(name)
    {
        return Err(Problem::new(format!(
            "profile `{name}` is not served at {}, which serves {}",
            server.root,
            servers::some(&server.profiles)
        ))
        .hint(format!(
            "start a server of it: aiproxy serve --profile {name}"
        )));
    }
    Ok(Place {
        root: &server.root,
        profile,
        default: server.profiles.first().map(String::as_str),
        token: server.token().map(crate::profile::Secret::expose),
    })
}

impl Shell {
    /// That of `$SHELL`; elsewhere than on Windows most are like Bourne's.
    fn of(variable: Option<&str>) -> Shell {
        let name = variable.and_then(|path| path.rsplit(['/', '\\']).next());
        match name.map(|name| name.trim_end_matches(".exe")) {
            Some("fish") => Shell::Fish,
            Some("pwsh" | "powershell") => Shell::Powershell,
            Some(name) if !name.is_empty() => Shell::Bash,
            _ if cfg!(windows) => Shell::Powershell,
            _ => Shell::Bash,
        }
    }

    /// The line that sets a variable, for this shell and what it starts.
    fn set(self, name: &str, value: &str) -> String {
        let value = self.quoted(value);
        match self {
            Shell::Bash => format!("export {name}={value}\n"),
            Shell::Fish => format!("set -gx {name} {value};\n"),
            Shell::Powershell => format!("$env:{name} = {value}\n"),
        }
    }

    /// The line that removes one.
    fn unset(self, name: &str) -> String {
        match self {
            Shell::Bash => format!("unset {name}\n"),
            Shell::Fish => format!("set -e {name};\n"),
            Shell::Powershell => {
                format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n")
            }
        }
    }

    /// A text that the shell takes as it is.
    fn quoted(self, text: &str) -> String {
        let inside: String = match self {
            Shell::Bash => text.replace('\'', "'\\''"),
            Shell::Fish => text.replace('\\', "\\\\").replace('\'', "\\'"),
            // It takes typographic quotes for quotes, too.
            Shell::Powershell => text
                .chars()
                .flat_map(|c| {
                    let times = if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
                        2
                    } else {
                        1
                    };
                    std::iter::repeat_n(c, times)
                })
                .collect(),
        };
        format!("'{inside}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_each_shell_reads_them() {
        let odd = "a'b\\c$d `e` \"f\" \u{2019}";
        for (shell, expected) in [
            (Shell::Bash, "export X='a'\\''b\\c$d `e` \"f\" \u{2019}'\n"),
            (
                Shell::Fish,
                "set -gx X 'a\\'b\\\\c$d `e` \"f\" \u{2019}';\n",
            ),
            (
                Shell::Powershell,
                "$env:X = 'a''b\\c$d `e` \"f\" \u{2019}\u{2019}'\n",
            ),
        ] {
            assert_eq!(shell.set("X", odd), expected);
        }
    }

    #[test]
    fn the_shell_is_the_persons_own() {
        for (variable, expected) in [
            (Some("/usr/bin/fish"), Shell::Fish),
            (Some("/opt/microsoft/powershell/7/pwsh"), Shell::Powershell),
            (Some("/bin/zsh"), Shell::Bash),
            (Some("C:\\Program Files\\Git\\bin\\bash.exe"), Shell::Bash),
        ] {
            assert_eq!(Shell::of(variable), expected, "{variable:?}");
        }
    }
}
