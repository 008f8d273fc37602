//! A drawn plot, as a figure of a page or as a part of a picture.

use maud::{Markup, Render, html};

use super::sheet::{ABOVE, BELOW, LEFT, WIDTH, short};

/// A drawn plot with its texts and its legend.
pub(crate) struct Figure {
    pub id: String,
    pub title: String,
    /// A sentence for readers who cannot see the plot.
    pub description: String,
    pub height: f64,
    /// The axes and the data, in units of [`WIDTH`] and `height`.
    pub marks: Markup,
    pub legend: Vec<Key>,
    /// A remark below the legend.
    pub note: Option<String>,
}

/// One entry of a legend.
pub(crate) struct Key {
    pub name: String,
    /// The CSS class of its colour.
    pub class: &'static str,
    /// The formatted value of each bucket, if the cursor shows them.
    pub values: Option<String>,
}

/// Height of a title, and of a legend, in a picture.
const HEADING: f64 = 24.0;
const LEGEND: f64 = 26.0;

/// Width of a legend's entry without its text, and of a character of that text. The text is
/// measured by its length, since a picture must not depend on installed fonts.
const SWATCH: f64 = 34.0;
const CHARACTER: f64 = 7.0;

impl Figure {
    /// Returns the height of the figure in a picture.
    pub(crate) fn height_in_picture(&self) -> f64 {
        HEADING + self.height + LEGEND
    }

    /// Returns the figure as a part of a picture, with its upper edge at `y`.
    pub(crate) fn in_picture(&self, y: f64) -> Markup {
        let mut x = LEFT;
        let mut entries = Vec::new();
        for key in &self.legend {
            entries.push((x, key));
            x += SWATCH + key.name.chars().count() as f64 * CHARACTER;
        }
        html! {
            g transform={"translate(0 " (short(y)) ")"} {
                text.title x=(LEFT) y="14" { (self.title) }
                g.plot transform={"translate(0 " (short(HEADING)) ")"} { (self.marks) }
                g transform={"translate(0 " (short(HEADING + self.height)) ")"} {
                    @for (x, key) in entries {
                        rect.band.(key.class) x=(short(x)) y="6" width="11" height="11" rx="3" {}
                        text.key x=(short(x + 16.0)) y="16" { (key.name) }
                    }
                }
            }
        }
    }
}

impl Render for Figure {
    fn render(&self) -> Markup {
        let id = &self.id;
        html! {
            figure {
                figcaption { (self.title) }
                svg.plot id=(id) role="img" aria-labelledby={(id) "-title " (id) "-desc"}
                    viewBox={"0 0 " (WIDTH) " " (short(self.height))} {
                    title id={(id) "-title"} { (self.title) }
                    desc id={(id) "-desc"} { (self.description) }
                    (self.marks)
                    line.cursor x1="0" x2="0" y1=(ABOVE) y2=(short(self.height - BELOW)) {}
                }
                ul.legend {
                    @for key in &self.legend {
                        li data-values=[&key.values] {
                            span.swatch.(key.class) {} (key.name)
                            @if key.values.is_some() { " " output {} }
                        }
                    }
                }
                @if let Some(note) = &self.note { p.meta { (note) } }
            }
        }
    }
}
