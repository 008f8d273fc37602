//! Changed files: the configuration and the module are read again.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::operators;
use super::site::Site;
use crate::proxy::{Module, Plugin};

/// How often files are looked at. A change counts once it is this old, so that no file is read
/// while it is written.
const INTERVAL: Duration = Duration::from_millis(200);

/// The files, and what they configure.
pub(super) struct Reloads {
    pub plugin: Plugin,
    pub module: PathBuf,
    pub configuration: Option<PathBuf>,
    pub site: Rc<Site>,
    pub operators: Option<Rc<Site>>,
}

/// A file that is looked at.
struct Watched {
    path: PathBuf,
    known: Option<Look>,
    last: Option<Look>,
}

/// What tells a changed file from an unchanged one.
type Look = (SystemTime, u64);

impl Watched {
    fn new(path: PathBuf) -> Watched {
        let known = look(&path);
        Watched {
            path,
            known,
            last: known,
        }
    }

    /// Returns whether the file has changed, and rests since. A missing file has not changed:
    /// editors remove a file before they write it anew.
    fn has_changed(&mut self) -> bool {
        let now = look(&self.path);
        let rests = now == std::mem::replace(&mut self.last, now);
        if now.is_none() || now == self.known || !rests {
            return false;
        }
        self.known = now;
        true
    }
}

fn look(path: &Path) -> Option<Look> {
    let data = fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

impl Reloads {
    /// Reloads whatever changes.
    pub(super) async fn run(mut self) {
        let mut module = Watched::new(self.module.clone());
        let mut configuration = self.configuration.clone().map(Watched::new);
        if let Some(watched) = &mut configuration
            && fs::read(&watched.path).is_ok_and(|now| now != self.plugin.configuration)
        {
            // It has changed since the start.
            watched.known = None;
        }
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let mut refused = false;
            if let Some(watched) = &mut configuration
                && watched.has_changed()
            {
                let read = fs::read(&watched.path);
                let done = self.configure(read);
                refused = done.is_err();
                report(&watched.path, done);
            }
            if module.has_changed() {
                let path = module.path.clone();
                let read = spawn_blocking(move || load(&path)).await;
                let read = read.unwrap_or_else(|error| Err(error.to_string()));
                let done = self.load(read);
                // The new module may accept what the old one refused.
                if refused
                    && done.is_ok()
                    && let Some(watched) = &mut configuration
                {
                    watched.known = None;
                }
                report(&module.path, done);
            }
        }
    }

    /// Updates the configuration.
    fn configure(&mut self, read: io::Result<Vec<u8>>) -> Result<(), String> {
        let configuration = read.map_err(|error| format!("cannot be read: {error}"))?;
        let listener = self.site.listener.get();
        let updated = self.site.engine.enter(|host| {
            host.forget_tried(listener);
            host.update_on(listener, configuration.clone())
        });
        updated.map_err(|error| error.to_string())?;
        self.plugin.configuration = configuration;
        Ok(())
    }

    /// Replaces the module.
    fn load(&mut self, read: Result<Module, String>) -> Result<(), String> {
        let module = read?;
        let plugin = Plugin {
            module: module.clone(),
            ..self.plugin.clone()
        };
        let old = self.site.listener.get();
        let replaced = self.site.engine.enter(|host| host.replace(old, plugin));
        self.site
            .listener
            .set(replaced.map_err(|it| it.to_string())?);
        if let Some(site) = &self.operators {
            let (old, plugin) = (site.listener.get(), &self.plugin);
            let new = site
                .engine
                .enter(|host| operators::reload(host, old, plugin, module.clone()));
            site.listener.set(new);
        }
        self.plugin.module = module;
        Ok(())
    }
}

fn load(path: &Path) -> Result<Module, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    Module::from_bytes(&bytes).map_err(|error| error.to_string())
}

fn report(path: &Path, done: Result<(), String>) {
    let path = path.display();
    let text = match done {
        Ok(()) => format!("reloaded {path}"),
        Err(why) => format!("{path}: {why}\nkept the old configuration"),
    };
    // Without stderr, the proxy still serves.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_changed_once_it_rests() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "1").unwrap();
        let mut watched = Watched::new(path.clone());
        let mut looks = |text: Option<&str>| {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            [(); 3].map(|()| watched.has_changed())
        };
        assert_eq!(looks(Some("longer")), [false, true, false]);
        assert_eq!(looks(None), [false, false, false]);
        assert_eq!(looks(Some("longest one")), [false, true, false]);
        assert!(!watched.has_changed());
    }
}
