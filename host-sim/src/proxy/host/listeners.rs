//! Listeners of the process: each has a plugin and workers of its own.
//!
//! In Envoy, filters of several listeners with one VM id share VMs. Here each listener has VMs of
//! its own, as each worker has, and they share data, queues and metrics by their VM id all the
//! same.

use std::collections::BTreeMap;

use super::{Host, Listener, Listening};
use crate::proxy::setup::{Plugin, StartError};
use crate::proxy::worker::{Hosted, Worker};

impl Host {
    /// Adds a listener, without starting its workers.
    pub(super) fn add(&mut self, plugin: Option<Plugin>, workers: usize) -> Listener {
        let listener = Listener(self.listeners.len());
        let first = self.workers.len();
        let numbers = first..first + workers.max(1);
        let worker = |number| Worker::new(Some(number), listener.0, self.seed);
        self.workers.extend(numbers.clone().map(worker));
        let hosted = plugin.map(|plugin| Hosted {
            configuration: plugin.configuration.as_slice().into(),
            plugin,
            seed: self.seed,
            tried: BTreeMap::new(),
        });
        self.listeners.push(Listening {
            hosted,
            workers: numbers,
        });
        listener
    }

    /// Adds a listener with a plugin and its own number of workers.
    ///
    /// # Errors
    ///
    /// If Envoy would reject the plugin.
    pub fn listen(&mut self, plugin: Plugin, workers: usize) -> Result<Listener, StartError> {
        let first = self.workers.len();
        let listener = self.add(Some(plugin), workers);
        let served = self.serve(listener);
        if served.is_err() {
            self.listeners.pop();
            self.workers.truncate(first);
        }
        served.map(|()| listener)
    }

    /// Replaces the plugin of a listener, whose streams end with the old one. The new listener
    /// takes the place of the old one on the main thread, too.
    ///
    /// # Errors
    ///
    /// If Envoy would reject the plugin. The old listener stays in use.
    pub fn replace(&mut self, old: Listener, plugin: Plugin) -> Result<Listener, StartError> {
        let workers = self.listeners.get(old.0).map_or(1, |it| it.workers.len());
        let new = self.listen(plugin, workers)?;
        if self.main.listener() == old.0 {
            self.main.move_to(new.0, &mut self.process);
            if let Some(hosted) = self.listeners.get(new.0).and_then(|it| it.hosted.as_ref()) {
                self.main.serve(hosted, &mut self.process);
            }
        }
        if let Some(listening) = self.listeners.get(old.0)
            && let Some(hosted) = &listening.hosted
            && let Some(workers) = self.workers.get_mut(listening.workers.clone())
        {
            for worker in workers {
                worker.leave(hosted, &mut self.process);
            }
        }
        // A listener whose VMs have all ended no longer needs its module.
        for listening in &mut self.listeners {
            let workers = self.workers.get(listening.workers.clone());
            if workers.unwrap_or_default().iter().all(Worker::is_gone) {
                listening.hosted = None;
            }
        }
        Ok(new)
    }

    /// Updates the configuration of a listener's plugin, as [`Host::update`].
    ///
    /// # Errors
    ///
    /// If Envoy would reject the update. The old configuration stays in use.
    pub fn update_on(
        &mut self,
        listener: Listener,
        configuration: Vec<u8>,
    ) -> Result<(), StartError> {
        let Some(hosted) = self.hosted_mut(listener) else {
            return Ok(());
        };
        if *hosted.configuration == *configuration {
            return Ok(());
        }
        let old = std::mem::replace(&mut hosted.configuration, configuration.into());
        let served = self.serve(listener);
        if let (Err(_), Some(hosted)) = (&served, self.hosted_mut(listener)) {
            hosted.configuration = old;
        }
        served
    }

    /// Forgets which configurations a listener's plugin has accepted and refused, so that each
    /// one is tried anew, and logs anew why it is refused.
    pub fn forget_tried(&mut self, listener: Listener) {
        if let Some(hosted) = self.hosted_mut(listener) {
            hosted.tried.clear();
        }
    }

    fn hosted_mut(&mut self, listener: Listener) -> Option<&mut Hosted> {
        self.listeners.get_mut(listener.0)?.hosted.as_mut()
    }

    /// Tries the current configuration and, if the plugin accepts it, serves it on all threads of
    /// the listener.
    pub(super) fn serve(&mut self, listener: Listener) -> Result<(), StartError> {
        let Some(Listening {
            hosted: Some(hosted),
            workers,
        }) = self.listeners.get_mut(listener.0)
        else {
            return Ok(());
        };
        hosted.accept(&mut self.process)?;
        if self.main.listener() == listener.0 {
            self.main.serve(hosted, &mut self.process);
        }
        for worker in self.workers.get_mut(workers.clone()).into_iter().flatten() {
            worker.serve(hosted, &mut self.process);
        }
        Ok(())
    }
}
