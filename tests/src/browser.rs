//! A page in a real browser: what it shows, what it complains of, and a mouse.
//!
//! The browser is spoken to by the DevTools protocol, over two pipes instead of a socket: there is
//! no port to find, and messages are JSON that a zero byte ends. The browser has them as the file
//! descriptors 3 and 4, which a shell sets up.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use crate::eventually::PATIENCE;

/// Replaces the shell, so that the process to kill is the browser.
const START: &str = r#"exec chromium "$@" 3<&0 4>&1 </dev/null >&2"#;

const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
    // Else a process of its own outlives the browser by a moment, and brings its profile back.
    "--enable-features=NetworkServiceInProcess2",
    "--remote-debugging-pipe",
];

const LOADED: &str = "new Promise(done => {
    document.readyState == 'complete' ? done() : addEventListener('load', () => done())
})";

/// Events that tell of something that a page without faults does not do. The log has what the
/// browser itself writes to the console, such as violations of a content security policy.
const COMPLAINTS: [&str; 3] = [
    "Runtime.exceptionThrown",
    "Runtime.consoleAPICalled",
    "Log.entryAdded",
];

/// A browser with one page. It is killed, and its profile removed, when dropped.
pub struct Browser {
    process: Child,
    profile: TempDir,
    commands: Sender,
    messages: BufReader<Receiver>,
    /// What commands to the page are marked with; the first ones are to the browser.
    session: Option<Value>,
    sent: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts a browser and goes to `url`.
    ///
    /// # Panics
    ///
    /// Where there is no browser, with what to do about it, or no page.
    pub async fn open(url: &str) -> Self {
        let mut browser = Self::start();
        let new = json!({"url": "about:blank"});
        let page = browser.call("Target.createTarget", new).await["targetId"].take();
        let attach = json!({"targetId": page, "flatten": true});
        let mut attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = Some(attached["sessionId"].take());
        for domain in ["Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        let gone = browser.call("Page.navigate", json!({"url": url})).await;
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        browser.value(LOADED).await;
        browser
    }

    fn start() -> Self {
        let profile = TempDir::with_prefix("spillway-").expect("a temporary folder");
        let log = File::create(profile.path().join("log")).expect("a log file");
        let mut process = Command::new("sh")
            .args(["-c", START, "sh"])
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // What it leaves behind when killed is then removed with the profile.
            .env("TMPDIR", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell runs");
        let commands = OwnedFd::from(process.stdin.take().expect("a pipe"));
        let messages = OwnedFd::from(process.stdout.take().expect("a pipe"));
        let messages = Receiver::from_owned_fd(messages).expect("a pipe to read");
        Self {
            process,
            profile,
            commands: Sender::from_owned_fd(commands).expect("a pipe to write"),
            messages: BufReader::new(messages),
            session: None,
            sent: 0,
            complaints: Vec::new(),
        }
    }

    /// The value of an expression in the page; of a promise, what it comes to.
    ///
    /// # Panics
    ///
    /// Where it throws.
    pub async fn value(&mut self, expression: &str) -> Value {
        let what = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", what).await;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].take()
    }

    /// What can be read in each element that a selector finds.
    pub async fn texts(&mut self, selector: &str) -> Vec<String> {
        let found = format!("[...document.querySelectorAll({})]", json!(selector));
        let texts = self.value(&format!("{found}.map(e => e.innerText)")).await;
        serde_json::from_value(texts).expect("texts")
    }

    /// Clicks in the middle of the first element that a selector finds.
    ///
    /// # Panics
    ///
    /// Where there is none, or it cannot be reached by a mouse.
    pub async fn click(&mut self, selector: &str) {
        let element = format!("document.querySelector({})", json!(selector));
        let point = format!(
            "(e => {{
                e.scrollIntoView({{block: 'center'}})
                const {{x, y, width, height}} = e.getBoundingClientRect()
                const point = {{x: x + width / 2, y: y + height / 2}}
                return document.elementFromPoint(point.x, point.y) == e ? point : null
            }})({element})"
        );
        let mut event = self.value(&point).await;
        assert!(event.is_object(), "{selector} is under something else");
        event["button"] = json!("left");
        event["clickCount"] = json!(1);
        for kind in ["mousePressed", "mouseReleased"] {
            event["type"] = json!(kind);
            self.call("Input.dispatchMouseEvent", event.clone()).await;
        }
    }

    /// Gives the page so many pixels of width, and a user who prefers `light` or `dark`.
    pub async fn look(&mut self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        for (what, how) in [("DeviceMetricsOverride", size), ("EmulatedMedia", media)] {
            self.call(&format!("Emulation.set{what}"), how).await;
        }
    }

    /// What stands in the console so far, and exceptions that nobody caught.
    pub async fn complaints(&mut self) -> &[String] {
        // All that came before this answer is then read.
        self.value("0").await;
        &self.complaints
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut command = json!({"id": self.sent, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = session.clone();
        }
        let command = format!("{command}\0");
        let written = self.commands.write_all(command.as_bytes()).await;
        written.unwrap_or_else(|_| self.ended());
        loop {
            let mut message = self.message().await;
            if message["id"] == self.sent {
                let error = &message["error"];
                assert!(error.is_null(), "{method}: {error}");
                return message["result"].take();
            }
            if COMPLAINTS.iter().any(|event| message["method"] == *event) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }

    async fn message(&mut self) -> Value {
        let mut bytes = Vec::new();
        let read = timeout(PATIENCE, self.messages.read_until(0, &mut bytes)).await;
        let read = read.expect("a message of the browser in time");
        if !matches!(read, Ok(1..)) || bytes.pop() != Some(0) {
            self.ended();
        }
        serde_json::from_slice(&bytes).expect("a message in JSON")
    }

    fn ended(&self) -> ! {
        let log = fs::read_to_string(self.profile.path().join("log")).unwrap_or_default();
        panic!("chromium does not run (on Debian: apt-get install chromium):\n{log}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _already_ended = self.process.kill();
        let _status = self.process.wait();
    }
}
