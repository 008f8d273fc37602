//! The machine of a measurement, in a few words: without it the numbers mean nothing.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use spillway_tests::places;

/// Describes the CPU, the kernel, Envoy and the date.
pub(crate) fn describe() -> String {
    let cpuinfo = read("/proc/cpuinfo");
    format!(
        "{}, {} cores, Linux {}, Envoy {}, {}",
        cpu(&cpuinfo),
        cores(&cpuinfo),
        read("/proc/sys/kernel/osrelease").trim(),
        envoy(),
        date(SystemTime::now()),
    )
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The model of the first core. Not every architecture has one.
fn cpu(cpuinfo: &str) -> &str {
    let mut lines = cpuinfo.lines();
    let model = lines.find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown CPU", |(_, model)| model.trim())
}

/// The number of cores, of which this process may use fewer.
fn cores(cpuinfo: &str) -> usize {
    let lines = cpuinfo.lines();
    lines.filter(|line| line.starts_with("processor")).count()
}

fn envoy() -> String {
    let output = Command::new(places::envoy()).arg("--version").output();
    let output = output.expect("Envoy runs");
    let text = String::from_utf8_lossy(&output.stdout);
    version(&text).unwrap_or("of unknown version").to_owned()
}

/// The version in `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn version(text: &str) -> Option<&str> {
    text.split_once("version: ")?.1.split('/').nth(1)
}

/// The day in an HTTP date: `Fri, 27 Nov 2026 10:00:00 GMT`.
fn date(now: SystemTime) -> String {
    let date = httpdate::fmt_http_date(now);
    date.split(' ')
        .skip(1)
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{cores, cpu, date, version};

    #[test]
    fn the_machine_is_read_from_what_the_system_says() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC\nstepping\t: 1\n";
        assert_eq!(cpu(cpuinfo), "AMD EPYC");
        assert_eq!(cpu("processor\t: 0\n"), "unknown CPU");
        assert_eq!(cores("processor\t: 0\n\nprocessor\t: 1\n"), 2);
        let text = "\nenvoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n";
        assert_eq!(version(text), Some("1.40.0"));
        assert_eq!(version("command not found"), None);
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
        assert_eq!(date(time), "01 Jan 2026");
    }
}
