//! The arguments of `host-sim request` as a plugin test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf, absolute};

use serde_json::Value;

use super::arguments::Arguments;
use crate::command::Failure;
use crate::scenario::error::deserialize;
use crate::scenario::file::PluginFile;
use crate::trial::file::{Answer, File, Mock, Pairs, Step};

/// Puts the arguments into a file, whose paths are relative to `folder`.
pub(super) fn apply(arguments: &Arguments, file: &mut File, folder: &Path) -> Result<(), Failure> {
    if arguments.method.is_none() {
        of_a_request(arguments)?;
    }
    plugins(arguments, file, folder)?;
    let environment = pairs("--env", &arguments.environment)?;
    for plugin in &mut file.plugins {
        plugin.environment.extend(environment.clone());
        plugin.fuel = arguments.fuel.or(plugin.fuel);
    }
    file.workers = arguments.workers.or(file.workers);
    file.seed = arguments.seed.or(file.seed);
    let limit = arguments.per_connection_buffer_limit_bytes;
    file.per_connection_buffer_limit_bytes = limit.or(file.per_connection_buffer_limit_bytes);
    file.log_level = arguments.log_level.or(file.log_level);
    file.start = arguments.start.clone().or(file.start.take());
    file.stubs.extend(pairs("--stub", &arguments.stubs)?);
    let properties = pairs("--property", &arguments.properties)?;
    let typed = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    let properties = properties
        .into_iter()
        .map(|(name, text)| (name, typed(text)));
    file.properties.extend(properties);
    let mut mocks = mocks(arguments, folder)?;
    mocks.append(&mut file.mocks);
    file.mocks = mocks;
    match (&arguments.method, &arguments.path) {
        (None, _) if !file.requests.is_empty() => Ok(()),
        (None, _) => Err(Failure::Usage(
            "needs METHOD and PATH, such as GET /, or a file with --from".into(),
        )),
        (Some(path), None) => {
            file.requests = vec![step(arguments, None, path, folder)];
            Ok(())
        }
        (Some(method), Some(path)) => {
            file.requests = vec![step(arguments, Some(method), path, folder)];
            Ok(())
        }
    }
}

/// Refuses the options of a request, since the command line has none.
fn of_a_request(arguments: &Arguments) -> Result<(), Failure> {
    let given = [
        ("--header", !arguments.headers.is_empty()),
        ("--body", arguments.body.is_some()),
        ("--chunks", arguments.chunks.is_some()),
        ("--trailer", !arguments.trailers.is_empty()),
        ("--wait", arguments.wait.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Failure::Usage(format!("{option} needs METHOD and PATH"))),
        None => Ok(()),
    }
}

/// Sets the module and the configuration of each plugin. Its other settings stay.
fn plugins(arguments: &Arguments, file: &mut File, folder: &Path) -> Result<(), Failure> {
    let (modules, configs) = (&arguments.module, &arguments.config);
    if file.plugins.is_empty() {
        file.plugins.push(file.plugin.take().unwrap_or_default());
    }
    let (given, count) = (modules.len(), file.plugins.len());
    if count > 1 && given > 0 && given != count {
        let text = format!(
            "--module or SPILLWAY_WASM is given {given} times, but the file has {count} plugins"
        );
        return Err(Failure::Usage(text));
    }
    if !modules.is_empty() {
        file.plugins.resize_with(modules.len(), PluginFile::default);
    }
    let count = file.plugins.len();
    if !configs.is_empty() && configs.len() != count {
        let given = configs.len();
        let text =
            format!("--config is given {given} times, allowed once for each of {count} modules");
        return Err(Failure::Usage(text));
    }
    for (plugin, module) in file.plugins.iter_mut().zip(modules) {
        plugin.module = Some(relative(module, folder));
    }
    for (plugin, config) in file.plugins.iter_mut().zip(configs) {
        let name = format!("@{}", relative(config, folder));
        plugin.configuration = Some(Value::String(name));
    }
    Ok(())
}

/// Returns a path of the command line as one that is relative to the file's folder.
fn relative(path: &Path, folder: &Path) -> String {
    let path = match folder.as_os_str().is_empty() {
        true => path.to_owned(),
        false => absolute(path).unwrap_or_else(|_| PathBuf::from(path)),
    };
    path.display().to_string()
}

/// The same for a text that may name a file.
fn text(text: &str, folder: &Path) -> Value {
    Value::String(match text.strip_prefix('@') {
        Some(name) => format!("@{}", relative(Path::new(name), folder)),
        None => text.to_owned(),
    })
}

fn step(arguments: &Arguments, method: Option<&String>, path: &str, folder: &Path) -> Step {
    Step {
        wait: arguments.wait.unwrap_or_default(),
        method: method.cloned(),
        path: Some(path.to_owned()),
        headers: Pairs::InOrder(arguments.headers.clone()),
        body: arguments.body.as_deref().map(|it| text(it, folder)),
        chunks: arguments.chunks,
        trailers: Pairs::InOrder(arguments.trailers.clone()),
        ..Step::default()
    }
}

fn pairs(argument: &str, texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Failure::Usage(format!("{argument} is {text:?}, allowed NAME=VALUE")))
    };
    texts.iter().map(pair).collect()
}

fn mocks(arguments: &Arguments, folder: &Path) -> Result<Vec<Mock>, Failure> {
    let mut mocks = Vec::new();
    for given in &arguments.mocks {
        mocks.push(mock(given, folder)?);
    }
    if let Some(given) = &arguments.upstream {
        mocks.push(Mock {
            answer: answer("--upstream", given, folder)?,
            ..Mock::default()
        });
    }
    Ok(mocks)
}

/// Reads `CLUSTER/PATH#CALL=ANSWER`. The path and the number may be missing.
fn mock(given: &str, folder: &Path) -> Result<Mock, Failure> {
    let wrong = || Failure::Usage(format!("--mock is {given:?}, allowed CLUSTER=ANSWER"));
    // A query and a body have a = of their own.
    let at = given.find("={").or_else(|| given.rfind('='));
    let (target, given) = given.split_at(at.ok_or_else(wrong)?);
    let given = given.strip_prefix('=').unwrap_or(given);
    let (target, call) = match target.rsplit_once('#') {
        None => (target, None),
        Some((target, call)) => (target, Some(call.parse().map_err(|_| wrong())?)),
    };
    let (cluster, path) = match target.find('/') {
        None => (target, None),
        Some(at) => {
            let (cluster, path) = target.split_at(at);
            (cluster, Some(path.to_owned()))
        }
    };
    if cluster.is_empty() {
        return Err(wrong());
    }
    Ok(Mock {
        cluster: Some(cluster.to_owned()),
        path,
        call,
        answer: answer("--mock", given, folder)?,
    })
}

/// Reads a status, or the fields of an answer.
fn answer(argument: &str, given: &str, folder: &Path) -> Result<Answer, Failure> {
    if let Ok(status) = given.parse() {
        return Ok(Answer {
            status: Some(status),
            ..Answer::default()
        });
    }
    let wrong = |what: String| {
        let example = "allowed a status, or fields such as {status: 200, body: text}";
        Failure::Usage(format!("{argument} is {given:?}: {what}, {example}"))
    };
    if given.trim().is_empty() {
        return Err(wrong("has no answer".into()));
    }
    let mut answer = deserialize::<Answer>(given).map_err(|it| wrong(it.what))?;
    for value in answer.body.iter_mut().chain(&mut answer.messages) {
        if let Value::String(given) = value {
            *value = text(given, folder);
        }
    }
    Ok(answer)
}
