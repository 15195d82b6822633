//! `aiproxy profile`, `aiproxy key` and `aiproxy man` as people and programs meet them: the real binary in a home of its own.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests may fail loudly, their helpers too"
)]

mod check;
mod list;
mod new;
mod pages;
mod show;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

/// A home with nothing in it.
struct Home {
    dir: TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

/// What a command did.
#[derive(Debug)]
struct Done {
    code: i32,
    out: String,
    err: String,
}

impl Home {
    fn new() -> Home {
        Home {
            dir: TempDir::new().unwrap(),
            variables: Vec::new(),
        }
    }

    fn with_variable(mut self, name: &'static str, value: &'static str) -> Home {
        self.variables.push((name, value));
        self
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// The folder of this user's profiles.
    fn profiles(&self) -> PathBuf {
        let folder = self.path("config/aiproxy/profiles");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Writes a profile of this user.
    fn profile(&self, file: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.profiles().join(file);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command; the home's path is `HOME` in what it prints.
    fn run(&self, args: &[&str]) -> Done {
        self.run_with_input(args, "")
    }

    fn run_with_input(&self, args: &[&str], input: &str) -> Done {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_aiproxy"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .envs(self.variables.iter().copied())
            .current_dir(self.dir.path())
            .write_stdin(input.to_owned())
            .timeout(Duration::from_secs(20));
        let output = command.output().unwrap();
        let home = self.dir.path().display().to_string();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(&home, "HOME");
        Done {
            code: output.status.code().expect("it ends by itself"),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Done {
    /// It went well and said nothing on stderr.
    fn out(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self.out
    }

    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A sound profile.
const GPT: &str = r#"
description = "GPT"
[ai-proxy]
route_type = "llm/v1/chat"
[ai-proxy.auth]
header_name = "Authorization"
header_value = "Bearer {vault://env/my-key}"
[ai-proxy.model]
provider = "openai"
name = "gpt-5"
"#;

/// The profiles that are built in.
fn built_in() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".toml").map(str::to_owned))
        .collect();
    names.sort();
    names
}
