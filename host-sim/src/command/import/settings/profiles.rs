//! Spring's profiles: which are active, and which documents they switch on.

use super::setting::Setting;

/// The profile that is active if no other is.
const DEFAULT: &str = "default";

/// Returns the profiles that are active: those of the command line, or those that documents
/// without a condition name, with the groups that these stand for.
pub(super) fn active(given: &[String], documents: &[Vec<Setting>]) -> Vec<String> {
    let plain = || documents.iter().filter(|found| condition(found).is_none());
    let named = |key: &str| -> Vec<String> {
        let settings = plain().flatten().filter(|setting| setting.key(0) == key);
        settings.flat_map(names).collect()
    };
    let mut active = given.to_vec();
    if active.is_empty() {
        active = named("spring.profiles.active");
    }
    active.extend(named("spring.profiles.include"));
    // Grows while it is walked: a group may hold another.
    let mut next = 0;
    while let Some(profile) = active.get(next).cloned() {
        next += 1;
        let group = plain().flatten().filter(|setting| {
            setting.key(0).starts_with("spring.profiles.group.")
                && setting.path.last() == Some(&profile)
        });
        for member in group.flat_map(names).collect::<Vec<String>>() {
            if !active.contains(&member) {
                active.push(member);
            }
        }
    }
    if active.is_empty() {
        active.push(DEFAULT.to_owned());
    }
    active
}

/// Returns the setting that says which profiles a document is for.
pub(super) fn condition<'s, 'a>(settings: &'s [Setting<'a>]) -> Option<&'s Setting<'a>> {
    settings.iter().find(|setting| {
        let path = setting.key(0);
        path == "spring.config.activate.onprofile" || path == "spring.profiles"
    })
}

/// Returns the names of profiles. A placeholder without a default names none.
fn names(setting: &Setting) -> Vec<String> {
    let mut names = setting.texts();
    names.retain(|name| !name.contains("${"));
    names
}

/// Returns whether an expression such as `prod & !(eu | us)` holds, or `None` if the text is not an
/// expression.
pub(super) fn holds(expression: &str, active: &[String]) -> Option<bool> {
    let mut reader = Reader {
        rest: expression.trim(),
        active,
    };
    let value = reader.any(0)?;
    reader.rest.is_empty().then_some(value)
}

/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 16;

struct Reader<'a> {
    rest: &'a str,
    active: &'a [String],
}

impl Reader<'_> {
    fn take(&mut self, sign: char) -> bool {
        let rest = self.rest.strip_prefix(sign);
        if let Some(rest) = rest {
            self.rest = rest.trim_start();
        }
        rest.is_some()
    }

    fn any(&mut self, depth: usize) -> Option<bool> {
        let mut value = self.all(depth)?;
        while self.take('|') {
            value |= self.all(depth)?;
        }
        Some(value)
    }

    fn all(&mut self, depth: usize) -> Option<bool> {
        let mut value = self.one(depth)?;
        while self.take('&') {
            value &= self.one(depth)?;
        }
        Some(value)
    }

    fn one(&mut self, depth: usize) -> Option<bool> {
        if depth > DEPTH_MAX {
            return None;
        }
        if self.take('!') {
            return Some(!self.one(depth + 1)?);
        }
        if self.take('(') {
            let value = self.any(depth + 1)?;
            return self.take(')').then_some(value);
        }
        let end = self.rest.find(['|', '&', '!', '(', ')']);
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        let name = name.trim();
        (!name.is_empty()).then(|| self.active.iter().any(|active| active == name))
    }
}

#[cfg(test)]
mod tests {
    use super::holds;

    #[test]
    fn expressions_of_profiles_hold_as_in_spring() {
        let rows = [
            ("prod", Some(true)),
            ("dev", Some(false)),
            ("!dev", Some(true)),
            ("dev | prod", Some(true)),
            ("prod & !eu", Some(false)),
            ("prod & (eu | us) & !dev", Some(true)),
            ("!(prod & eu)", Some(false)),
            ("", None),
            ("prod &", None),
            ("(prod", None),
            ("prod) | (eu", None),
            ("prod ! eu", None),
        ];
        let active = ["prod".to_owned(), "eu".to_owned()];
        for (expression, expected) in rows {
            assert_eq!(holds(expression, &active), expected, "{expression}");
        }
        assert_eq!(holds(&"(".repeat(100_000), &active), None);
    }
}
