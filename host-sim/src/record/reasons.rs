//! How answers came about, in the words of access logs.

use std::rc::Rc;

/// Requests that ended with the same code, flags and details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// None where there was no answer.
    pub code: Option<u16>,
    /// Envoy's legacy bit mask.
    pub flags: u64,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Rc<str>,
    pub requests: u64,
}

/// All reasons, in the order in which they first came.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    pub all: Vec<Reason>,
    /// Requests that ended in yet another way.
    pub others: u64,
}

/// A plugin may make up details as it likes; nobody reads more than that.
const KEPT: usize = 64;

/// Letters of the flags, as `%RESPONSE_FLAGS%` shows them.
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
    /// A request ended so.
    pub fn count(&mut self, code: Option<u16>, flags: u64, details: &Rc<str>) {
        // Most requests end alike, and the router's texts are shared: the pointer tells.
        let same = |it: &&mut Reason| {
            it.code == code
                && it.flags == flags
                && (Rc::ptr_eq(&it.details, details) || it.details == *details)
        };
        if let Some(reason) = self.all.iter_mut().find(same) {
            reason.requests += 1;
        } else if self.all.len() < KEPT {
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
    /// The flags in letters, `-` for none.
    pub fn flags_text(&self) -> String {
        let set = FLAGS.iter().filter(|(bit, _)| self.flags & bit != 0);
        let letters: Vec<_> = set.map(|(_, letters)| *letters).collect();
        match letters.is_empty() {
            true => "-".into(),
            false => letters.join(","),
        }
    }
}
