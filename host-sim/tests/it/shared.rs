//! State that all VMs share: data, queues and metrics.

use crate::proxy::{Proxy, built, probe};
use host_sim::proxy::Plugin;

#[test]
fn shared_data_is_compared_and_swapped() {
    let script = "rqh=shared,k|setshared,k,1,4294967295|setshared,k,2,4294967295|shared,k|\
                  setshared,k,3,1|shared,k|setshared,k,4,1|setshared,k,5,0|shared,k";
    let mut proxy = probe(script);
    proxy.get();
    let statuses: Vec<_> = proxy
        .results()
        .iter()
        .map(|line| line.split_once("-> ").unwrap().1.to_owned())
        .collect();
    assert_eq!(
        statuses,
        ["1  0", "0", "8", "0 1 1", "0", "0 3 2", "8", "0", "0 5 3"]
    );
    assert_eq!(
        &**proxy.host.shared_data().value(b"", b"k").unwrap().0,
        b"5"
    );
}

#[test]
fn counters_never_decrease_and_gauges_wrap() {
    let script = "rqh=metric,0,c|increment,4,2|increment,4,0|increment,4,-1|record,4,5|value,4|\
                  metric,1,g|increment,5,1|increment,5,-3|value,5|record,5,9|value,5|\
                  metric,2,h|record,6,1|increment,6,1|value,6|metric,3,x|\
                  metric,0,c|increment,8,1|value,4|increment,12,1|record,12,1|value,12|value,7";
    let mut proxy = probe(script);
    proxy.get();
    let statuses: Vec<_> = proxy
        .results()
        .iter()
        .map(|line| line.split_once("-> ").unwrap().1.to_owned())
        .collect();
    let expected = [
        "0 4",
        "0",
        "2",
        "2",
        "0",
        "0 7", // counter
        "0 5",
        "0",
        "0",
        "0 18446744073709551614",
        "0",
        "0 9", // gauge
        "0 6",
        "0",
        "2",
        "2",
        "2", // a histogram, and an invalid metric type
        "0 8",
        "0",
        "0 8",
        "1",
        "1",
        "1",
        "2", // a second id for the same metric, and an unknown id
    ];
    assert_eq!(statuses, expected);
    assert_eq!(proxy.host.metrics().value("c"), 8);
    assert_eq!(proxy.host.metrics().value("g"), 9);
}

#[test]
fn the_last_thread_to_register_is_notified_of_messages() {
    let mut proxy = Proxy::start(Plugin::new(built("probe"), "configure=queue,q"), 3).unwrap();
    proxy.trace();
    let stream = proxy.get_with("rqh=resolve,,q|resolve,other,q|enqueue,1,hello|enqueue,9,x");
    let statuses: Vec<_> = proxy
        .results()
        .iter()
        .map(|line| line.split_once("-> ").unwrap().1.to_owned())
        .collect();
    assert_eq!(statuses, ["0 1", "1", "0", "1"]);
    proxy.host.close(stream);
    proxy.trace();
    proxy.run_to(1);
    let lines = proxy.host.take_log();
    let notified: Vec<_> = lines
        .iter()
        .map(|line| (line.worker, &*line.text))
        .collect();
    assert_eq!(notified, [(Some(2), "probe: 1 queue 1")]);
}

#[test]
fn any_context_may_dequeue() {
    let mut proxy = probe("configure=queue,q;queue=dequeue,1|dequeue,1|dequeue,7");
    proxy.get_with("rqh=enqueue,1,hello");
    proxy.trace();
    proxy.run_to(1);
    let results = proxy.results();
    assert_eq!(
        results,
        [
            "queue dequeue,1 -> 0 hello",
            "queue dequeue,1 -> 7",
            "queue dequeue,7 -> 1"
        ]
    );
}
