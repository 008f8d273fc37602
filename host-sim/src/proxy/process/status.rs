//! Status codes of the ABI.

/// A status other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    NotFound = 1,
    BadArgument = 2,
    SerializationFailure = 3,
    ParseFailure = 4,
    BadExpression = 5,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    ResultMismatch = 9,
    InternalFailure = 10,
    BrokenConnection = 11,
    Unimplemented = 12,
}

/// All statuses with their names, in the order of their numbers, from 1.
const NAMES: [(Status, &str); 12] = [
    (Status::NotFound, "not_found"),
    (Status::BadArgument, "bad_argument"),
    (Status::SerializationFailure, "serialization_failure"),
    (Status::ParseFailure, "parse_failure"),
    (Status::BadExpression, "bad_expression"),
    (Status::InvalidMemoryAccess, "invalid_memory_access"),
    (Status::Empty, "empty"),
    (Status::CasMismatch, "cas_mismatch"),
    (Status::ResultMismatch, "result_mismatch"),
    (Status::InternalFailure, "internal_failure"),
    (Status::BrokenConnection, "broken_connection"),
    (Status::Unimplemented, "unimplemented"),
];

/// Name of success, which is no [`Status`].
const OK: &str = "ok";

impl Status {
    /// Parses the name or number of a status. `None` if the ABI has no such status.
    pub fn parse(text: &str) -> Option<Result<(), Status>> {
        if text == OK || text == "0" {
            return Some(Ok(()));
        }
        let is_it = |(status, name): &&(Status, &str)| {
            *name == text || text == (*status as i32).to_string()
        };
        NAMES.iter().find(is_it).map(|(status, _)| Err(*status))
    }

    /// Returns the name of a status code, `ok` for 0.
    pub fn name(code: i32) -> Option<&'static str> {
        match usize::try_from(code).ok()?.checked_sub(1) {
            None => Some(OK),
            Some(at) => NAMES.get(at).map(|(_, name)| *name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_the_numbers() {
        for (at, (status, name)) in NAMES.into_iter().enumerate() {
            assert_eq!(status as usize, at + 1);
            assert_eq!(Status::name(status as i32), Some(name));
            assert_eq!(Status::parse(name), Some(Err(status)));
        }
        assert_eq!(Status::parse("12"), Some(Err(Status::Unimplemented)));
        assert_eq!(Status::parse("ok"), Some(Ok(())));
        assert_eq!((Status::parse("13"), Status::name(-1)), (None, None));
    }
}
