//! The tape: everything a guest does, in order.
//!
//! It is off unless [`Setup::tape`](crate::proxy::Setup::tape) turns it on, since it keeps every
//! hostcall with its arguments.

use super::counts::Callback;
use super::log::LogLevel;
use crate::sim::clock::Time;

/// An event of a guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taped {
    pub at: Time,
    /// The worker thread. `None` for the main thread.
    pub worker: Option<usize>,
    pub event: TapeEvent,
}

/// What a guest did, or what was done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TapeEvent {
    /// The host calls a function of the guest.
    Called {
        callback: Callback,
        arguments: Vec<(&'static str, u32)>,
    },
    /// The function has returned. `None` if it trapped.
    Returned {
        callback: Callback,
        result: Option<String>,
    },
    /// The guest has called a function of the host.
    Hostcall(TapedHostcall),
    Logged {
        level: LogLevel,
        text: String,
    },
}

/// A hostcall that has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapedHostcall {
    pub name: &'static str,
    pub arguments: Vec<(&'static str, String)>,
    pub results: Vec<(&'static str, String)>,
    /// Status of the ABI, or an error number of WASI.
    pub status: i32,
}

/// Arguments or results of a callback.
pub(crate) trait Words {
    /// Returns them as a list.
    fn words(&self) -> Vec<u32>;
}

impl Words for () {
    fn words(&self) -> Vec<u32> {
        Vec::new()
    }
}

impl Words for u32 {
    fn words(&self) -> Vec<u32> {
        vec![*self]
    }
}

impl Words for (u32, u32) {
    fn words(&self) -> Vec<u32> {
        vec![self.0, self.1]
    }
}

impl Words for (u32, u32, u32) {
    fn words(&self) -> Vec<u32> {
        vec![self.0, self.1, self.2]
    }
}

impl Words for (u32, u32, u32, u32, u32) {
    fn words(&self) -> Vec<u32> {
        vec![self.0, self.1, self.2, self.3, self.4]
    }
}

impl TapeEvent {
    /// Returns the event of a callback with its arguments.
    pub(crate) fn called(callback: Callback, arguments: &impl Words) -> TapeEvent {
        let names = argument_names(callback).iter().copied();
        TapeEvent::Called {
            callback,
            arguments: names.zip(arguments.words()).collect(),
        }
    }

    /// Returns the event of a callback's return. `result` is `None` if it trapped.
    pub(crate) fn returned(callback: Callback, result: Option<&impl Words>) -> TapeEvent {
        let named = |words: Vec<u32>| {
            let word = words.first().copied();
            word.map_or(String::new(), |word| result_name(callback, word))
        };
        TapeEvent::Returned {
            callback,
            result: result.map(|it| named(it.words())),
        }
    }
}

fn argument_names(callback: Callback) -> &'static [&'static str] {
    match callback {
        Callback::Initialize | Callback::Start => &[],
        Callback::Main => &["argc", "argv"],
        Callback::ContextCreate => &["context", "root"],
        Callback::VmStart | Callback::Configure => &["context", "configuration_size"],
        Callback::QueueReady => &["context", "queue"],
        Callback::RequestHeaders | Callback::ResponseHeaders => {
            &["context", "headers", "end_of_stream"]
        }
        Callback::RequestBody | Callback::ResponseBody => &["context", "size", "end_of_stream"],
        Callback::RequestTrailers | Callback::ResponseTrailers => &["context", "trailers"],
        Callback::HttpCallResponse => &["context", "token", "headers", "body_size", "trailers"],
        Callback::GrpcReceiveInitialMetadata => &["context", "token", "headers"],
        Callback::GrpcReceive => &["context", "token", "size"],
        Callback::GrpcReceiveTrailingMetadata => &["context", "token", "trailers"],
        Callback::GrpcClose => &["context", "token", "status"],
        Callback::Tick | Callback::Done | Callback::Log | Callback::Delete => &["context"],
    }
}

fn result_name(callback: Callback, word: u32) -> String {
    let is_truth = matches!(
        callback,
        Callback::VmStart | Callback::Configure | Callback::Done
    );
    match (is_truth, callback, word) {
        (true, _, 0) => "false".into(),
        (true, ..) => "true".into(),
        (false, Callback::Main, word) => word.to_string(),
        (false, _, 0) => "continue".into(),
        (false, _, 1) => "pause".into(),
        (false, _, word) => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_callback_has_a_name_for_each_argument() {
        let longest = (1, 2, 3, 4, 5);
        for callback in Callback::ALL {
            let TapeEvent::Called { arguments, .. } = TapeEvent::called(callback, &longest) else {
                panic!("{callback:?}");
            };
            let is_bare = matches!(callback, Callback::Initialize | Callback::Start);
            assert_eq!(arguments.is_empty(), is_bare, "{callback:?}");
        }
    }

    #[test]
    fn a_return_value_is_named_by_its_callback() {
        for (callback, word, name) in [
            (Callback::Configure, 0, "false"),
            (Callback::RequestHeaders, 0, "continue"),
            (Callback::ResponseBody, 1, "pause"),
            (Callback::RequestBody, 2, "2"),
        ] {
            let result = Some(name.to_owned());
            let expected = TapeEvent::Returned { callback, result };
            assert_eq!(TapeEvent::returned(callback, Some(&word)), expected);
        }
        let trapped = TapeEvent::returned(Callback::Tick, None::<&u32>);
        assert!(matches!(trapped, TapeEvent::Returned { result: None, .. }));
    }
}
