//! A plugin test as text: everything that happened, in order, and then the messages.

pub mod json;

use std::fmt::Write;

use super::text::{Hue, Paint};
use crate::headers::HeaderMap;
use crate::proxy::{LogLevel, Status, TapedHostcall};
use crate::trial::transcript::{
    Callout, Client, Entry, Inside, Message, StepTranscript, Transcript, What,
};

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub struct Detail {
    /// Whether hostcalls are shown.
    pub hostcalls: bool,
    pub paint: Paint,
}

/// Returns a transcript as text.
pub fn text(transcript: &Transcript, detail: Detail) -> String {
    let mut page = Page {
        text: String::new(),
        plugins: &transcript.plugins,
        detail,
    };
    if !transcript.start.is_empty() {
        page.title("start");
        page.entries(&transcript.start, &[]);
    }
    for step in &transcript.steps {
        page.step(step);
    }
    if let Some(ending) = &transcript.ending {
        page.title("ended early");
        page.line(1, &detail.paint.hue(Hue::Bad, &ending.to_string()));
    }
    page.text
}

struct Page<'a> {
    text: String,
    plugins: &'a [String],
    detail: Detail,
}

impl Page<'_> {
    fn title(&mut self, title: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        let title = self.detail.paint.bold(title);
        self.line(0, &title);
    }

    fn line(&mut self, depth: usize, text: &str) {
        // Writing to a string cannot fail.
        for line in text.lines() {
            let _ = writeln!(self.text, "{:width$}{line}", "", width = depth * 2);
        }
    }

    fn step(&mut self, step: &StepTranscript) {
        let what = match &step.request {
            Some(request) => target(&request.headers),
            None => "no request".into(),
        };
        match &step.name {
            Some(name) => self.title(&format!("{what}  ({name})")),
            None => self.title(&what),
        }
        self.entries(&step.entries, &step.callouts);
        for callout in &step.callouts {
            self.callout(callout);
        }
        for message in &step.upstream {
            self.title("upstream got");
            self.message(&target(&message.headers), message);
        }
        if step.request.is_some() {
            self.client(&step.client);
        }
        if !step.metrics.is_empty() {
            self.title("metrics");
            for (name, value) in &step.metrics {
                self.line(1, &format!("{name} {value}"));
            }
        }
    }

    fn entries(&mut self, entries: &[Entry], callouts: &[Callout]) {
        for entry in entries {
            let at = self.detail.paint.hue(Hue::Faint, &entry.at.to_string());
            let text = self.what(&entry.what, callouts);
            self.line(1, &format!("{at}  {text}"));
            if let What::Callback { inside, .. } = &entry.what {
                inside.iter().for_each(|it| self.inside(it));
            }
        }
    }

    fn what(&self, what: &What, callouts: &[Callout]) -> String {
        match what {
            What::Callback {
                plugin,
                callback,
                arguments,
                result,
                ..
            } => {
                let arguments = arguments.iter().map(|(name, word)| match *name {
                    "end_of_stream" => format!("{name}={}", *word != 0),
                    name => format!("{name}={word}"),
                });
                let arguments: Vec<_> = arguments.collect();
                let result = match result.as_deref() {
                    Some("") => String::new(),
                    Some(result) => format!(" -> {result}"),
                    None => self.detail.paint.hue(Hue::Bad, " -> trap"),
                };
                let (plugin, name) = (self.plugin(*plugin), callback.name());
                format!("{plugin}{name}({}){result}", arguments.join(", "))
            }
            What::Line {
                plugin,
                level,
                text,
            } => format!("{}{}", self.plugin(*plugin), self.log(*level, text)),
            What::Configured { plugin, refused } => {
                let plugin = self.plugin(*plugin);
                match refused {
                    None => format!("{plugin}new configuration accepted"),
                    Some(why) => format!("{plugin}new configuration refused: {why}"),
                }
            }
            What::Upstream => "-> upstream".into(),
            What::UpstreamAnswer(answer) => format!("<- upstream: {answer}"),
            What::Callout(at) => match callouts.get(*at) {
                Some(it) => format!("-> {}: {}", it.cluster, target(&it.request.headers)),
                None => "-> call".into(),
            },
            What::CalloutAnswer { cluster, answer } => format!("<- {cluster}: {answer}"),
            What::ClientDone(what) => format!("<- client: {what}"),
        }
    }

    /// The name of a plugin, if there are several. Its place tells plugins of one name apart.
    fn plugin(&self, at: usize) -> String {
        let Some(name) = self.plugins.get(at).filter(|_| self.plugins.len() > 1) else {
            return String::new();
        };
        match self.plugins.iter().filter(|other| *other == name).count() {
            1 => format!("{name}: "),
            _ => format!("{name} {}: ", at + 1),
        }
    }

    fn inside(&mut self, inside: &Inside) {
        match inside {
            Inside::Line { level, text } => {
                let text = self.log(*level, text);
                self.line(6, &text);
            }
            Inside::Hostcall(call) if self.detail.hostcalls && call.name != "proxy_log" => {
                let text = self.detail.paint.hue(Hue::Faint, &hostcall(call));
                self.line(6, &text);
            }
            Inside::Hostcall(_) => {}
        }
    }

    fn log(&self, level: LogLevel, text: &str) -> String {
        let hue = match level {
            LogLevel::Trace | LogLevel::Debug => Hue::Faint,
            LogLevel::Info => Hue::Calm,
            LogLevel::Warn => Hue::Warn,
            LogLevel::Error | LogLevel::Critical => Hue::Bad,
        };
        let name = self.detail.paint.hue(hue, level.name());
        format!("[{name}] {}", readable(text.trim_end().as_bytes()))
    }

    fn callout(&mut self, callout: &Callout) {
        self.title(&format!("{} got", callout.cluster));
        self.message(&target(&callout.request.headers), &callout.request);
        let answer = callout.answer.as_deref().unwrap_or("nothing so far");
        self.line(1, &format!("answered: {answer}"));
        if let Some(response) = &callout.response {
            self.fields(response);
        }
    }

    fn client(&mut self, client: &Client) {
        self.title("client got");
        if let Some(response) = &client.response {
            let status = response.headers.text(":status").unwrap_or_default();
            self.message(&format!("{status}{}", details(client)), response);
        }
        if client.reset {
            let reset = self.detail.paint.hue(Hue::Bad, "reset");
            self.line(1, &format!("{reset}{}", details(client)));
        }
    }

    fn message(&mut self, first: &str, message: &Message) {
        self.line(1, first);
        self.fields(message);
    }

    fn fields(&mut self, message: &Message) {
        self.headers(&message.headers);
        if !message.body.is_empty() {
            self.text.push('\n');
            self.line(1, &readable(&message.body));
        }
        if !message.trailers.is_empty() {
            self.text.push('\n');
            self.headers(&message.trailers);
        }
        if let Some(fault) = &message.fault {
            let (hue, word) = match fault.breaks() {
                true => (Hue::Bad, "broken"),
                false => (Hue::Warn, "warning"),
            };
            let text = self.detail.paint.hue(hue, &format!("{word}: {fault}"));
            self.line(1, &text);
        }
    }

    fn headers(&mut self, headers: &HeaderMap) {
        for (name, value) in headers.iter() {
            let shown = [":method", ":path", ":status"];
            if !shown.iter().any(|it| it.as_bytes() == name) {
                let (name, value) = (readable(name), readable(value));
                self.line(1, &format!("{name}: {value}"));
            }
        }
    }
}

