//! What others on the same machine may read or change: nothing that holds a key, a token or a prompt.

#![cfg(unix)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    Ask, Process, ProfileText, Server, Upstream, World, chat, completion, json_response,
};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// All below a folder, folders too.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(below(&path));
        }
        all.push(path);
    }
    all
}

/// The same command under a umask that takes nothing away.
fn loosely(command: &Command) -> Command {
    let mut loose = Command::new("/bin/sh");
    loose
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    loose.env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            loose.env(name, value);
        }
    }
    loose.current_dir(command.get_current_dir().unwrap());
    loose
}

/// A server of a world without any folder of its own yet, under the loosest umask, that wrote all that it writes.
#[tokio::test]
async fn what_is_written_is_the_users_alone_whatever_the_umask() {
    let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
    let world = World::new();
    world.profile("up", &ProfileText::openai(&upstream).toml());
    let state = world.path("home/new/state/aiproxy");
    let log = world.path("home/requests.log");
    let mut command = world.aiproxy(["serve", "--listen", "127.0.0.1:0", "--record"]);
    command
        .env("AIPROXY_STATE_DIR", world.path("home/new/state"))
        .arg("--profiles")
        .arg(world.profiles())
        .args(["--profile", "up", "--token", "tok-files-0123", "--log-file"])
        .arg(&log);
    let mut process = Process::start(loosely(&command));
    process.until("the banner", |process| process.stdout().contains("model:"));
    let banner = process.stdout();
    let url = banner.lines().next().unwrap().rsplit(' ').next().unwrap();
    let server = Server {
        address: url.strip_prefix("http://").unwrap().parse().unwrap(),
        process,
        world,
    };
    let ask = Ask::chat(chat("")).header("x-api-key", "tok-files-0123");
    assert_eq!(ask.whole(&server).await.status, 200);
    // The write-ahead log is there only while somebody has the database open.
    let wal = state.join("history.db-wal");
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while !wal.exists() || log.metadata().is_ok_and(|log| log.len() == 0) {
        assert!(std::time::Instant::now() < deadline, "{:?}", below(&state));
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let written = below(&state);
    for end in ["history.db", "history.db-wal", "history.db-shm", ".json"] {
        let there = written
            .iter()
            .any(|path| path.to_string_lossy().ends_with(end));
        assert!(there, "no {end} in {written:?}");
    }
    for path in written.iter().chain([&log]) {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), wanted, "{}", path.display());
    }
    for folder in ["home/new", "home/new/state", "home/new/state/aiproxy"] {
        assert_eq!(mode(&server.world.path(folder)), 0o700, "{folder}");
    }
    let Server { process, world, .. } = server;
    process.signal("TERM");
    process.end().exits(0);
    for path in below(&world.path("home/new/state")) {
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn profiles_and_conversations_are_written_for_their_owner_alone() {
    let world = World::new();
    let args = [
        "profile",
        "new",
        "mine",
        "--provider",
        "openai",
        "--yes",
        "--profiles",
        "made",
    ];
    let command = world.aiproxy(args);
    let ended = Process::start(loosely(&command)).end();
    let made = world.path("home/made/mine.toml");
    assert!(made.exists(), "{ended:?}");
    assert_eq!(mode(&made), 0o600);
    assert_eq!(mode(&world.path("home/made")), 0o700);
}

/// A start, ended by what is wrong.
#[track_caller]
fn refuses(world: &World, args: &[&str], words: &[&str]) {
    let folder = world.profiles();
    let mut command = world.aiproxy(["serve", "--listen", "127.0.0.1:0", "--profiles"]);
    command.arg(folder).args(args);
    let ended = Process::start(command).end().exits(1);
    assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "no `{word}` in: {}",
            ended.stderr
        );
    }
    assert!(!ended.stderr.contains("sk-in-the-file"), "{}", ended.stderr);
}

const KEYED: &str = "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.auth]\nheader_name = \"Authorization\"\nheader_value = \"Bearer KEY\"\n[ai-proxy.model]\nprovider = \"openai\"\n";

fn keyed(key: &str) -> String {
    KEYED.replace("KEY", key)
}

#[test]
fn a_state_folder_that_others_can_change_is_refused() {
    let world = World::new();
    let state = world.path("state/aiproxy");
    fs::create_dir(&state).unwrap();
    for mode in [0o777, 0o770, 0o702, 0o1777] {
        set_mode(&state, mode);
        let shown = format!("mode {mode:04o}");
        let mend = format!("chmod 700 {}", state.display());
        refuses(&world, &["--profile", "mock"], &[&shown, &mend]);
        // Nothing was mended behind the user's back, and the other commands take nothing from there.
        assert_eq!(
            fs::metadata(&state).unwrap().permissions().mode() & 0o7777,
            mode
        );
        let told = world.run(["doctor", "--offline", "--profile", "mock"]);
        let told = format!("{}{}", told.stdout, told.stderr);
        assert!(
            told.contains(&shown) && told.contains("chmod 700 "),
            "{told}"
        );
    }
}

