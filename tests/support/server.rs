//! The built binary as a process, in a world of its own: no file and no variable of the person who runs the tests is seen.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{PATIENCE, ProfileText};

/// How long a process has to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A home directory with nothing in it.
#[derive(Debug)]
pub(crate) struct World {
    root: TempDir,
}

impl World {
    pub(crate) fn new() -> World {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "state", "run", "profiles"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        World { root }
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The folder for `--profiles`.
    pub(crate) fn profiles(&self) -> PathBuf {
        self.path("profiles")
    }

    /// Writes a profile.
    pub(crate) fn profile(&self, name: &str, text: &str) {
        std::fs::write(self.profiles().join(format!("{name}.toml")), text).unwrap();
    }

    /// A command that sees nothing but this world.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .current_dir(self.path("home"))
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("home/.config"))
            .env("XDG_DATA_HOME", self.path("home/.local/share"))
            .env("XDG_STATE_HOME", self.path("home/.local/state"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("AIPROXY_STATE_DIR", self.path("state"));
        for kept in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(kept) {
                command.env(kept, value);
            }
        }
        command
    }

    /// `aiproxy` with these arguments.
    pub(crate) fn aiproxy<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_aiproxy"));
        command.args(args);
        command
    }

    /// Runs `aiproxy` to its end, without stdin.
    pub(crate) fn run<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Finished {
        Process::start(self.aiproxy(args)).end()
    }

    /// The same with something on stdin.
    pub(crate) fn run_with<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
        stdin: &str,
    ) -> Finished {
        Process::start_with(self.aiproxy(args), stdin).end()
    }
}

/// What a process that ended left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Its exit code.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Finished {
        assert_eq!(
            self.code(),
            code,
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// A running process. Dropping it ends it: SIGTERM, then SIGKILL.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    /// Something new was written to stdout.
    wrote: mpsc::Receiver<()>,
}

/// Sends a signal by its name.
pub(crate) fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .stderr(Stdio::null())
        .status();
    assert!(sent.is_ok(), "`kill` cannot be run");
}

fn pump(
    mut from: impl Read + Send + 'static,
    to: Arc<Mutex<Vec<u8>>>,
    tell: mpsc::Sender<()>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            to.lock().unwrap().extend_from_slice(&buffer[..read]);
            let _ = tell.send(());
        }
    })
}

impl Process {
    /// Starts a command without stdin.
    pub(crate) fn start(mut command: Command) -> Process {
        command.stdin(Stdio::null());
        Process::spawn(command)
    }

    /// Starts a command with something on stdin.
    pub(crate) fn start_with(mut command: Command, stdin: &str) -> Process {
        command.stdin(Stdio::piped());
        let mut process = Process::spawn(command);
        if let Some(mut pipe) = process.child.stdin.take() {
            // A process that does not read its stdin is no failure here.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        process
    }

    fn spawn(mut command: Command) -> Process {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let (tell, wrote) = mpsc::channel();
        let readers = vec![
            pump(
                child.stdout.take().unwrap(),
                Arc::clone(&stdout),
                tell.clone(),
            ),
            pump(child.stderr.take().unwrap(), Arc::clone(&stderr), tell),
        ];
        Process {
            child,
            stdout,
            stderr,
            readers,
            wrote,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stdout so far.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.lock().unwrap()).into_owned()
    }

    /// What it wrote to stderr so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.lock().unwrap()).into_owned()
    }

    /// Waits until what it wrote is as wished.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, wished: impl Fn(&Process) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wished(self) {
            let left = deadline.saturating_duration_since(Instant::now());
            let news = self.wrote.recv_timeout(left);
            assert!(
                news.is_ok() || wished(self),
                "{what}: never came\nstdout: {}\nstderr: {}",
                self.stdout(),
                self.stderr()
            );
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            // Nothing can be awaited here without unsafe code or a thread that owns the child.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Finished {
        let Some(status) = self.wait(PATIENCE) else {
            panic!(
                "it does not end\nstdout: {}\nstderr: {}",
                self.stdout(),
                self.stderr()
            );
        };
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        Finished {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.runs() {
            self.signal("TERM");
            if self.wait(GRACE).is_none() {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
    }
}

/// `aiproxy serve`, up and listening.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) world: World,
}

/// A server to be.
#[derive(Debug)]
pub(crate) struct Setup {
    world: World,
    names: Vec<String>,
    args: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Setup {
    /// Serves a profile.
    pub(crate) fn profile(mut self, name: &str, text: &ProfileText) -> Setup {
        self.world.profile(name, &text.toml());
        self.names.push(name.to_owned());
        self
    }

    /// Serves a built-in profile.
    pub(crate) fn built_in(mut self, name: &str) -> Setup {
        self.names.push(name.to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Setup {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The folder of the profiles.
    pub(crate) fn folder(&self) -> PathBuf {
        self.world.profiles()
    }

    /// Writes a file beside the profiles.
    pub(crate) fn file(self, name: &str, text: &str) -> Setup {
        std::fs::write(self.world.profiles().join(name), text).unwrap();
        self
    }

    /// Sets a variable.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Setup {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The command that [`Setup::start`] runs.
    pub(crate) fn command(&self) -> Command {
        let folder = self.world.profiles();
        let mut command = self.world.aiproxy(["serve", "--listen", "127.0.0.1:0"]);
        command.arg("--profiles").arg(folder);
        for name in &self.names {
            command.args(["--profile", name]);
        }
        // A test that ends with a stream under way does not wait for it.
        command.env("AIPROXY_DRAIN", "1");
        command.args(&self.args);
        command.envs(self.variables.iter().cloned());
        command
    }

    /// Runs it to an end that is expected.
    pub(crate) fn fails(self) -> Finished {
        Process::start(self.command()).end()
    }

    /// Starts it and reads the address from the banner's first line.
    pub(crate) fn start(self) -> Server {
        self.start_by(|command| command)
    }

    /// The same, with a command made of the usual one.
    pub(crate) fn start_by(self, by: impl FnOnce(Command) -> Command) -> Server {
        let mut process = Process::start(by(self.command()));
        let deadline = Instant::now() + PATIENCE;
        let address = loop {
            let banner = process.stdout();
            if let Some((line, _)) = banner.split_once('\n') {
                let url = line.rsplit(' ').next().unwrap_or_default();
                let address = url
                    .strip_prefix("http://")
                    .and_then(|rest| rest.parse().ok());
                break address.unwrap_or_else(|| panic!("no address in the banner: {line}"));
            }
            let runs = process.runs();
            let _ = process.wrote.recv_timeout(Duration::from_millis(50));
            assert!(
                (runs || !process.stdout().is_empty()) && Instant::now() < deadline,
                "the server does not start: {}",
                process.stderr()
            );
        };
        Server {
            process,
            address,
            world: self.world,
        }
    }
}

impl Server {
    /// A server of nothing yet.
    pub(crate) fn setup() -> Setup {
        Setup {
            world: World::new(),
            names: Vec::new(),
            args: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// A server of one profile, `up`.
    pub(crate) fn of(text: &ProfileText) -> Server {
        Server::setup().profile("up", text).start()
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Checks that it still answers.
    pub(crate) async fn is_healthy(&self) {
        let reply = super::Ask::get("/_aiproxy/health").whole(self).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}
