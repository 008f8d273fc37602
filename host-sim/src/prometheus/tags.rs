//! Tags: the parts of a metric's name that become labels.

use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::Deserialize;

use super::names::sanitized;

/// The bootstrap that users deploy. What it says is right for Envoy, and so for this page.
const SHIPPED: &str = include_str!("../../../policies/deploy/envoy.yaml");

/// Those of Envoy's own tags that names of plugins' metrics can have. All others belong to names
/// that begin with `cluster.`, `http.` and the like.
const OWN: [(&str, &str); 2] = [
    ("envoy.response_code", "_rq(_([0-9]{3}))$"),
    ("envoy.response_code_class", "_rq_(([0-9]))xx$"),
];

static TAGS: LazyLock<Tags> = LazyLock::new(|| {
    let bootstrap: Bootstrap = serde_saphyr::from_str(SHIPPED).expect("a valid bootstrap");
    let own = OWN.into_iter().map(|(name, pattern)| tag(name, pattern));
    let shipped = bootstrap.stats_config.stats_tags.iter();
    let shipped = shipped.map(|rule| tag(&rule.tag_name, &rule.regex));
    // Envoy tries first those that may match any name.
    Tags(own.chain(shipped).collect())
});

/// Tags of the shipped configuration, in the order of the labels.
pub(super) struct Tags(Vec<Tag>);

struct Tag {
    label: Vec<u8>,
    /// The first group is left out of the name. The second is the value, or the first if there is
    /// no second.
    pattern: Regex,
}

#[derive(Deserialize)]
struct Bootstrap {
    stats_config: StatsConfig,
}

#[derive(Deserialize)]
struct StatsConfig {
    stats_tags: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    tag_name: String,
    regex: String,
}

fn tag(name: &str, pattern: &str) -> Tag {
    Tag {
        label: sanitized(name.as_bytes()),
        pattern: Regex::new(pattern).expect("a valid pattern"),
    }
}

impl Tags {
    pub(super) fn shipped() -> &'static Tags {
        &TAGS
    }

    /// Returns a name without its tags, and the tags as labels. The patterns see the whole name,
    /// also what other tags leave out.
    pub(super) fn extracted(&self, name: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut left_out, mut labels) = (Vec::new(), Vec::new());
        for tag in &self.0 {
            let Some(found) = tag.pattern.captures(name) else {
                continue;
            };
            let Some(removed) = found.get(1) else {
                continue;
            };
            left_out.push(removed.range());
            if !labels.is_empty() {
                labels.push(b',');
            }
            labels.extend_from_slice(&tag.label);
            labels.extend_from_slice(b"=\"");
            escape(found.get(2).unwrap_or(removed).as_bytes(), &mut labels);
            labels.push(b'"');
        }
        let kept = |at: &usize| !left_out.iter().any(|range| range.contains(at));
        let bytes = name.iter().enumerate().filter(|(at, _)| kept(at));
        let mut rest: Vec<u8> = bytes.map(|(_, byte)| *byte).collect();
        while rest.last() == Some(&b'.') {
            rest.pop();
        }
        (rest, labels)
    }
}

/// Appends the value of a label.
fn escape(value: &[u8], to: &mut Vec<u8>) {
    for byte in value {
        match byte {
            b'\\' => to.extend_from_slice(br"\\"),
            b'"' => to.extend_from_slice(br#"\""#),
            b'\n' => to.extend_from_slice(br"\n"),
            _ => to.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_labels_are_escaped() {
        let tags = Tags(vec![
            tag("a-b", "^x\\.((?s:.*)\\.)y"),
            tag("c", "z(.*)(never)?$"),
        ]);
        let (name, labels) = tags.extracted(b"x.1\"2\\3\n4.yz5");
        assert_eq!(
            (name.as_slice(), labels.as_slice()),
            (&b"x.yz"[..], &br#"a_b="1\"2\\3\n4.",c="5""#[..])
        );
    }

    #[test]
    fn each_shipped_tag_is_a_label() {
        let shipped = SHIPPED.matches("  - tag_name: ").count();
        assert!(shipped >= 11);
        assert_eq!(Tags::shipped().0.len(), shipped + OWN.len());
    }
}
