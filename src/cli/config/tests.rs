use clap::{Args, FromArgMatches};

use super::*;

#[derive(Debug, Args)]
struct Serve {
    #[arg(long = "profile", value_delimiter = ',')]
    names: Vec<String>,
    #[arg(long, default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    #[arg(long)]
    token: Option<String>,
    #[arg(long, default_value_t = 30)]
    max_connections: usize,
    #[arg(long)]
    log_file: Option<PathBuf>,
    #[arg(long)]
    record: bool,
    #[arg(long)]
    config: Option<PathBuf>,
}

fn cli() -> Command {
    Command::new("aiproxy").subcommand(Serve::augment_args(Command::new("serve")))
}

fn settings(text: &str) -> Result<Settings, Vec<Mistake>> {
    let cli = cli();
    read(
        Path::new("/etc/c.toml"),
        text,
        cli.find_subcommand("serve").unwrap(),
    )
}

fn told(text: &str) -> String {
    render(&settings(text).unwrap_err(), false)
}

fn serve(text: &str, flags: &[&str]) -> Serve {
    let command = settings(text).unwrap().apply(cli());
    let line = ["aiproxy", "serve"].iter().chain(flags);
    let matches = command.try_get_matches_from(line).unwrap();
    Serve::from_arg_matches(matches.subcommand_matches("serve").unwrap()).unwrap()
}

#[test]
fn a_file_stands_behind_the_flags() {
    let text = "profile = ['a', 'b']\nlisten = '127.0.0.1:1'\ntoken = 't'\nmax_connections = 1_000\nlog_file = 'x.log'\nrecord = true\n";
    let read = serve(text, &[]);
    assert_eq!(read.names, ["a", "b"]);
    assert_eq!(read.listen.port(), 1);
    assert_eq!(read.token.as_deref(), Some("t"));
    assert_eq!(read.max_connections, 1000);
    assert_eq!(read.log_file.as_deref(), Some(Path::new("/etc/x.log")));
    assert!(read.record);
    let read = serve(text, &["--profile", "c", "--listen", "127.0.0.1:2"]);
    assert_eq!(read.names, ["c"]);
    assert_eq!(read.listen.port(), 2);
    assert_eq!(read.max_connections, 1000);
    let read = serve("record = false\nprofile = 'one'\n", &[]);
    assert!(!read.record);
    assert_eq!(read.names, ["one"]);
    assert!(read.config.is_none());
}

#[test]
fn unknown_keys_are_told_with_their_line_and_the_nearest_key() {
    assert_eq!(
        told("# c\nlisten = '127.0.0.1:1'\nmax_conections = 5\n"),
        "/etc/c.toml:3:1: unknown key `max_conections`\nhint: did you mean `max_connections`?"
    );
    assert_eq!(
        told("max-connections = 5\n"),
        "/etc/c.toml:1:1: unknown key `max-connections`\nhint: did you mean `max_connections`?"
    );
    assert_eq!(
        told("something = 5\n"),
        "/etc/c.toml:1:1: unknown key `something`\nhint: valid keys are profile, listen, token, max_connections, log_file, record"
    );
    assert!(told("config = 'x'\n").contains("unknown key `config`"));
    assert!(told("[serve]\nlisten = 'x'\n").contains("without tables"));
}

#[test]
fn values_are_checked_as_on_the_command_line() {
    let text = told(
        "listen = 'nowhere'\nmax_connections = 'many'\nrecord = 1\nprofile = [{}]\ntoken = ['a']\n",
    );
    for part in [
        "/etc/c.toml:1:10: `listen` cannot be `nowhere`: invalid socket address syntax",
        "1 | listen = 'nowhere'",
        "/etc/c.toml:2:19: `max_connections` cannot be `many`: invalid digit found in string",
        "/etc/c.toml:3:10: `record` must be true or false",
        "/etc/c.toml:4:11: `profile` must be a list of strings",
        "/etc/c.toml:5:9: `token` must be a string or a number",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
}

#[test]
fn tokens_are_never_shown() {
    for text in [
        "token = 's3cret-t0ken\n",
        "tokn = 's3cret-t0ken'\n",
        "token = ['s3cret-t0ken']\n",
        "[x]\ntoken = 's3cret-t0ken'\n",
    ] {
        assert!(!told(text).contains("s3cret"), "{}", told(text));
    }
    let help = settings("token = 's3cret'\nlisten = '127.0.0.1:7'\n")
        .unwrap()
        .apply(cli())
        .find_subcommand_mut("serve")
        .unwrap()
        .render_long_help()
        .to_string();
    assert!(
        help.contains("127.0.0.1:7") && !help.contains("s3cret"),
        "{help}"
    );
}

#[test]
fn every_flag_of_serve_has_a_variable() {
    let command = with_variables(super::super::command_line());
    let serve = command.find_subcommand("serve").unwrap();
    for arg in serve.get_arguments() {
        let Some(key) = key_of(arg).filter(|key| key != "profiles") else {
            continue;
        };
        let variable = arg.get_env().unwrap_or_default().to_string_lossy();
        assert_eq!(variable, format!("AIPROXY_{}", key.to_ascii_uppercase()));
    }
}

#[test]
fn what_all_commands_share() {
    let folder = tempfile::tempdir().unwrap();
    let file = File {
        path: folder.path().join("c.toml"),
        named: true,
    };
    assert_eq!(file.shared(), Shared::default());
    std::fs::write(
        &file.path,
        "profiles = ['p', '/q']\nenv_file = '.env'\nlisten = '127.0.0.1:7'\n",
    )
    .unwrap();
    assert_eq!(
        file.shared(),
        Shared {
            profiles: vec![folder.path().join("p"), "/q".into()],
            env_file: Some(folder.path().join(".env")),
            listen: Some(([127, 0, 0, 1], 7).into()),
        }
    );
}

#[test]
fn a_named_file_has_to_be_there() {
    let serve = cli();
    let serve = serve.find_subcommand("serve").unwrap();
    let file = |named| File {
        path: "/nowhere/c.toml".into(),
        named,
    };
    assert_eq!(file(false).read(serve), Ok(Settings::default()));
    let mistakes = file(true).read(serve).unwrap_err();
    assert_eq!(
        mistakes.first().unwrap().headline(),
        "/nowhere/c.toml: there is no such file"
    );
}
