//! aiproxy as a process, with a fresh folder.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::process::Tree;

/// A running proxy; it ends when this is dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Proxy {
    /// Starts it with the profiles `oai` and `ant`, whose provider is at `provider`.
    pub(crate) fn start(program: &Path, provider: SocketAddr, args: &[&str]) -> io::Result<Proxy> {
        let folder = tempfile::tempdir()?;
        let profiles = folder.path().join("profiles");
        fs::create_dir(&profiles)?;
        let limits =
            "connect_timeout = 60000\nfirst_byte_timeout = 120000\nidle_timeout = 900000\n";
        let oai = format!(
            "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"openai\"\n\
             [aiproxy]\nbase_url = \"http://{provider}/v1\"\nother_paths = \"forward\"\n{limits}"
        );
        let ant = format!(
            "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.model]\nprovider = \"anthropic\"\n\
             [ai-proxy.model.options]\nanthropic_version = \"2023-06-01\"\n\
             [aiproxy]\nbase_url = \"http://{provider}\"\n{limits}"
        );
        fs::write(profiles.join("oai.toml"), oai)?;
        fs::write(profiles.join("ant.toml"), ant)?;
        let mut child = Command::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder.path())
            .env("AIPROXY_STATE_DIR", folder.path().join("state"))
            .args(["serve", "--listen", "127.0.0.1:0", "--profiles"])
            .arg(&profiles)
            .args(["--profile", "oai", "--profile", "ant"])
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line
            .trim()
            .rsplit("http://")
            .next()
            .and_then(|address| address.parse().ok());
        let proxy = |address| Proxy {
            child,
            address,
            folder,
        };
        address
            .map(proxy)
            .ok_or_else(|| io::Error::other(format!("aiproxy does not start: {line}")))
    }

    pub(crate) fn tree(&self) -> Tree {
        Tree(self.child.id())
    }

    /// How many files it has open.
    pub(crate) fn files(&self) -> usize {
        let pid = self.child.id();
        fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
    }

    /// What it said on stderr.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
