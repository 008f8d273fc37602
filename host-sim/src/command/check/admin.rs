//! Lint of `admin`.

use crate::command::check::finding::Finding;
use crate::command::check::view::FileView;

/// Finds an admin endpoint next to policies: the clients of the listener can reach it.
pub(super) fn lint(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    let Some(admin) = &file.config.admin else {
        return;
    };
    if !file.config.policies.is_empty() {
        findings.push(Finding::note(
            "admin-among-clients",
            "admin".into(),
            format!(
                "every client of the listener that can reach {} can force its circuits",
                admin.path_prefix
            ),
            "move it to a separate file with \"policies\": [], for a loopback listener with the same \
             vm_id and the same plugin name"
                .into(),
        ));
    }
}
