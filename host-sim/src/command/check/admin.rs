//! Who can reach the admin.

use super::Finding;
use super::view::FileView;

/// The lint of `admin`: with policies beside it the listener has clients of its own.
pub fn lint(file: &FileView<'_>, findings: &mut Vec<Finding>) {
    let Some(admin) = &file.config.admin else {
        return;
    };
    if !file.config.policies.is_empty() {
        findings.push(Finding::note(
            "admin-among-clients",
            "admin".into(),
            format!(
                "every client of the listener who reaches {} can force its circuits",
                admin.path_prefix
            ),
            "move it to a file of its own with \"policies\": [], for a loopback listener with the \
             same vm_id and the same plugin name"
                .into(),
        ));
    }
}
