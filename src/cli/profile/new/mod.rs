//! `aiproxy profile new`.

mod ask;
mod draft;
mod service;

use std::{
    fs::DirBuilder,
    io::{IsTerminal, Write},
    path::Path,
};

use self::{
    ask::Questions,
    draft::{Draft, Key},
    service::Service,
};
use super::{Sources, references};
use crate::{
    cli::{chat, signals},
    profile::{
        Origin, Places, Profile,
        load::{Input, load},
        lookup,
        source::Syntax,
    },
    provider,
    term::{Exit, Ink, Problem, Term},
};

/// Write a profile. What no flag says is asked; without a terminal every answer has to be a flag, or --yes.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aiproxy profile new\n  aiproxy profile new my-groq --provider groq --key-from env:GROQ_API_KEY --yes\n  aiproxy profile new local --provider compatible --base-url http://127.0.0.1:1234/v1 --model qwen3 --key-from none --yes"
)]
pub(in crate::cli) struct Args {
    /// Its name, which becomes part of the base URL
    name: Option<String>,
    /// A built-in profile to start from, one of Kong's providers, or `compatible` for any other service of OpenAI's format
    #[arg(long, value_name = "P")]
    provider: Option<String>,
    /// The model for requests that name none
    #[arg(long, value_name = "M")]
    model: Option<String>,
    /// Where the key comes from: `env:VARIABLE`, `file:PATH`, `keyring:NAME` or `none`
    #[arg(long, value_name = "FROM")]
    key_from: Option<String>,
    /// The API root, for services of your own
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// What to call the service instead of its provider's name
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// A key of `model.options`, such as azure_instance=my-resource (repeatable)
    #[arg(long = "option", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Ask nothing: take what is usual, and replace a file that is there
    #[arg(long)]
    yes: bool,
    /// Send one test prompt through the new profile
    #[arg(long)]
    test: bool,
    #[command(flatten)]
    sources: Sources,
}

/// What a test prompt says.
const TEST_PROMPT: &str = "Say hello in one short sentence.";

pub(super) async fn run(args: Args, term: &Term) -> Result<Exit, Problem> {
    let said = *term;
    let asked = tokio::task::spawn_blocking(move || write(&args, &said).map(|test| (args, test)));
    let (args, name) = tokio::select! {
        written = asked => match written {
            Ok(written) => written?,
            Err(error) => return Err(Problem::new(format!("the questions broke off: {error}"))),
        },
        Some(signal) = signals::signal() => {
            // A question may have hidden it.
            let _ = console::Term::stderr().show_cursor();
            return Ok(Exit::Signal(u8::try_from(signal).unwrap_or(2)));
        }
    };
    match name {
        Some(name) => chat::run(test_prompt(&name, &args.sources)?, term).await,
        None => Ok(Exit::Done),
    }
}

/// `aiproxy chat` as a person would call it.
fn test_prompt(name: &str, sources: &Sources) -> Result<chat::Args, Problem> {
    use clap::{Args as _, FromArgMatches as _};

    let mut line = vec!["chat".to_owned(), TEST_PROMPT.to_owned()];
    line.extend(["--stream", "--profile", name].map(str::to_owned));
    let mut flags = sources.as_flags();
    if let (false, Some(home)) = (sources.names_folders(), sources.home()) {
        // With a folder named, a running server is not asked: it may not have seen the new file yet.
        flags.extend(["--profiles".to_owned(), home.display().to_string()]);
    }
    line.extend(flags);
    let command = chat::Args::augment_args(clap::Command::new("chat"));
    command
        .try_get_matches_from(line)
        .and_then(|matches| chat::Args::from_arg_matches(&matches))
        .map_err(|error| Problem::new(error.to_string()))
}

/// Asks, writes, and says what comes next. The name, if a test prompt is wanted.
fn write(args: &Args, term: &Term) -> Result<Option<String>, Problem> {
    let people = std::io::stdin().is_terminal() && term.err_is_terminal();
    let mut questions = Questions::new(people && !args.yes, term);
    let folder = args.sources.home().ok_or_else(|| {
        Problem::new("this system has no folder for configuration").hint("name one: --profiles DIR")
    })?;
    let draft = draft(args, &mut questions)?;
    let path = folder.join(format!("{}.toml", draft.name));
    let text = draft.text();
    let profile = load(Input {
        name: &draft.name,
        origin: &Origin::File(path.clone()),
        syntax: Syntax::Toml,
        bytes: text.as_bytes(),
    })?;
    let replace = may_replace(args, &mut questions, &folder, &path, &draft.name)?;
    if let Key::Keyring(name) = &draft.key {
        questions.store_key(name)?;
    }
    save(&folder, &path, &text, replace)?;
    next(args, &profile, &path, term)?;
    let can_ask = provider::find(&draft.service.provider).is_some();
    let test = can_ask && (args.test || questions.wants_test(&profile, &*args.sources.vault()?)?);
    Ok(test.then_some(draft.name))
}

