//! A headless Chromium, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>).

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Headers, Server};

/// How long the page may take for anything: browsers are slow on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names of the programs, the first that there is.
const CHROMIUM: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
const DRIVER: &[&str] = &["chromedriver", "chromium.chromedriver"];

fn program(names: &[&'static str]) -> Option<&'static str> {
    names.iter().copied().find(|name| {
        Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// A window of a browser of its own. Dropping it ends both.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// Its profile, and the driver's log.
    folder: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when it is asked to, not when it is killed.
        crate::support::signal(self.driver.id(), "TERM");
        let deadline = Instant::now() + Duration::from_secs(5);
        while matches!(self.driver.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Browser {
    /// A browser; `None`, which is said, where there is none. With AIPROXY_BROWSER that is a failure.
    pub(crate) async fn open() -> Option<Browser> {
        let (Some(chromium), Some(driver)) = (program(CHROMIUM), program(DRIVER)) else {
            assert!(
                std::env::var_os("AIPROXY_BROWSER").is_none(),
                "AIPROXY_BROWSER is set, and chromium and chromedriver are not there"
            );
            eprintln!("skipped: chromium and chromedriver are not installed");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("driver.log");
        let out = std::fs::File::create(&log).unwrap();
        let driver = Command::new(driver)
            .arg("--port=0")
            .env("TMPDIR", folder.path())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut browser = Browser {
            driver,
            port: 0,
            session: String::new(),
            folder,
        };
        let deadline = Instant::now() + PATIENCE;
        browser.port = loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let port = said.split("successfully on port ").nth(1);
            let port = port.and_then(|rest| rest.split(['.', '\n']).next()?.trim().parse().ok());
            if let Some(port) = port {
                break port;
            }
            assert!(Instant::now() < deadline, "no driver: {said}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let profile = browser.folder.path().join("profile");
        // As root, and in containers, there is no sandbox to be had; the page that is opened is our own.
        let args = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--no-proxy-server".to_owned(),
            "--window-size=1280,860".to_owned(),
            format!("--user-data-dir={}", profile.display()),
        ];
        let asked = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": args, "binary": binary(chromium)},
            "goog:loggingPrefs": {"browser": "ALL"},
            "timeouts": {"script": 60000, "pageLoad": 60000},
        }}});
        let session = browser.call("POST", "/session", Some(asked)).await;
        let id = session["sessionId"].as_str();
        browser.session = id.unwrap_or_else(|| panic!("{session}")).to_owned();
        Some(browser)
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = tokio::time::timeout(PATIENCE * 2, self.ask(method, path, body)).await;
        let (status, answer) = answer.unwrap_or_else(|_| panic!("{method} {path}: no answer"));
        let value = answer.get("value").cloned().unwrap_or_default();
        assert_eq!(status, 200, "{method} {path}: {value}");
        value
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let body = body.map_or_else(String::new, |body| body.to_string());
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let mut piece = vec![0; 64 << 10];
        loop {
            let read = stream.read(&mut piece).await.unwrap();
            answer.extend_from_slice(&piece[..read]);
            let Some(head) = answer.windows(4).position(|end| end == b"\r\n\r\n") else {
                assert!(read > 0, "the driver closed the connection");
                continue;
            };
            let text = String::from_utf8_lossy(&answer[..head]).into_owned();
            let length: usize = Headers::parse(&text)
                .get("content-length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0);
            if answer.len() >= head + 4 + length || read == 0 {
                let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
                let json = serde_json::from_slice(&answer[head + 4..]).unwrap_or_default();
                return (status.unwrap_or(0), json);
            }
        }
    }

    async fn session(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.call(method, &path, body).await
    }

    /// Opens an address.
    pub(crate) async fn go(&self, url: &str) {
        self.session("POST", "/url", Some(json!({"url": url})))
            .await;
    }

    /// Opens the page of a server at one of its views, and waits until it listens.
    pub(crate) async fn page(&self, server: &Server, view: &str) {
        // The same page with another fragment would not be loaded anew.
        self.go("about:blank").await;
        self.go(&format!("{}/_aiproxy/ui{view}", server.url()))
            .await;
        self.until("return document.querySelector('#link.is-open') && !document.querySelector('#link').textContent.includes('loading')")
            .await;
    }

    /// What a script gives.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.with(script, &[]).await
    }

    /// What a script gives, with `arguments`.
    pub(crate) async fn with(&self, script: &str, args: &[Value]) -> Value {
        let body = json!({"script": script, "args": args});
        self.session("POST", "/execute/sync", Some(body)).await
    }

    /// Waits until a script gives something other than nothing, which it gives.
    #[track_caller]
    pub(crate) fn until(&self, script: impl Into<String>) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let script = script.into();
        async move {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let value = self.run(&script).await;
                if !matches!(value, Value::Null | Value::Bool(false)) && value != "" {
                    return value;
                }
                if Instant::now() >= deadline {
                    let text = self.run("return document.body.innerText").await;
                    let log = self.log().await;
                    panic!("{caller}: never: {script}\nconsole: {log:?}\n{text}");
                }
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        }
    }

    /// Waits until the text of an element holds this.
    #[track_caller]
    pub(crate) fn shows(&self, selector: &str, text: &str) -> impl Future<Output = Value> {
        let (selector, text) = (Value::from(selector), Value::from(text));
        self.until(format!(
            "const found = [...document.querySelectorAll({selector})].find((one) => one.textContent.includes({text})); return found && found.textContent"
        ))
    }

    /// Clicks on an element as a hand does; waits until it is there.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) -> impl Future<Output = ()> {
        let quoted = Value::from(selector);
        let there = self.until(format!(
            "return !!document.querySelector({quoted}) && !document.querySelector({quoted}).disabled"
        ));
        async move {
            there.await;
            let element = self.element(&quoted).await;
            self.session(
                "POST",
                &format!("/element/{element}/click"),
                Some(json!({})),
            )
            .await;
        }
    }

    async fn element(&self, selector: &Value) -> String {
        let body = json!({"using": "css selector", "value": selector});
        let found = self.session("POST", "/element", Some(body)).await;
        let found = found.as_object().and_then(|found| found.values().next());
        found.and_then(Value::as_str).unwrap().to_owned()
    }

    /// Types into an element, after what is there is gone.
    pub(crate) async fn types(&self, selector: &str, text: &str) {
        let element = self.element(&Value::from(selector)).await;
        self.session(
            "POST",
            &format!("/element/{element}/clear"),
            Some(json!({})),
        )
        .await;
        self.session(
            "POST",
            &format!("/element/{element}/value"),
            Some(json!({"text": text})),
        )
        .await;
    }

    /// Presses keys, wherever the page has its focus.
    pub(crate) async fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|what| json!({"type": what, "value": key.to_string()}))
        });
        let strokes: Vec<Value> = strokes.collect();
        let body = json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]});
        self.session("POST", "/actions", Some(body)).await;
    }

    /// A picture of the window, as PNG in base64.
    pub(crate) async fn picture(&self) -> String {
        let picture = self.session("GET", "/screenshot", None).await;
        picture.as_str().unwrap().to_owned()
    }

    /// What the browser complained about since it was asked last.
    pub(crate) async fn log(&self) -> Vec<String> {
        let body = json!({"type": "browser"});
        let log = self.session("POST", "/se/log", Some(body)).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        lines
            .iter()
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// The whole path: the driver does not look for names everywhere.
fn binary(name: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let found = path.split(':').map(|folder| format!("{folder}/{name}"));
    let mut found = found.filter(|path| std::path::Path::new(path).exists());
    found.next().unwrap_or_else(|| name.to_owned())
}
