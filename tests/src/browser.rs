//! A page in a real browser: its content, its console, its mouse and its keyboard.
//!
//! The harness speaks the DevTools protocol over two pipes instead of a socket, so that no port
//! must be found. Messages are JSON terminated by a zero byte. The browser uses file descriptors 3
//! and 4, which a shell sets up.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

use crate::eventually::PATIENCE;

/// `exec` replaces the shell, so that the process to kill is the browser.
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
    // Without this flag a helper process briefly outlives the browser and recreates its profile.
    "--enable-features=NetworkServiceInProcess2",
    "--remote-debugging-pipe",
];

const LOADED: &str = "new Promise(done => {
    document.readyState == 'complete' ? done() : addEventListener('load', () => done())
})";

/// Events that a correct page never causes. The log holds what the browser itself writes to the
/// console, such as violations of a content security policy.
const COMPLAINTS: [&str; 3] = [
    "Runtime.exceptionThrown",
    "Runtime.consoleAPICalled",
    "Log.entryAdded",
];

/// Keys with their codes and the text that they type.
const KEYS: [(&str, u32, &str); 5] = [
    ("Tab", 9, ""),
    ("Enter", 13, "\r"),
    ("Escape", 27, ""),
    ("ArrowUp", 38, ""),
    ("ArrowDown", 40, ""),
];

/// A browser with one page. Dropping it kills the process and removes its profile.
pub struct Browser {
    process: Child,
    profile: TempDir,
    commands: Sender,
    messages: BufReader<Receiver>,
    /// The session id of commands to the page. The first commands go to the browser and have none.
    session: Option<Value>,
    sent: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts a browser and opens `url`.
    ///
    /// # Panics
    ///
    /// Panics if there is no browser, with the command that installs one, or no page.
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
            // Files that it leaves behind when killed are then removed with the profile.
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

    /// Evaluates an expression in the page. A promise is awaited.
    ///
    /// # Panics
    ///
    /// Panics if the expression throws.
    pub async fn value(&mut self, expression: &str) -> Value {
        let what = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", what).await;
        let thrown = &answer["exceptionDetails"];
        assert!(thrown.is_null(), "{expression}: {thrown}");
        answer["result"]["value"].take()
    }

    /// The visible text of each element that matches a selector.
    pub async fn texts(&mut self, selector: &str) -> Vec<String> {
        let found = format!("[...document.querySelectorAll({})]", json!(selector));
        let texts = self.value(&format!("{found}.map(e => e.innerText)")).await;
        serde_json::from_value(texts).expect("texts")
    }

    /// Clicks the centre of the first element that matches a selector.
    ///
    /// # Panics
    ///
    /// Panics if there is none, or if a mouse cannot reach it.
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

    /// Presses a key, one of those in [`KEYS`].
    ///
    /// # Panics
    ///
    /// Panics if the key is not among them.
    pub async fn press(&mut self, name: &str) {
        let key = KEYS.iter().find(|(key, ..)| *key == name);
        let (key, code, text) = key.expect("a known key");
        let code = json!({"key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
        for kind in ["keyDown", "keyUp"] {
            let mut event = code.clone();
            event["type"] = json!(kind);
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Types text into the element with the focus.
    pub async fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// The role and the name of each element, as a screen reader gets them.
    pub async fn accessible(&mut self) -> Vec<(String, String)> {
        let mut tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let nodes: Vec<Value> = serde_json::from_value(tree["nodes"].take()).expect("nodes");
        let nodes = nodes.iter().filter(|node| node["ignored"] == false);
        let text = |value: &Value| value["value"].as_str().unwrap_or_default().to_owned();
        nodes
            .map(|node| (text(&node["role"]), text(&node["name"])))
            .collect()
    }

    /// Sets the width of the page in pixels and the preferred colour scheme, `light` or `dark`.
    pub async fn look(&mut self, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        self.prefer("prefers-color-scheme", scheme).await;
    }

    /// Sets one media feature of a user's preferences.
    pub async fn prefer(&mut self, feature: &str, value: &str) {
        let media = json!({"features": [{"name": feature, "value": value}]});
        self.call("Emulation.setEmulatedMedia", media).await;
    }

    /// A picture of the whole page in PNG.
    ///
    /// # Panics
    ///
    /// Panics if the browser draws none.
    pub async fn picture(&mut self) -> Vec<u8> {
        let how = json!({"format": "png", "captureBeyondViewport": true});
        let drawn = self.call("Page.captureScreenshot", how).await;
        let data = drawn["data"].as_str().expect("a picture");
        STANDARD.decode(data).expect("base64")
    }

    /// The console messages and uncaught exceptions so far.
    pub async fn complaints(&mut self) -> &[String] {
        // Everything sent before this reply has been read by then.
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