/// Returns bytes as text in which no byte disturbs the terminal: control characters and what is no
/// UTF-8 are escaped.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for it in chunk.valid().chars() {
            match it.is_control() && !matches!(it, '\n' | '\t') {
                true => text.extend(it.escape_default()),
                false => text.push(it),
            }
        }
        let invalid = chunk.invalid().iter();
        text.extend(invalid.map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

fn hostcall(call: &TapedHostcall) -> String {
    let named = |(name, value): &(&str, String)| format!("{name}={value}");
    let arguments: Vec<_> = call.arguments.iter().map(named).collect();
    let results = call.results.iter().map(|it| format!(", {}", named(it)));
    let number = || call.status.to_string();
    let status = Status::name(call.status).map_or_else(number, Into::into);
    let (name, arguments) = (call.name, arguments.join(", "));
    format!(
        "{name}({arguments}) -> {status}{}",
        results.collect::<String>()
    )
}

fn details(client: &Client) -> String {
    match client.details.as_str() {
        "" => String::new(),
        details => format!("  ({details})"),
    }
}

fn target(headers: &HeaderMap) -> String {
    let [method, path] = [":method", ":path"].map(|it| headers.text(it).unwrap_or_default());
    format!("{method} {path}")
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn no_byte_disturbs_the_terminal() {
        for (bytes, expected) in [
            (&b"a\tb\nc"[..], "a\tb\nc"),
            (b"\0\0\x03ann", r"\u{0}\u{0}\u{3}ann"),
            (b"\x1b[31m\r", r"\u{1b}[31m\r"),
            ("\u{e9}\u{9b}".as_bytes(), "\u{e9}\\u{9b}"),
            (b"a\xff\xc3b", r"a\xff\xc3b"),
        ] {
            assert_eq!(readable(bytes), expected, "{bytes:?}");
        }
    }
}
