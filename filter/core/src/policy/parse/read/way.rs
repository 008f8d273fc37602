//! Where a value is in the file.
//!
//! Only errors need a path in full. Most fields of a file with thousands of policies are
//! missing, and formatting a path for each would be most of the time that parsing takes. So a
//! way is a linked list of steps.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use crate::text;

/// The index of a value in each enclosing list or object, from the top. It sorts like the
/// values in the file.
pub(super) type Position = Vec<usize>;

/// The way from the top of the file to a value.
#[derive(Clone)]
pub(super) struct Way<'a> {
    above: Option<Rc<Way<'a>>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// The top of the file.
    Top,
    /// To a field, by its index and name.
    Field(usize, &'a str),
    /// To an item of a list.
    Item(usize),
    /// To a value whose name the user chose.
    Entry(usize, &'a str),
    /// To any item or value, while recording.
    Any(&'static str),
}

impl<'a> Way<'a> {
    pub(super) fn top() -> Way<'a> {
        Way {
            above: None,
            step: Step::Top,
        }
    }

    pub(super) fn below(above: &Rc<Way<'a>>, step: Step<'a>) -> Way<'a> {
        let above = Some(above.clone());
        Way { above, step }
    }

    pub(super) fn position(&self) -> Position {
        let above = self.above.as_ref();
        let mut position = above.map_or_else(Vec::new, |above| above.position());
        match self.step {
            Step::Top | Step::Any(_) => {}
            Step::Field(index, _) | Step::Item(index) | Step::Entry(index, _) => {
                position.push(index);
            }
        }
        position
    }

    pub(super) fn path(&self) -> String {
        let above = self.above.as_ref();
        let path = above.map_or_else(String::new, |above| above.path());
        match self.step {
            Step::Top => path,
            Step::Field(_, name) => join(&path, name),
            Step::Item(index) => format!("{path}[{index}]"),
            Step::Entry(_, name) => format!("{path}[{name:?}]"),
            Step::Any(mark) => format!("{path}{mark}"),
        }
    }
}

/// Returns `path.name`, or `path["name"]` if the name is not a plain word.
fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty()
        && name.len() <= text::FOUND_CHARS
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$');
    match (path.is_empty(), plain) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{:?}]", text::shorten(name.to_owned())),
    }
}
