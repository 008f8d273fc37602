//! How requests ended, in the words of access logs.

use std::rc::Rc;

/// Requests that ended with the same code, flags and details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `None` if there was no response.
    pub code: Option<u32>,
    /// Envoy's legacy bit mask.
    pub flags: u64,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Rc<str>,
    pub requests: u64,
}

/// All reasons, in the order of their first occurrence.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    pub all: Vec<Reason>,
    /// Requests that ended in further ways.
    pub others: u64,
}

/// A plugin may invent any number of details, and nobody reads more than these.
const REASONS_MAX: usize = 64;

/// Names of the flags in `%RESPONSE_FLAGS%`.
const FLAGS: [(u64, &str); 17] = [
    (0x2, "UH"),
    (0x4, "UT"),
    (0x8, "LR"),
    (0x10, "UR"),
    (0x20, "UF"),
    (0x40, "UC"),
    (0x80, "UO"),
    (0x100, "NR"),
    (0x400, "FI"),
    (0x4000, "DC"),
    (0x8000, "URX"),
    (0x1_0000, "SI"),
    (0x4_0000, "DPE"),
    (0x8_0000, "UMSDR"),
    (0x80_0000, "UPE"),
    (0x100_0000, "NC"),
    (0x400_0000, "DF"),
];

impl Reasons {
    /// Returns the bits of flags in the notation of `%RESPONSE_FLAGS%`. Others have none.
    pub fn flags(text: &str) -> u64 {
        let bit = |name: &str| FLAGS.iter().find(|(_, it)| *it == name).map(|(bit, _)| bit);
        text.split(',').filter_map(|it| bit(it.trim())).sum()
    }

    /// Counts a request that ended in this way.
    pub fn count(&mut self, code: Option<u32>, flags: u64, details: &Rc<str>) {
        // Most requests share the router's texts, so comparing pointers is enough for them.
        let same = |it: &&mut Reason| {
            it.code == code
                && it.flags == flags
                && (Rc::ptr_eq(&it.details, details) || it.details == *details)
        };
        if let Some(reason) = self.all.iter_mut().find(same) {
            reason.requests += 1;
        } else if self.all.len() < REASONS_MAX {
            let details = details.clone();
            self.all.push(Reason {
                code,
                flags,
                details,
                requests: 1,
            });
        } else {
            self.others += 1;
        }
    }
}

impl Reason {
    /// Returns the names of the flags, or `-` if there are none.
    pub fn flags_text(&self) -> String {
        let set = FLAGS.iter().filter(|(bit, _)| self.flags & bit != 0);
        let letters: Vec<_> = set.map(|(_, letters)| *letters).collect();
        match letters.is_empty() {
            true => "-".into(),
            false => letters.join(","),
        }
    }
}
