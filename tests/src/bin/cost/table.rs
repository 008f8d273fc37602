//! The results as Markdown.

use crate::Arguments;
use crate::load::Load;
use crate::machine;
use crate::measure::{RESOLVED, Results};
use crate::statistics::{Estimate, PLAIN};
use crate::variant::{EMPTY, Variant};

/// Cost of a plain request to which others are scaled, in microseconds.
const PLAIN_US: f64 = 60.0;

/// Formats the results of all loads.
pub(crate) fn text(arguments: &Arguments, variants: &[Variant], results: &[Results]) -> String {
    let head = format!(
        "{}. Turns of {} requests, seed {}.\n",
        machine::describe(),
        arguments.requests,
        arguments.seed
    );
    let tables = results.iter().map(|results| table(variants, results));
    head + &tables.collect::<String>()
}

fn table(variants: &[Variant], results: &Results) -> String {
    let (unit, scale) = match results.load {
        Load::Unary => ("us", PLAIN_US),
        Load::Large | Load::Stream => ("%", 100.0),
    };
    let title = results.load.title();
    let mut text = summary(variants, results);
    text += &format!(
        "\n| {title} | {unit} over no filter | 90 % interval | multiple of the empty filter |\n\
         | --- | --- | --- | --- |\n"
    );
    for row in PLAIN + 1..results.variants.len() {
        let name = &variants[results.variants[row]].name;
        let cost = interval(results.samples.over_plain(row).scaled(scale));
        let multiple = match row > EMPTY {
            true => ratio(results.samples.multiple(row, EMPTY)),
            false => "—".to_owned(),
        };
        text += &format!("| {name} | {cost} | {multiple} |\n");
    }
    text
}

/// How much was measured, and whether that was enough.
fn summary(variants: &[Variant], results: &Results) -> String {
    let Results { load, samples, .. } = results;
    let counted = samples.count();
    let rounds = counted + samples.dropped;
    let plain_us = samples.plain_ns() / 1e3;
    let scaled = match load {
        Load::Unary => format!(", scaled to {PLAIN_US:.0} us"),
        Load::Large | Load::Stream => String::new(),
    };
    let (widest, width) = results.widest;
    let resolved = match results.are_resolved() {
        true => String::new(),
        false => format!(
            " **Not resolved**: the interval of \"{}\" is {:.1} % of that wide, wanted are {:.1} %.",
            variants[widest].name,
            width * 100.0,
            RESOLVED * 100.0
        ),
    };
    let title = load.title();
    format!(
        "\nWithout a filter {title} takes {plain_us:.1} us of the worker{scaled}. Of {rounds} rounds \
         {counted} count.{resolved}\n"
    )
}

fn interval(cost: Estimate) -> String {
    let Estimate { median, low, high } = cost;
    format!("{median:.1} | {low:.1} to {high:.1}")
}

fn ratio(multiple: Estimate) -> String {
    let Estimate { median, low, high } = multiple;
    format!("{median:.2} ({low:.2} to {high:.2})")
}
