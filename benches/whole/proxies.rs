//! What is measured, each as a child process with a fresh folder: nginx, aiproxy, and whatever else is given by path.
//!
//! Behind each, `/whole`, `/fast` and `/slow` lead to the fake provider's listeners of these names; behind aiproxy, `/anthropic` and `/gemini` too.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{process::Tree, provider::Provider};

/// What stands between the load and the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: what the benchmark itself costs.
    Direct,
    Nginx(PathBuf),
    Aiproxy(PathBuf, Seeing),
    /// By name, a program that is started as [`Running::start`] says.
    Peer(String, PathBuf),
}

/// Who looks at aiproxy's exchanges, beside its own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeing {
    Default,
    Tail,
    Record,
}

impl Kind {
    pub(crate) fn name(&self) -> &str {
        match self {
            Kind::Direct => "direct",
            Kind::Nginx(_) => "nginx",
            Kind::Aiproxy(..) => "aiproxy",
            Kind::Peer(name, _) => name,
        }
    }

    /// What the program says of its version, on one line.
    pub(crate) fn version(&self) -> String {
        let (path, flag) = match self {
            Kind::Direct | Kind::Peer(..) => return String::new(),
            Kind::Nginx(path) => (path, "-v"),
            Kind::Aiproxy(path, _) => (path, "--version"),
        };
        let Ok(output) = Command::new(path).arg(flag).output() else {
            return String::new();
        };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        text.lines().next().unwrap_or_default().trim().to_owned()
    }
}

/// A started proxy; it ends when this is dropped.
pub(crate) struct Running {
    kind: Kind,
    pub(crate) address: SocketAddr,
    children: Vec<Child>,
    folder: TempDir,
}

