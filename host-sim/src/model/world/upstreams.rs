//! Events of upstreams, their faults, and updates of the plugin's configuration.

use crate::model::upstream::JobKey;
use crate::model::world::event::{Event, Owner};
use crate::model::world::state::World;
use crate::proxy::ClusterState;
use crate::record::What;

impl World {
    pub(super) fn wake_job(&mut self, cluster: usize, job: JobKey) {
        let Some(backend) = self.clusters.get_mut(cluster) else {
            return;
        };
        if let Some(headers) = backend.upstream.headers_to_forward(job) {
            return self.begin_service_call(cluster, job, &headers);
        }
        let event = backend.upstream.wake(job, self.now, &mut self.wakes);
        self.flush_wakes(cluster);
        match event {
            Some((Owner::Exchange(key), event)) => self.handle_upstream_event(key, cluster, event),
            Some((Owner::Callout(key), event)) => self.handle_callout_event(key, event),
            None => {}
        }
    }

    /// Queues the wake-ups that a cluster asked for, and records its load.
    pub(super) fn flush_wakes(&mut self, cluster: usize) {
        let number = cluster as u32;
        for (at, job) in self.wakes.drain(..) {
            self.queue.push(
                at,
                Event::Job {
                    cluster: number,
                    job,
                },
            );
        }
        if let Some(backend) = self.clusters.get(cluster) {
            let (serving, queued) = backend.upstream.load();
            self.record
                .count(self.now, |tally| tally.load(cluster, serving, queued));
        }
    }

    pub(super) fn change_fault(&mut self, number: usize, begins: bool) {
        let Some(fault) = self.faults.get(number) else {
            return;
        };
        let what = What::Fault {
            number: number as u16,
            begins,
        };
        self.record.note(self.now, what);
        let Some(cluster) = self.names.iter().position(|name| *name == fault.cluster) else {
            return;
        };
        let upstream = &mut self.clusters[cluster].upstream;
        match begins {
            true => upstream.faults.begin(number, fault),
            false => upstream.faults.end(number),
        }
        upstream.refresh(self.now, &mut self.wakes);
        let unreachable = upstream.faults.unhealthy() || upstream.faults.unresolved();
        let state = match unreachable {
            true => ClusterState::Refusing,
            false => ClusterState::Ready,
        };
        self.host.cluster(&self.names[cluster], state);
        self.flush_wakes(cluster);
    }

    pub(super) fn update(&mut self, number: usize) {
        let Some(configuration) = self.updates.get_mut(number) else {
            return;
        };
        let accepted = self.host.update(std::mem::take(configuration)).is_ok();
        self.record.note(self.now, What::Update { accepted });
        self.record.updates.push((self.now, accepted));
    }
}
