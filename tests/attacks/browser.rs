//! A real browser on another origin: Chromium, headless, opens a page that tries all that a page can try to read from the server and to
//! spend through it. The page tells its own server what it got. Where there is no Chromium, these tests say so and pass; with AIPROXY_BROWSER they
//! fail.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::{
    support::{
        Ask, Process, ProfileText, Server, Upstream, World, completion, json_response, response,
    },
    table::PROMPT,
};

const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
];

/// How long a browser may take for a page, on a machine with much else to do.
const LONG: Duration = Duration::from_secs(180);

/// The browser, if there is one.
fn chromium() -> Option<&'static str> {
    let found = PROGRAMS.into_iter().find(|program| {
        let said = std::process::Command::new(program)
            .arg("--version")
            .output();
        said.is_ok_and(|said| said.status.success())
    });
    if found.is_none() {
        assert!(
            std::env::var_os("AIPROXY_BROWSER").is_none(),
            "AIPROXY_BROWSER is set, and there is no Chromium"
        );
        println!("skipped: there is no Chromium");
    }
    found
}

/// Opens a page and does not wait for it. Names of `.example` lead to this machine.
fn open(world: &World, program: &str, more: &[&str], url: &str) -> Process {
    let mut command = world.command(program);
    let profile = world.path("browser");
    command
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-component-update",
            "--host-resolver-rules=MAP *.example 127.0.0.1, EXCLUDE localhost",
        ])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(more)
        .arg(url);
    Process::start(command)
}

/// What the page tries. Each attempt ends with a word on what came of it; what was read is told as it is.
const PAGE: &str = r#"<!doctype html>
<title>attacker</title>
<body>
<script>
const target = "TARGET";
const chat = JSON.stringify({model: "m1", messages: [{role: "user", content: "spend"}]});
const results = {};

function attempt(name, run, patience = 30000) {
  const late = new Promise(done => setTimeout(() => done("silence"), patience));
  return Promise.race([run().catch(error => "refused: " + error.name), late])
    .then(said => { results[name] = said; });
}

const paths = ["/", "/v1/models", "/up/v1/models", "/plain/any", "/v1/responses/STORED", "/_aiproxy/health", "/_aiproxy/events",
  "/_aiproxy/exchanges", "/_aiproxy/exchanges/EXCHANGE", "/_aiproxy/metrics", "/_aiproxy/ui"];
const all = [];

for (const path of paths) {
  for (const mode of ["cors", "no-cors"]) {
    for (const credentials of ["omit", "include"]) {
      all.push(attempt(`read ${path} ${mode} ${credentials}`, async () => {
        const answer = await fetch(target + path, {mode, credentials});
        return `${answer.type}: ${path.includes("events") ? answer.status : await answer.text()}`;
      }));
    }
  }
}

for (const [kind, type, body] of [
  ["json", "application/json", chat],
  ["text", "text/plain", chat],
  ["none", "", chat],
  ["form", "application/x-www-form-urlencoded", new URLSearchParams({model: "m1", prompt: "spend"})],
  ["multipart", undefined, (() => { const data = new FormData(); data.append("model", "m1"); return data; })()],
]) {
  for (const path of ["/v1/chat/completions", "/up/v1/chat/completions", "/plain/any"]) {
    for (const mode of ["cors", "no-cors"]) {
      all.push(attempt(`spend ${kind} ${path} ${mode}`, async () => {
        const headers = type === undefined ? {} : {"content-type": type};
        const answer = await fetch(target + path, {method: "POST", mode, headers, body});
        return `${answer.type}: ${await answer.text()}`;
      }));
    }
  }
}

for (const method of ["PUT", "PATCH", "DELETE"]) {
  all.push(attempt(`method ${method}`, async () => {
    const answer = await fetch(target + "/plain/any", {method, body: chat});
    return `${answer.type}: ${await answer.text()}`;
  }));
}

all.push(attempt("beacon", async () =>
  navigator.sendBeacon(target + "/plain/any", new Blob([chat], {type: "text/plain"})) ? "sent" : "not sent"));

all.push(attempt("events", () => new Promise(done => {
  const source = new EventSource(target + "/_aiproxy/events?raw=1&bodies=1");
  source.onopen = () => done("opened");
  source.onmessage = event => done("opened: " + event.data);
  source.onerror = () => { source.close(); done("refused: error"); };
})));

for (const path of ["/_aiproxy/events", "/up/v1/chat/completions", "/plain/any"]) {
  all.push(attempt("socket " + path, () => new Promise(done => {
    const socket = new WebSocket(target.replace("http:", "ws:") + path);
    socket.onopen = () => { socket.send(chat); done("opened"); };
    socket.onerror = () => done("refused: error");
  })));
}

function element(name, make) {
  all.push(attempt("element " + name, () => new Promise(done => {
    const made = make();
    made.onload = () => {
      let told = "";
      try { told = made.contentDocument ? made.contentDocument.documentElement.outerHTML : ""; } catch { told = ""; }
      done("loaded: " + told);
    };
    made.onerror = () => done("refused: error");
    document.body.append(made);
  }), 4000)); // Some of them never say how it went.
}