impl Running {
    /// Starts it, without waiting until it answers. A peer is run with no arguments and these variables: LISTEN, the address to listen on; WHOLE,
    /// FAST and SLOW, the provider's addresses; FOLDER, where it may write its configuration. It passes `/whole/v1/...` to `http://$WHOLE/v1/...`,
    /// and so on; usually it is a script of some lines that writes the configuration and then `exec`s the program.
    pub(crate) fn start(kind: &Kind, provider: &Provider) -> io::Result<Running> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut running = Running {
            kind: kind.clone(),
            address: free.local_addr()?,
            children: Vec::new(),
            folder: tempfile::tempdir()?,
        };
        drop(free);
        let folder = running.folder.path();
        let child = match kind {
            Kind::Direct => return Ok(running),
            Kind::Nginx(path) => {
                let config = folder.join("nginx.conf");
                fs::write(&config, nginx(folder, running.address, provider))?;
                running.spawn(path, |command| {
                    command.arg("-p").arg(folder).arg("-c").arg(&config);
                })?
            }
            Kind::Aiproxy(path, seeing) => {
                let profiles = folder.join("profiles");
                fs::create_dir(&profiles)?;
                let names = profiles_for(&profiles, provider)?;
                running.spawn(path, |command| {
                    command.arg("serve").arg("--profiles").arg(&profiles);
                    command.arg("--listen").arg(running.address.to_string());
                    for name in names {
                        command.args(["--profile", name]);
                    }
                    if *seeing == Seeing::Record {
                        command.arg("--record");
                    }
                })?
            }
            Kind::Peer(_, path) => running.spawn(path, |command| {
                command.env("LISTEN", running.address.to_string());
                command.env("WHOLE", provider.whole.to_string());
                command.env("FAST", provider.fast.to_string());
                command.env("SLOW", provider.slow.to_string());
                command.env("FOLDER", folder);
            })?,
        };
        running.children.push(child);
        Ok(running)
    }

    fn spawn(&self, program: &Path, with: impl FnOnce(&mut Command)) -> io::Result<Child> {
        let folder = self.folder.path();
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("AIPROXY_STATE_DIR", folder.join("state"))
            .env("BENCH_KEY", "sk-0123456789abcdef")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(
                folder.join(format!("stderr-{}", self.children.len())),
            )?);
        with(&mut command);
        command
            .spawn()
            .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))
    }

    /// Attaches `aiproxy tail` where it is to be, and reads all that it shows; told once it has shown a first line.
    pub(crate) fn watch(&mut self) -> io::Result<Option<mpsc::Receiver<()>>> {
        let Kind::Aiproxy(path, Seeing::Tail) = &self.kind else {
            return Ok(None);
        };
        let mut child = self.spawn(path, |command| {
            command.args(["tail", "--server", &format!("http://{}", self.address)]);
            command.stdout(Stdio::piped());
        })?;
        let output = child.stdout.take();
        self.children.push(child);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let Some(output) = output else { return };
            let mut output = BufReader::with_capacity(64 << 10, output);
            let shows = output.read_until(b'\n', &mut Vec::new());
            if shows.is_ok_and(|count| count > 0) {
                let _ = tell.send(());
            }
            let _ = io::copy(&mut output, &mut io::sink());
        });
        Ok(Some(told))
    }

    /// The proxy's own processes.
    pub(crate) fn tree(&self) -> Option<Tree> {
        self.children.first().map(|child| Tree(child.id()))
    }

    /// Whether it still runs; if not, what it said at its end.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        let Some(child) = self.children.first_mut() else {
            return Ok(());
        };
        let Some(status) = child.try_wait()? else {
            return Ok(());
        };
        let said = fs::read_to_string(self.folder.path().join("stderr-0")).unwrap_or_default();
        let name = self.kind.name();
        Err(io::Error::other(format!(
            "{name} ended with {status}: {said}"
        )))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The last to come goes first: `tail` before its server.
        while let Some(mut child) = self.children.pop() {
            // All of them: a peer may be a script that waits for its program.
            let members = Tree(child.id()).members();
            let _ = Command::new("sh")
                .args(["-c", "kill -TERM \"$@\"", "sh"])
                .args(members.iter().map(u32::to_string))
                .stderr(Stdio::null())
                .status();
            let patience = Instant::now() + Duration::from_secs(3);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < patience {
                thread::sleep(Duration::from_millis(5));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A plain reverse proxy: connections are kept on both sides, nothing is buffered on the way, nothing is logged.
fn nginx(folder: &Path, address: SocketAddr, provider: &Provider) -> String {
    let folder = folder.display();
    // As root, its workers would be somebody who cannot read the folder.
    let user = match fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own))
    {
        Ok(0) => "user root root;",
        _ => "",
    };
    let mut upstreams = String::new();
    let mut locations = String::new();
    for (name, address) in [
        ("whole", provider.whole),
        ("fast", provider.fast),
        ("slow", provider.slow),
    ] {
        upstreams.push_str(&format!(
            "upstream {name} {{ server {address}; keepalive 2048; keepalive_requests 100000000; }}\n"
        ));
        locations.push_str(&format!(
            "location /{name}/ {{ proxy_pass http://{name}/; proxy_http_version 1.1; proxy_set_header Connection \"\"; \
             proxy_buffering off; proxy_request_buffering off; }}\n"
        ));
    }
    format!(
        "daemon off;\n{user}\nworker_processes 2;\npid {folder}/nginx.pid;\nerror_log stderr error;\nevents {{ worker_connections 8192; }}\n\
         http {{\naccess_log off;\nclient_body_temp_path {folder}/body;\nproxy_temp_path {folder}/proxy;\nfastcgi_temp_path {folder}/fastcgi;\n\
         uwsgi_temp_path {folder}/uwsgi;\nscgi_temp_path {folder}/scgi;\nkeepalive_requests 100000000;\nclient_max_body_size 64m;\n\
         {upstreams}server {{\nlisten {address};\n{locations}}}\n}}\n"
    )
}

/// Writes aiproxy's profiles, which say where the provider is and nothing else; their names.
fn profiles_for(folder: &Path, provider: &Provider) -> io::Result<[&'static str; 5]> {
    let mut names = [""; 5];
    let all = [
        ("whole", "openai", provider.whole, "/v1"),
        ("fast", "openai", provider.fast, "/v1"),
        ("slow", "openai", provider.slow, "/v1"),
        ("anthropic", "anthropic", provider.anthropic, ""),
        ("gemini", "gemini", provider.gemini, ""),
    ];
    for (at, (name, kind, address, root)) in all.into_iter().enumerate() {
        let (header, scheme, options) = match kind {
            "anthropic" => (
                "x-api-key",
                "",
                "[ai-proxy.model.options]\nanthropic_version = \"2023-06-01\"\n",
            ),
            "gemini" => ("x-goog-api-key", "", ""),
            _ => ("Authorization", "Bearer ", ""),
        };
        let profile = format!(
            "[ai-proxy]\nroute_type = \"llm/v1/chat\"\n[ai-proxy.auth]\nheader_name = \"{header}\"\nheader_value = \"{scheme}{{vault://env/bench-key}}\"\n\
             [ai-proxy.model]\nprovider = \"{kind}\"\n{options}[aiproxy]\nbase_url = \"http://{address}{root}\"\n"
        );
        fs::write(folder.join(format!("{name}.toml")), profile)?;
        names[at] = name;
    }
    Ok(names)
}
