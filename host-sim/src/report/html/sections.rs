//! The sections of the page.

use maud::{Markup, html};

use super::plot::{
    self, Figure, Frame, Key, Line, Plot, Row, Ticks, axis_data, clock, outcome_class, state_class,
};
use crate::record::{Circuits, Outcome, State, Tally};
use crate::report::{grouped, latency as show_latency, percent};
use crate::scenario::play::Run;
use crate::sim::clock::Time;
use crate::sim::span::Span;

/// Number of circuits drawn, since a policy may have thousands of keys.
const CIRCUITS_SHOWN: usize = 24;

/// CSS classes of the colours of upstreams. A reader could not tell more apart.
const SERIES: [&str; 6] = [
    "series-1", "series-2", "series-3", "series-4", "series-5", "series-6",
];

/// Number of transitions listed.
const TRANSITIONS_SHOWN: usize = 200;

/// Shows the most important numbers.
pub(super) fn tiles(run: &Run) -> Markup {
    let total = &run.record.total;
    let ended = total.outcomes.iter().sum();
    let tiles = [
        ("calls", grouped(total.calls)),
        (
            "succeeded",
            percent(total.calls_succeeded, total.calls_ended),
        ),
        ("fallback", percent(total.outcome(Outcome::Fallback), ended)),
        ("rejected", percent(total.outcome(Outcome::Rejected), ended)),
        ("p50", show_latency(total.percentile(50.0))),
        ("p99", show_latency(total.percentile(99.0))),
        ("requests at upstreams", grouped(total.attempts())),
        ("per call", format!("{:.2}", total.amplification())),
    ];
    html! {
        dl.tiles {
            @for (name, value) in &tiles {
                div { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// Shows the expectations and their results.
pub(super) fn expectations(run: &Run) -> Markup {
    html! {
        @if !run.verdicts.is_empty() {
            section {
                h2 { "Expected" }
                ul.verdicts {
                    @for it in &run.verdicts {
                        li class=(if it.held { "held" } else { "failed" }) {
                            strong { (if it.held { "held" } else { "failed" }) } " "
                            code { (it.text) }
                            @if !it.held {
                                p { "expected " (it.expected) ", seen " (it.seen) }
                                pre { (it.around.join("\n")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Embeds the time axis for the script.
pub(super) fn axis(frame: &Frame) -> Markup {
    html! { span #axis data-axis=(axis_data(frame)) hidden {} }
}

/// Plots the faults and the states of circuits over time.
pub(super) fn faults_and_circuits(run: &Run, frame: &Frame, id: &str) -> Option<Figure> {
    let end = Time::ZERO + run.duration;
    let mut rows = Vec::new();
    for (name, (from, to)) in run.record.names.faults.iter().zip(&run.faults) {
        let to = to.unwrap_or(end).min(end);
        let text = format!("{name}, {} to {}", clock(*from), clock(to));
        rows.push(Row {
            name: format!("fault · {name}"),
            bands: vec![(*from, to, "fault", text)],
        });
    }
    let circuits = &run.record.circuits.all;
    for circuit in circuits.iter().take(CIRCUITS_SHOWN) {
        let ends = circuit
            .bands
            .iter()
            .skip(1)
            .map(|band| band.from)
            .chain([end]);
        let bands = circuit.bands.iter().zip(ends).map(|(band, to)| {
            let text = format!("{}, {} to {}", band.state.name(), band.from, to);
            (
                band.from.min(end),
                to.min(end),
                state_class(band.state),
                text,
            )
        });
        rows.push(Row {
            name: format!("circuit · {}", circuit.name()),
            bands: bands.collect(),
        });
    }
    if rows.is_empty() {
        return None;
    }
    let states = [
        State::Closed,
        State::Recovering,
        State::HalfOpen,
        State::Open,
    ];
    let key = |name: &str, class| Key {
        name: name.into(),
        class,
        values: None,
    };
    let keys = states.map(|state| key(state.name(), state_class(state)));
    let more = circuits.len().saturating_sub(CIRCUITS_SHOWN);
    Some(Figure {
        legend: keys.into_iter().chain([key("fault", "fault")]).collect(),
        note: (more > 0).then(|| format!("and {more} more circuits")),
        ..plot::bands(frame, id, "Faults and circuits", summary(run), &rows)
    })
}

/// Returns the plot of states as a sentence.
fn summary(run: &Run) -> String {
    let transitions = run.record.circuits.transitions.len();
    let circuits = run.record.circuits.all.len();
    let faults = run.faults.len();
    format!("Faults: {faults}. Circuits: {circuits}, with {transitions} transitions.")
}

/// Returns the requests by outcome, to be stacked.
pub(super) fn outcomes(run: &Run, frame: &Frame) -> Plot<'static> {
    let total = &run.record.total;
    let ended = total.outcomes.iter().sum();
    let present = Outcome::ALL
        .into_iter()
        .filter(|outcome| total.outcome(*outcome) > 0);
    let line = |outcome: Outcome| Line {
        name: outcome.name().into(),
        class: outcome_class(outcome),
        values: frame.rate(move |tally| tally.outcome(outcome)),
    };
    let parts = present
        .clone()
        .map(|it| format!("{} {}", it.name(), share(total.outcome(it), ended)));
    Plot {
        id: "outcomes".into(),
        title: "Requests by outcome, per second",
        description: parts.collect::<Vec<_>>().join(", "),
        unit: per_second,
        height: 220.0,
        ticks: Ticks::Even,
        room: None,
        lines: present.map(line).collect(),
    }
}

/// Returns the percentiles of the latency of calls.
pub(super) fn latency(run: &Run, frame: &Frame) -> Plot<'static> {
    let percentiles = [
        ("p50", 50.0, "series-1"),
        ("p90", 90.0, "series-2"),
        ("p99", 99.0, "series-3"),
    ];
    let line = |(name, percent, class): (&str, f64, &'static str)| Line {
        name: name.into(),
        class,
        values: frame.each(|tally| tally.percentile(percent).map(|it| it.as_seconds() * 1e3)),
    };
    let total = &run.record.total;
    let parts = percentiles
        .map(|(name, percent, _)| format!("{name} {}", show_latency(total.percentile(percent))));
    Plot {
        id: "latency".into(),
        title: "Latency of calls, logarithmic",
        description: format!("Over the run: {}.", parts.join(", ")),
        unit: millis,
        height: 200.0,
        ticks: Ticks::Decades,
        room: None,
        lines: percentiles.map(line).into(),
    }
}

/// Returns a line for each upstream.
fn each_upstream(run: &Run, suffix: &str, values: &dyn Fn(usize) -> Vec<Option<f64>>) -> Vec<Line> {
    let clusters = run.record.names.clusters.iter().zip(SERIES).enumerate();
    let line = |(index, (name, class)): (usize, (&String, &'static str))| Line {
        name: format!("{name}{suffix}"),
        class,
        values: values(index),
    };
    clusters.map(line).collect()
}

/// Returns the rate of requests at each upstream.
pub(super) fn upstreams(run: &Run, frame: &Frame) -> Plot<'static> {
    let names = &run.record.names.clusters;
    let total = names.iter().zip(&run.record.total.clusters);
    let parts = total.map(|(name, it)| format!("{name} {} requests", grouped(it.attempts)));
    Plot {
        id: "upstreams".into(),
        title: "Requests at upstreams, per second",
        description: parts.collect::<Vec<_>>().join(", "),
        unit: per_second,
        height: 180.0,
        ticks: Ticks::Even,
        room: None,
        lines: each_upstream(run, "", &|cluster| {
            frame.rate(|tally| tally.clusters[cluster].attempts)
        }),
    }
}

/// Returns how many requests each upstream is serving, and how many wait there.
pub(super) fn load(run: &Run, frame: &Frame) -> Plot<'static> {
    let busy = |index: usize| frame.each(|tally| Some(tally.clusters[index].serving_max.into()));
    let waiting = |index: usize| frame.each(|tally| Some(tally.clusters[index].line_max.into()));
    let most = |count: fn(&crate::record::ClusterTally) -> u32| {
        run.record
            .total
            .clusters
            .iter()
            .map(count)
            .max()
            .unwrap_or(0)
    };
    let mut lines = each_upstream(run, " busy", &busy);
    let line_max = most(|it| it.line_max);
    if line_max > 0 {
        let dashed = |line: Line| Line {
            name: line.name,
            class: "waiting",
            values: line.values,
        };
        let waiting = each_upstream(run, " waiting", &waiting);
        lines.extend(waiting.into_iter().map(dashed));
    }
    Plot {
        id: "load".into(),
        title: "Load of upstreams: maximum of requests at once",
        description: format!(
            "Maximum: {} being served, {line_max} waiting.",
            most(|it| it.serving_max)
        ),
        unit: whole,
        height: 160.0,
        ticks: Ticks::Whole,
        room: None,
        lines,
    }
}

/// Plots the retries of clients and of the proxy, if there are any.
pub(super) fn retries(run: &Run, frame: &Frame) -> Markup {
    let total = &run.record.total;
    let by_clients = |tally: &Tally| tally.requests.saturating_sub(tally.calls);
    let (proxy, clients) = (total.retries(), by_clients(total));
    let mut lines = Vec::new();
    if proxy > 0 {
        let (name, values) = ("by the proxy".into(), frame.rate(Tally::retries));
        lines.push(Line {
            name,
            class: "series-1",
            values,
        });
    }
    if clients > 0 {
        let (name, values) = ("by clients".into(), frame.rate(by_clients));
        lines.push(Line {
            name,
            class: "series-2",
            values,
        });
    }
    let (proxy, clients) = (grouped(proxy), grouped(clients));
    let description = format!("{proxy} by the proxy, {clients} by clients.");
    html! {
        @if !lines.is_empty() {
            (plot::lines(frame, &Plot {
                id: "retries".into(),
                title: "Retries, per second",
                description,
                unit: per_second,
                height: 140.0,
                ticks: Ticks::Even,
                room: None,
                lines,
            }))
        }
    }
}

/// Lists the transitions of circuits.
pub(super) fn transitions(run: &Run) -> Markup {
    let circuits = &run.record.circuits;
    html! {
        @if !circuits.transitions.is_empty() {
            details {
                summary { "Transitions of circuits (" (grouped(circuits.transitions.len() as u64)) ")" }
                (transition_table(circuits, |at| at.to_string()))
            }
        }
    }
}

/// Lists the first transitions, with their times by a clock.
pub(super) fn transition_table(circuits: &Circuits, clock: impl Fn(Time) -> String) -> Markup {
    let more = circuits.further(TRANSITIONS_SHOWN);
    html! {
        table {
            thead {
                tr {
                    @for name in ["time", "circuit", "from", "to", "why", "worker"] {
                        th { (name) }
                    }
                }
            }
            tbody {
                @for (it, circuit) in circuits.changes().take(TRANSITIONS_SHOWN) {
                    tr {
                        td.number { (clock(it.at)) }
                        td { (circuit.name()) }
                        td { (it.from.name()) }
                        td { (it.to.name()) }
                        td { (it.why) }
                        td.number { (it.worker.map_or("-".into(), |it| it.to_string())) }
                    }
                }
            }
        }
        @if more > 0 { p.meta { "and " (grouped(more)) " more" } }
    }
}

/// Lists how requests ended.
pub(super) fn reasons(run: &Run) -> Markup {
    let mut sorted: Vec<_> = run.record.reasons.all.iter().collect();
    sorted.sort_by_key(|reason| std::cmp::Reverse(reason.requests));
    html! {
        details {
            summary { "How requests ended" }
            table {
                thead { tr { th { "requests" } th { "code" } th { "flags" } th { "details" } } }
                tbody {
                    @for it in sorted {
                        tr {
                            td.number { (grouped(it.requests)) }
                            td.number { (it.code.map_or("-".into(), |code| code.to_string())) }
                            td { (it.flags_text()) }
                            td { code { (it.details) } }
                        }
                    }
                }
            }
        }
    }
}

/// Shows the numbers behind the plots.
pub(super) fn numbers(run: &Run, frame: &Frame) -> Markup {
    let clusters = &run.record.names.clusters;
    html! {
        details {
            summary { "The numbers behind the plots" }
            table {
                thead {
                    tr {
                        th { "time" } th { "requests" }
                        @for outcome in Outcome::ALL { th { (outcome.name()) } }
                        th { "p50" } th { "p99" }
                        @for name in clusters { th { "at " (name) } }
                    }
                }
                tbody {
                    @for (from, tally) in &frame.buckets {
                        tr {
                            td.number { (from.to_string()) }
                            td.number { (grouped(tally.requests)) }
                            @for outcome in Outcome::ALL {
                                td.number { (grouped(tally.outcome(outcome))) }
                            }
                            td.number { (show_latency(tally.percentile(50.0))) }
                            td.number { (show_latency(tally.percentile(99.0))) }
                            @for cluster in &tally.clusters {
                                td.number { (grouped(cluster.attempts)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn per_second(value: f64) -> String {
    format!("{}/s", number(value))
}

fn whole(value: f64) -> String {
    number(value)
}

fn millis(value: f64) -> String {
    Span::from_seconds(value / 1e3).rounded()
}

/// Formats a number with about three digits.
fn number(value: f64) -> String {
    let text = match value {
        100.0.. => return grouped(value.round() as u64),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Formats a number with its share of a whole.
fn share(part: u64, whole: u64) -> String {
    format!("{} ({})", grouped(part), percent(part, whole))
}
