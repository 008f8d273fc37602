//! The results as Markdown.

use super::measured::Measured;
use super::rows::Row;
use super::start::Start;

/// The table of memory and of loads.
pub(super) fn start(modules: &[(&str, Measured)]) -> String {
    let mut text = head(modules, &[""], &["instructions", "ms", "KiB"]);
    // The first module has every row.
    for row in modules.first().map_or(&[][..], |(_, it)| &it.start) {
        text += &format!("| {} |", row.what);
        for (_, measured) in modules {
            let found = measured.start.iter().find(|it| it.what == row.what);
            text += &found.map_or_else(|| missing(3), start_cells);
        }
        text.push('\n');
    }
    text
}

fn start_cells(it: &Start) -> String {
    let ms = it.ms.map_or_else(none, |ms| format!("{ms:.1}"));
    let instructions = it.instructions.map_or_else(none, number);
    format!(" {instructions} | {ms} | {} |", number(it.memory_kib))
}

/// The table of what grows.
pub(super) fn growth(modules: &[(&str, Measured)]) -> String {
    let columns = ["request", "hostcalls", "first request", "tick", "KiB"];
    let mut text = head(modules, &["what grows", "size"], &columns);
    for row in modules.first().map_or(&[][..], |(_, it)| &it.growth) {
        text += &format!("| {} | {} |", row.grows, number(row.size));
        for (_, measured) in modules {
            let same = |it: &&Row| (it.grows, it.size) == (row.grows, row.size);
            let found = measured.growth.iter().find(same);
            text += &found.map_or_else(|| missing(columns.len()), growth_cells);
        }
        text.push('\n');
    }
    text
}

fn growth_cells(it: &Row) -> String {
    let first = it.first.map_or_else(none, number);
    format!(
        " {} | {} | {first} | {} | {} |",
        number(it.instructions),
        it.hostcalls,
        number(it.tick),
        number(it.memory_kib)
    )
}

/// The first two lines of a table: columns of the rows' names, then those of each module. Those
/// of further modules have their names.
fn head(modules: &[(&str, Measured)], names: &[&str], columns: &[&str]) -> String {
    let of_module = |(at, (module, _)): (usize, &(&str, Measured))| {
        columns
            .iter()
            .map(|column| match at {
                0 => (*column).to_owned(),
                _ => format!("{module}: {column}"),
            })
            .collect::<Vec<_>>()
    };
    let names = names.iter().map(|name| (*name).to_owned());
    let all: Vec<_> = names
        .chain(modules.iter().enumerate().flat_map(of_module))
        .collect();
    let lines = "| --- ".repeat(all.len());
    format!("| {} |\n{lines}|\n", all.join(" | "))
}

fn missing(columns: usize) -> String {
    " — |".repeat(columns)
}

fn none() -> String {
    "—".into()
}

/// Returns a number with commas between its thousands.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn thousands_are_apart() {
        for (value, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
