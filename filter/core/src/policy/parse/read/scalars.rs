//! Getters for booleans, numbers, durations and words.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use serde_json::{Value, json};

use super::place::Place;
use crate::policy::WHOLE_BP;
use crate::policy::parse::forms::DURATION_PATTERN;
use crate::policy::parse::json::Node;
use crate::policy::parse::number::{hundredths, show_percent, whole};
use crate::policy::parse::record::ALLOWED;
use crate::text::{duration, show_span};
use crate::time::Span;

impl Place<'_> {
    pub(crate) fn boolean(&self, default: bool) -> bool {
        self.schema(|| json!({"type": "boolean"}));
        match self.node {
            None => default,
            Some(Node::Bool(value)) => *value,
            Some(_) => {
                self.reject("true or false");
                default
            }
        }
    }

    pub(crate) fn integer(&self, range: RangeInclusive<u32>, default: u32) -> u32 {
        let (low, high) = (range.start(), range.end());
        self.schema(
            || json!({"type": "integer", "minimum": low, "maximum": high, "default": default}),
        );
        let Some(node) = self.node else {
            return default;
        };
        if let Node::Number(number) = node
            && let Some(value) = whole(number)
            && range.contains(&value)
        {
            return value;
        }
        self.reject(format!("{low} to {high}"));
        default
    }

    /// Returns a number with at most two decimals, in hundredths.
    pub(crate) fn decimal(&self, range: RangeInclusive<u32>, default: u32) -> u32 {
        self.schema(|| {
            json!({
                "type": "number",
                "minimum": whole_or_decimal(*range.start()),
                "maximum": whole_or_decimal(*range.end()),
                "default": whole_or_decimal(default),
                ALLOWED: "at most two decimals",
            })
        });
        let Some(node) = self.node else {
            return default;
        };
        if let Node::Number(number) = node
            && let Some(value) = hundredths(number)
            && range.contains(&value)
        {
            return value;
        }
        let (low, high) = (show_percent(*range.start()), show_percent(*range.end()));
        self.reject(format!("{low} to {high}, with at most two decimals"));
        default
    }

    /// Returns 0 to 100 percent, in basis points.
    pub(crate) fn percent(&self, default_bp: u32) -> u32 {
        self.decimal(0..=WHOLE_BP, default_bp)
    }

    /// Returns a duration within `range`, or `0s` if `zero` allows that too.
    pub(crate) fn duration(&self, zero: bool, range: RangeInclusive<Span>, default: Span) -> Span {
        self.schema(|| json!({"default": show_span(default)}));
        self.optional_duration(zero, range).unwrap_or(default)
    }

    /// Like [`Place::duration`], for a field without a default.
    pub(crate) fn optional_duration(
        &self,
        zero: bool,
        range: RangeInclusive<Span>,
    ) -> Option<Span> {
        self.schema(|| {
            json!({
                "pattern": DURATION_PATTERN,
                "x-minimum": show_span(*range.start()),
                "x-maximum": show_span(*range.end()),
                "x-zero": zero,
            })
        });
        let read = |text| {
            let span = duration(text)?;
            (range.contains(&span) || (zero && span == Span::ZERO)).then_some(span)
        };
        let allowed = || {
            let low = show_span(*range.start());
            let high = show_span(*range.end());
            let or_zero = if zero { "0s or " } else { "" };
            format!("{or_zero}{low} to {high}")
        };
        self.schema(|| json!({"type": "string", ALLOWED: allowed()}));
        let value = match self.node? {
            Node::Text(text) => read(text),
            _ => None,
        };
        if value.is_none() {
            self.reject(allowed());
        }
        value
    }

    /// Returns one of a few words. While recording it returns the first, since other fields
    /// may depend on it.
    pub(crate) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let names = || -> Vec<&str> { choices.iter().map(|(name, _)| *name).collect() };
        self.schema(|| json!({"type": "string", "enum": names()}));
        if self.is_recording() {
            return choices.first().map(|(_, choice)| *choice);
        }
        let node = self.node?;
        let found = match node {
            Node::Text(text) => choices.iter().find(|(name, _)| text == name),
            _ => None,
        };
        if found.is_none() {
            self.reject(names().join(", "));
        }
        found.map(|(_, choice)| *choice)
    }

    /// Returns one of a few words. The first, whose value is `first`, is the default.
    pub(crate) fn choice_or_first<T: Copy>(&self, choices: &[(&str, T)], first: T) -> T {
        self.schema(|| json!({"default": choices.first().map(|(name, _)| *name)}));
        self.choice(choices).unwrap_or(first)
    }
}

/// Reads a list of names.
pub(crate) fn names(place: &Place<'_>) -> Vec<Box<str>> {
    place.list(|item| name(&item)).unwrap_or_default()
}

/// Reads a name of at least one character.
pub(crate) fn name(place: &Place<'_>) -> Option<Box<str>> {
    place.schema(|| json!({"minLength": 1}));
    place.text("a non-empty string", |text| {
        (!text.is_empty()).then(|| Box::from(text))
    })
}

/// Returns hundredths as the number that a user would write.
fn whole_or_decimal(hundredths: u32) -> Value {
    if hundredths.is_multiple_of(100) {
        json!(hundredths / 100)
    } else {
        json!(f64::from(hundredths) / 100.0)
    }
}