/// Every answer: flags first, then questions.
fn draft(args: &Args, questions: &mut Questions<'_>) -> Result<Draft, Problem> {
    let services = service::all();
    let service = match &args.provider {
        Some(id) => find_service(&services, id)?,
        None => questions.service(&services)?,
    };
    let options: Vec<(String, String)> = args
        .options
        .iter()
        .map(|option| match option.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok((key.trim().to_owned(), value.to_owned()))
            }
            _ => Err(Problem::usage("--option takes KEY=VALUE")
                .hint("--option azure_instance=my-resource")),
        })
        .collect::<Result<_, _>>()?;
    let key = match &args.key_from {
        Some(text) => Some(text.parse().map_err(|why: String| {
            Problem::usage(format!("--key-from: {why}")).hint(
                "the key itself goes into the variable, file or key ring (aiproxy key set NAME)",
            )
        })?),
        None => None,
    };
    if let Some(name) = &args.name {
        check_name(name).map_err(Problem::usage)?;
    }
    let (label, base_url) =
        questions.address(&service, args.label.clone(), args.base_url.clone())?;
    let options = questions.options(&service, options)?;
    let model = questions.model(&service, args.model.clone())?;
    let key = questions.key(&service, key)?;
    let name = questions.name(&service, args.name.clone())?;
    let draft = Draft {
        name,
        service,
        label,
        base_url,
        model,
        options,
        key,
    };
    questions.complete(&draft)?;
    Ok(draft)
}

fn find_service(services: &[Service], id: &str) -> Result<Service, Problem> {
    let service = services.iter().find(|service| service.id == id);
    service.cloned().ok_or_else(|| {
        let all: Vec<&str> = services.iter().map(|service| service.id.as_str()).collect();
        Problem::usage(format!(
            "there is nothing for --provider `{}`",
            id.escape_debug()
        ))
        .hint(format!("it takes {}", all.join(", ")))
    })
}

fn check_name(name: &str) -> Result<(), String> {
    if lookup::is_name(name) {
        return Ok(());
    }
    Err(format!(
        "`{}` cannot be the name of a profile: {}",
        name.escape_debug(),
        lookup::NAME_RULE
    ))
}

/// Whether the file may take the place of one that is there.
fn may_replace(
    args: &Args,
    questions: &mut Questions<'_>,
    folder: &Path,
    path: &Path,
    name: &str,
) -> Result<bool, Problem> {
    // Two files of one name would both be refused.
    let other = Places::new([folder.to_owned()])
        .list()
        .into_iter()
        .find_map(|listed| match listed.origin {
            Origin::File(other) if listed.name == name && other != path => Some(other),
            _ => None,
        });
    if let Some(other) = other {
        return Err(Problem::new(format!(
            "there is a profile `{name}` already: {}",
            other.display()
        ))
        .hint("choose another name, or remove it"));
    }
    if !path.exists() {
        return Ok(false);
    }
    if args.yes || questions.replace(path)? {
        return Ok(true);
    }
    Err(Problem::new(format!("{} is there already", path.display()))
        .hint("choose another name, or replace it with --yes"))
}

/// Writes the file whole or not at all; nobody else may read the folder or the file.
fn save(folder: &Path, path: &Path, text: &str, replace: bool) -> Result<(), Problem> {
    let failed =
        |error: std::io::Error| Problem::new(format!("cannot write {}: {error}", path.display()));
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let placed = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    placed.map(|_| ()).map_err(|error| failed(error.error))
}

/// The path, and what to do now.
fn next(args: &Args, profile: &Profile, path: &Path, term: &Term) -> Result<(), Problem> {
    let name = &profile.name;
    let mut flags = String::new();
    for word in args.sources.as_flags() {
        flags.push(' ');
        flags.push_str(&shell_word(&word));
    }
    let mut text = format!("wrote {}\n\n", path.display());
    let vault = args.sources.vault()?;
    for referred in references(profile, &*vault) {
        if referred.missing.is_none() {
            continue;
        }
        let reference = referred
            .reference
            .trim_start_matches("{vault://")
            .trim_end_matches('}');
        let way = match (&referred.variable, reference.split_once('/')) {
            (Some(variable), _) => format!("export {variable}=..."),
            (None, Some(("keyring", name))) => format!("aiproxy key set {}", shell_word(name)),
            (None, Some((_, file))) => format!("put the key into {file}"),
            (None, None) => continue,
        };
        text.push_str(&format!("  {}\n", term.ink(Ink::Warn, &way)));
    }
    for command in [
        format!("aiproxy profile check {name}{flags}"),
        format!("aiproxy chat --profile {name}{flags} \"Hello\""),
        format!("aiproxy serve --profile {name}{flags}"),
    ] {
        text.push_str(&format!("  {}\n", term.ink(Ink::Literal, &command)));
    }
    term.out(&text)?;
    let found = args.sources.places().load(name).map(|found| found.origin);
    if let Ok(Origin::File(other)) = found
        && other != *path
    {
        term.warn(&format!(
            "{} comes before it: `{name}` is that one",
            other.display()
        ));
    }
    if let Some(proxy) = &profile.ai_proxy
        && provider::find(proxy.model.provider.as_str()).is_none()
    {
        term.warn(&format!(
            "this version of aiproxy cannot ask {} yet",
            proxy.model.provider
        ));
    }
    Ok(())
}

/// A word for a shell's command line.
fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(shell_word("/a/b-c.toml"), "/a/b-c.toml");
        assert_eq!(shell_word("it's here"), "'it'\\''s here'");
        assert_eq!(shell_word("$(x)"), "'$(x)'");
    }

    #[test]
    fn the_test_prompt_is_a_chat() {
        let sources = Sources::default();
        assert!(test_prompt("mock", &sources).is_ok());
    }

    #[test]
    fn files_are_written_for_their_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a").join("b");
        let path = folder.join("x.toml");
        save(&folder, &path, "1", false).unwrap();
        assert!(save(&folder, &path, "2", false).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1");
        save(&folder, &path, "3", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "3");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
        }
    }
}
