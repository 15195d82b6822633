//! A fresh home for each test: its own settings, profiles and state, nothing of the person's who runs the tests.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Home {
    folder: tempfile::TempDir,
    /// Where commands look first. Nobody is there unless a test puts a server there.
    pub(crate) usual: SocketAddr,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home {
            folder: tempfile::tempdir().unwrap(),
            usual: free_address(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("state/aiproxy")
    }

    /// Writes a file below the home, and gives its path.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes the user's settings.
    pub(crate) fn settings(&self, text: &str) -> PathBuf {
        self.write("config/aiproxy/config.toml", text)
    }

    /// Writes a profile of the user's.
    pub(crate) fn profile(&self, name: &str, text: &str) -> PathBuf {
        self.write(&format!("config/aiproxy/profiles/{name}.toml"), text)
    }

    /// The binary with these arguments and an environment of its own.
    pub(crate) fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aiproxy"));
        command.args(args).env_clear();
        for (name, value) in self.variables() {
            command.env(name, value);
        }
        command
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.path(name).display().to_string();
        vec![
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", at("")),
            ("XDG_CONFIG_HOME", at("config")),
            ("XDG_STATE_HOME", at("xdg-state")),
            ("XDG_DATA_HOME", at("xdg-data")),
            ("AIPROXY_STATE_DIR", at("state")),
            ("AIPROXY_LISTEN", self.usual.to_string()),
            ("TERM", "xterm".into()),
            ("NO_COLOR", "1".into()),
        ]
    }

    /// Runs a command to its end.
    pub(crate) fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Ran {
        Ran::of(self.command(args).stdin(Stdio::null()).output().unwrap())
    }

    /// Starts a server on a free port, and waits until it listens.
    pub(crate) fn serve<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Server {
        let line = ["serve", "--listen", "127.0.0.1:0"].into_iter().chain(args);
        Server::start(self.command(line))
    }

    /// A text without what differs from run to run.
    pub(crate) fn without_places(&self, text: &str) -> String {
        text.replace(&self.path("").display().to_string(), "[HOME]/")
            .replace(&self.usual.to_string(), "[USUAL]")
            .replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
            .replace(std::env::consts::ARCH, "[ARCH]")
            .replace(std::env::consts::OS, "[OS]")
    }
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn done(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    err: mpsc::Receiver<String>,
}

impl Server {
    pub(crate) fn start(mut command: Command) -> Server {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let err = lines(child.stderr.take().unwrap());
        let out = lines(child.stdout.take().unwrap());
        let Ok(first) = out.recv_timeout(PATIENCE) else {
            let told: Vec<String> = err.iter().collect();
            panic!("the server did not start: {}", told.join("\n"));
        };
        let url = first.split(' ').next_back().unwrap().to_owned();
        Server { child, url, err }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.url.strip_prefix("http://").unwrap().parse().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a person would, and gives what it said on stderr.
    pub(crate) fn stop(mut self) -> String {
        let killed = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the server does not end");
            thread::sleep(Duration::from_millis(10));
        }
        self.err.iter().collect::<Vec<_>>().join("\n")
    }

    /// Ends it without a chance to clean up.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines as they come, read by a thread so that a full pipe stops nobody.
fn lines(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// An upstream that gives every request the same answer, and the heads and bodies that it got.
pub(crate) fn upstream(answer: &'static str) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = sender.send(answered(stream, answer).unwrap_or_default());
        }
    });
    (address, receiver)
}

fn answered(mut stream: TcpStream, answer: &str) -> std::io::Result<String> {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    let whole = |got: &[u8]| {
        let text = String::from_utf8_lossy(got);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse().ok())
            .unwrap_or(0);
        (body.len() >= length).then(|| text.clone().into_owned())
    };
    let request = loop {
        let count = stream.read(&mut piece)?;
        got.extend_from_slice(&piece[..count]);
        if let Some(request) = whole(&got) {
            break request;
        }
        if count == 0 {
            return Ok(String::new());
        }
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{answer}",
        answer.len()
    )?;
    Ok(request)
}

/// A profile that sends to `address`, with a key from a variable.
pub(crate) fn profile_to(address: SocketAddr, variable: &str) -> String {
    format!(
        "[ai-proxy]\nroute_type = 'llm/v1/chat'\n[ai-proxy.auth]\nheader_name = 'authorization'\n\
         header_value = 'Bearer {{vault://env/{variable}}}'\n[ai-proxy.model]\nprovider = 'openai'\n\
         [aiproxy]\nbase_url = 'http://{address}/v1'\ndefault_model = 'm'\n"
    )
}

/// A chat completion.
pub(crate) const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500,"total_tokens":1500}}"#;

/// Whether others can read it.
#[cfg(unix)]
pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;

    fs::metadata(path).unwrap().permissions().mode() & 0o777
}
