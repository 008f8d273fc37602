//! Cores, and the CPU time of the measured worker.
//!
//! The worker has a core of its own. Everything else shares another one: the other threads of its
//! Envoy, the upstream and the client. The kernel counts the time of a thread in nanoseconds, but
//! writes it down only when the thread stops running, so it is read while the worker sleeps.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use tokio::time::{Instant, sleep};

/// Name of Envoy's first worker thread.
const WORKER: &str = "wrk:worker_0";

/// Pause between two looks at a worker that still runs.
const PAUSE: Duration = Duration::from_micros(50);

/// How long a worker without requests may go on. Only a broken run takes this long.
const REST: Duration = Duration::from_secs(15);

/// The two cores of a measurement.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    worker: usize,
    others: usize,
}

impl Cores {
    /// The first two cores that this process may run on; `None` if there is only one.
    pub(crate) fn first_two() -> Option<Self> {
        let allowed = sched_getaffinity(None).expect("the cores of this process");
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        Some(Self {
            worker: allowed.next()?,
            others: allowed.next()?,
        })
    }

    /// Moves the worker of an Envoy to its core, and the other threads to the other.
    pub(crate) fn pin_measured(self, envoy: u32) -> WorkerClock {
        let mut worker = None;
        for (id, name) in threads(envoy) {
            if name == WORKER {
                pin(id, self.worker);
                worker = Some(id);
            } else {
                pin(id, self.others);
            }
        }
        let worker = worker.expect("an Envoy with a worker thread");
        WorkerClock {
            folder: task(envoy).join(worker.to_string()),
        }
    }

    /// Moves a process away from the core of the worker.
    pub(crate) fn pin_other(self, process: u32) {
        for (id, _name) in threads(process) {
            pin(id, self.others);
        }
    }
}

fn task(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/task"))
}

/// The threads of a process by id and name. Threads that they start later inherit their core.
fn threads(process: u32) -> Vec<(i32, String)> {
    let entries = fs::read_dir(task(process)).expect("a live process");
    let thread = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("a thread").path();
        let id = path.file_name()?.to_str()?.parse().ok()?;
        // A thread may end meanwhile.
        let name = fs::read_to_string(path.join("comm")).ok()?;
        Some((id, name.trim().to_owned()))
    };
    entries.filter_map(thread).collect()
}

fn pin(thread: i32, core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    match sched_setaffinity(Pid::from_raw(thread), &cores) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("thread {thread} cannot run on core {core}: {error}"),
    }
}

/// Reads the CPU time of a worker thread.
pub(crate) struct WorkerClock {
    folder: PathBuf,
}

impl WorkerClock {
    /// Waits until the worker sleeps. Returns its CPU time since its start.
    ///
    /// # Panics
    ///
    /// Panics if it does not come to rest, which needs requests that nobody waits for.
    pub(crate) async fn at_rest(&self) -> Duration {
        let deadline = Instant::now() + REST;
        while !sleeps(&self.read("stat")) {
            assert!(Instant::now() < deadline, "the worker does not rest");
            sleep(PAUSE).await;
        }
        let times = self.read("schedstat");
        let on_cpu = times.split_whitespace().next();
        let ns = on_cpu.and_then(|ns| ns.parse().ok());
        Duration::from_nanos(ns.expect("a kernel that counts nanoseconds"))
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect("a live worker")
    }
}

/// Whether a thread sleeps, by its `stat`: `ID (NAME) STATE ...`, where the name may contain
/// anything.
fn sleeps(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").map(|(_, state)| state);
    state.is_some_and(|state| state.starts_with('S'))
}

#[cfg(test)]
mod tests {
    use super::sleeps;

    #[test]
    fn a_thread_sleeps_by_the_state_behind_its_name() {
        for (stat, expected) in [
            ("41 (wrk:worker_0) S 1 41 41 0", true),
            ("41 (wrk:worker_0) R 1 41 41 0", false),
            ("41 (wrk:worker_0) D 1 41 41 0", false),
            ("41 (a) S 1) R 1 41 41 0", false),
            ("41 (a) R 1) S 1 41 41 0", true),
            ("", false),
        ] {
            assert_eq!(sleeps(stat), expected, "{stat}");
        }
    }
}
