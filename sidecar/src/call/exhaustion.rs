//! Owns telling what this machine lacks, descriptors or memory, from what the other end did. Never
//! says what follows from it.

use std::{fs::File, io};

/// Whether this machine had nothing left for what was asked of it.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    let codes = [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ENOBUFS];
    error.kind() == io::ErrorKind::OutOfMemory
        || error
            .raw_os_error()
            .is_some_and(|code| codes.contains(&code))
}

/// Whether no file can be opened right now. For errors that don't tell why: the system's resolver
/// reports a socket or a file that it could not open as a name that it could not find.
pub(crate) fn is_without_descriptors() -> bool {
    File::open("/dev/null").is_err_and(|error| is_exhaustion(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_machine_lacks() {
        for (code, expected) in [
            (libc::EMFILE, true),
            (libc::ENFILE, true),
            (libc::ENOMEM, true),
            (libc::ECONNREFUSED, false),
            (libc::EACCES, false),
            (libc::ENOENT, false),
        ] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(is_exhaustion(&error), expected, "{error}");
        }
        assert!(!is_without_descriptors());
    }
}