for (const path of ["/v1/models", "/plain/any", "/_aiproxy/exchanges", "/_aiproxy/ui"]) {
  for (const [tag, name] of [["img", "src"], ["script", "src"], ["iframe", "src"], ["embed", "src"], ["object", "data"], ["video", "src"]]) {
    element(`${tag} ${path}`, () => Object.assign(document.createElement(tag), {[name]: target + path}));
  }
  element("style " + path, () => Object.assign(document.createElement("link"), {rel: "stylesheet", href: target + path}));
}

for (const enctype of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
  for (const path of ["/v1/chat/completions", "/up/v1/chat/completions", "/plain/any"]) {
    element(`form ${enctype} ${path}`, () => {
      const frame = document.createElement("iframe");
      frame.name = enctype + path;
      const form = Object.assign(document.createElement("form"), {method: "post", action: target + path, enctype, target: frame.name});
      // The oldest trick: JSON whose last value swallows the form's equals sign.
      const field = Object.assign(document.createElement("input"), {name: chat.slice(0, -1) + ',"x":"', value: '"}'});
      form.append(field);
      document.body.append(frame, form);
      setTimeout(() => form.submit(), 0);
      return frame;
    });
  }
}

Promise.all(all).then(() => fetch("/report", {method: "POST", body: JSON.stringify(results)}));
</script>
"#;

/// The origin of the attacker's page, and what the page reports.
struct Origin {
    server: Upstream,
    reports: mpsc::UnboundedReceiver<Value>,
}

impl Origin {
    async fn serving(page: Arc<Mutex<String>>) -> Origin {
        let (tell, reports) = mpsc::unbounded_channel();
        let server = Upstream::playing(move |mut call| {
            let (page, tell) = (Arc::clone(&page), tell.clone());
            async move {
                let answer = match call.target().as_str() {
                    "GET /" => {
                        let page = page.lock().unwrap().clone();
                        response(200, &[("content-type", "text/html; charset=utf-8")], page)
                    }
                    "POST /report" => {
                        let _ = tell.send(call.json());
                        response(204, &[], "")
                    }
                    _ => response(404, &[], ""),
                };
                call.write(answer).await;
                call.finish().await;
            }
        })
        .await;
        Origin { server, reports }
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}", self.server.address.port())
    }
}

/// A server that remembers a prompt, its upstream, and where the prompt is.
struct Target {
    server: Server,
    upstream: Upstream,
    exchange: String,
    stored: String,
}