/// A file that somebody put there would send prompts to his own server, with whatever token.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_server_file_is_not_followed() {
    let trap = Upstream::answering(json_response(
        200,
        r#"{"status":"ok","server":"aiproxy","version":"9","profiles":["mock"]}"#,
    ))
    .await;
    let world = World::new();
    let state = world.path("state/aiproxy");
    fs::create_dir(&state).unwrap();
    let file = state.join(format!("server-1-{}.json", trap.address.port()));
    let written = format!(
        r#"{{"pid":1,"address":"{}","profiles":["mock"],"version":"9","started":"2026-01-01T00:00:00Z"}}"#,
        trap.address
    );
    fs::write(&file, written).unwrap();
    // Somebody holds its lock, as a living server does.
    let held = fs::File::open(&file).unwrap();
    held.lock().unwrap();
    let mut command = world.aiproxy(["log", "--json"]);
    command.env("AIPROXY_LISTEN", Upstream::nobody().await.to_string());
    set_mode(&state, 0o777);
    Process::start(command).end();
    assert!(trap.seen().is_empty(), "{:?}", trap.seen());
    // In a folder of the user's own it is one to ask.
    set_mode(&state, 0o700);
    let mut command = world.aiproxy(["log", "--json"]);
    command.env("AIPROXY_LISTEN", Upstream::nobody().await.to_string());
    Process::start(command).end();
    assert!(!trap.seen().is_empty());
}

#[test]
fn a_state_folder_that_others_could_read_is_told_and_made_private() {
    let server = Server::setup().built_in("mock");
    let state = server.folder().parent().unwrap().join("state/aiproxy");
    fs::create_dir(&state).unwrap();
    set_mode(&state, 0o755);
    let server = server.start();
    let told = server.process.stderr();
    assert!(
        told.contains("mode 0755") && told.contains("chmod 700 "),
        "{told}"
    );
    assert_eq!(mode(&state), 0o700);
}

#[test]
fn a_profile_with_a_key_that_others_can_change_is_refused() {
    let world = World::new();
    world.profile("mine", &keyed("sk-in-the-file-0123"));
    let file = world.profiles().join("mine.toml");
    for mode in [0o666, 0o660, 0o602, 0o646] {
        set_mode(&file, mode);
        let shown = format!("mode {mode:04o}");
        let mend = format!("chmod 600 {}", file.display());
        refuses(&world, &["--profile", "mine"], &[&shown, &mend]);
    }
    // Where nobody asked for it by name, it is left out, and that is said.
    let folder = world.profiles();
    let mut command = world.aiproxy(["profile", "list", "--profiles"]);
    command.arg(&folder);
    let told = Process::start(command).end();
    let told = format!("{}{}", told.stdout, told.stderr);
    assert!(told.contains("mode 0646"), "{told}");
}

#[test]
fn a_profile_that_others_can_read_or_bend_is_warned_of() {
    for (text, mode, words) in [
        (
            keyed("sk-in-the-file-0123"),
            0o644,
            Some(["mode 0644", "chmod 600 "]),
        ),
        (
            keyed("sk-in-the-file-0123"),
            0o640,
            Some(["mode 0640", "chmod 600 "]),
        ),
        (keyed("sk-in-the-file-0123"), 0o600, None),
        (keyed("{vault://env/some-key}"), 0o644, None),
        (
            keyed("{vault://env/some-key}"),
            0o666,
            Some(["mode 0666", "chmod go-w "]),
        ),
    ] {
        let setup = Server::setup().file("mine.toml", &text).built_in("mine");
        set_mode(&setup.folder().join("mine.toml"), mode);
        let mut server = setup.start();
        server
            .process
            .until("the banner", |process| process.stdout().contains("model:"));
        let told = server.process.stderr();
        match words {
            Some(words) => {
                for word in words {
                    assert!(told.contains(word), "{mode:o}: no `{word}` in: {told}");
                }
                let told = server.world.run([
                    "doctor",
                    "--offline",
                    "--profile",
                    "mine",
                    "--profiles",
                    server.world.profiles().to_str().unwrap(),
                ]);
                assert!(told.stdout.contains(words[0]), "{told:?}");
            }
            None => assert!(!told.contains("mode 0"), "{mode:o}: {told}"),
        }
        assert!(!told.contains("sk-in-the-file"), "{told}");
    }
}

#[test]
fn settings_with_a_token_are_held_to_the_same() {
    let world = World::new();
    let file = world.path("home/config.toml");
    fs::write(&file, "token = \"sk-in-the-file-token\"\n").unwrap();
    let named = file.to_str().unwrap();
    let args = ["--profile", "mock", "--config", named];
    set_mode(&file, 0o666);
    refuses(&world, &args, &["mode 0666", "chmod 600 "]);
    set_mode(&file, 0o644);
    let mut command = world.aiproxy(["serve", "--listen", "127.0.0.1:0"]);
    command.args(args);
    let mut process = Process::start(command);
    process.until("the banner", |process| process.stdout().contains("model:"));
    let told = process.stderr();
    assert!(
        told.contains("mode 0644") && told.contains("chmod 600 "),
        "{told}"
    );
    assert!(!told.contains("sk-in-the-file"), "{told}");
}