impl Target {
    async fn start(args: &[&str]) -> Target {
        let upstream = Upstream::answering(json_response(200, completion("ok"))).await;
        let plain = ProfileText::default()
            .line("upstream", format!("url = \"http://{}\"", upstream.address));
        let own = ProfileText::openai(&upstream)
            .line("ai-proxy.model", "provider = \"llama2\"")
            .line("ai-proxy.model.options", "llama2_format = \"openai\"");
        let server = Server::setup()
            .profile("up", &ProfileText::openai(&upstream))
            .profile("plain", &plain)
            .profile("own", &own)
            .args(args.iter().copied())
            .start();
        let input = format!(r#"{{"model":"m1","input":"{PROMPT}","store":true}}"#);
        let reply = Ask::post("/own/v1/responses", input).whole(&server).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        Target {
            exchange: reply.headers.get("x-aiproxy-exchange").unwrap().to_owned(),
            stored: reply.json()["id"].as_str().unwrap().to_owned(),
            server,
            upstream,
        }
    }

    fn page(&self, host: &str) -> String {
        let port = self.server.address.port();
        PAGE.replace("TARGET", &format!("http://{host}:{port}"))
            .replace("EXCHANGE", &self.exchange)
            .replace("STORED", &self.stored)
    }
}

/// What the page of `origin` got of the server under the name `host`.
async fn attacked(
    program: &str,
    target: &Target,
    origin: &mut Origin,
    page: &Mutex<String>,
    hosts: (&str, &str),
) -> Value {
    let (own, host) = hosts;
    *page.lock().unwrap() = target.page(host);
    let world = World::new();
    let browser = open(&world, program, &[], &origin.url(own));
    let wait = tokio::time::timeout(LONG, origin.reports.recv());
    let Ok(Some(report)) = wait.await else {
        panic!("the page reports nothing: {}", browser.stderr());
    };
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_on_another_origin_reads_nothing_and_spends_nothing() {
    let Some(program) = chromium() else { return };
    let page = Arc::default();
    let mut origin = Origin::serving(Arc::clone(&page)).await;
    let target = Target::start(&[]).await;
    let calls = target.upstream.seen().len();
    // Another port of the same host, another name for it, another site, and names that are rebound to the server itself.
    for hosts in [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("evil.example", "localhost"),
        ("evil.example", "evil.example"),
    ] {
        let report = attacked(program, &target, &mut origin, &page, hosts).await;
        let results = report.as_object().unwrap();
        assert!(results.len() > 100, "{report}");
        for (name, said) in results {
            let said = said.as_str().unwrap();
            let opaque = matches!(
                said,
                "opaque: " | "opaque: 0" | "loaded: " | "silence" | "sent"
            );
            // An empty frame is what an error page of the browser's own looks like.
            let blank = said.starts_with("loaded: <html>") && said.len() < 60;
            assert!(
                said.starts_with("refused: ") || opaque || blank,
                "{hosts:?}: {name}: {said}"
            );
            let script = name.starts_with("element script");
            assert!(!script || !said.starts_with("loaded"), "{name}: {said}");
        }
        for name in [
            "events",
            "socket /_aiproxy/events",
            "read /_aiproxy/exchanges cors omit",
        ] {
            assert!(
                results[name].as_str().unwrap().starts_with("refused"),
                "{hosts:?}: {name}: {report}"
            );
        }
        assert!(!report.to_string().contains(PROMPT), "{report}");
    }
    let seen = target.upstream.seen();
    assert_eq!(seen.len(), calls, "{:?}", &seen[calls..]);
    target.server.is_healthy().await;
}

/// The page is no dud: where its origin is allowed, the same attempts get what they want.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_page_gets_all_of_it_where_its_origin_is_allowed() {
    let Some(program) = chromium() else { return };
    let page = Arc::default();
    let mut origin = Origin::serving(Arc::clone(&page)).await;
    let allowed = origin.url("127.0.0.1");
    let target = Target::start(&["--allow-origin", &allowed]).await;
    let calls = target.upstream.seen().len();
    let hosts = ("127.0.0.1", "127.0.0.1");
    let report = attacked(program, &target, &mut origin, &page, hosts).await;
    let said = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
    assert!(
        said("read /_aiproxy/exchanges cors omit").contains(PROMPT),
        "{report}"
    );
    assert_eq!(said("events"), "opened", "{report}");
    assert!(
        said("spend json /up/v1/chat/completions cors").starts_with("cors: {"),
        "{report}"
    );
    // What no answer can allow stays shut: pictures, frames, sockets.
    assert!(
        said("socket /_aiproxy/events").starts_with("refused"),
        "{report}"
    );
    assert!(
        !said("element script /v1/models").starts_with("loaded"),
        "{report}"
    );
    assert!(target.upstream.seen().len() > calls);
}

/// What a person's tab shows where a page sends it: `--dump-dom` prints it.
fn shown(program: &str, url: &str) -> String {
    let world = World::new();
    let more = ["--dump-dom", "--timeout=10000"];
    let process = open(&world, program, &more, url);
    let deadline = Instant::now() + LONG;
    while !process.stdout().contains("</html>") {
        assert!(Instant::now() < deadline, "{url}: {}", process.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    process.stdout()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_led_to_the_server_shows_nothing_of_it() {
    let Some(program) = chromium() else { return };
    let page = Arc::<Mutex<String>>::default();
    let origin = Origin::serving(Arc::clone(&page)).await;
    let target = Target::start(&[]).await;
    let port = target.server.address.port();
    let calls = target.upstream.seen().len();
    for path in ["/_aiproxy/exchanges", "/plain/any", "/v1/models"] {
        // Rebound: the tab is at the attacker's name, and so would be its script.
        let dom = shown(program, &format!("http://evil.example:{port}{path}"));
        assert!(dom.contains("is not this proxy"), "{path}: {dom}");
        assert!(!dom.contains(PROMPT), "{path}: {dom}");
        // Navigated: the page leaves, the answer comes to its tab.
        *page.lock().unwrap() =
            format!("<script>location = \"http://127.0.0.1:{port}{path}\"</script>");
        for own in ["localhost", "127.0.0.1"] {
            let dom = shown(program, &origin.url(own));
            assert!(
                dom.contains("may not use this proxy"),
                "{own} {path}: {dom}"
            );
            assert!(!dom.contains(PROMPT), "{own} {path}: {dom}");
        }
    }
    // Typed by a person, it is there: the refusals above are not the browser's.
    let dom = shown(
        program,
        &format!("http://127.0.0.1:{port}/_aiproxy/exchanges"),
    );
    assert!(dom.contains(PROMPT), "{dom}");
    let seen = target.upstream.seen();
    assert_eq!(seen.len(), calls, "{:?}", &seen[calls..]);
}

/// A page that an upstream wrote has the server's origin, but no scripts: it cannot read what the server remembers.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_an_upstreams_is_no_page_of_the_servers() {
    let Some(program) = chromium() else { return };
    let html = "<!doctype html><title>t</title><p id=p>written</p><script>document.getElementById('p').textContent = 'ran'; fetch('/_aiproxy/exchanges').then(a => a.text()).then(t => document.body.append(t))</script>";
    let upstream = Upstream::answering(response(200, &[("content-type", "text/html")], html)).await;
    let plain =
        ProfileText::default().line("upstream", format!("url = \"http://{}\"", upstream.address));
    let server = Server::setup().profile("plain", &plain).start();
    let dom = shown(program, &format!("{}/plain/page", server.url()));
    assert!(dom.contains(">written<"), "{dom}");
    // Straight from the upstream it runs.
    let dom = shown(program, &format!("http://{}/", upstream.address));
    assert!(dom.contains(">ran<"), "{dom}");
}
