//! Checks which host a request is for. Input: a parsed head. Output: yes or a defect. RFC 9112 §3.2, RFC 9110 §7.2.

use super::error::MessageError;
use super::{Field, HttpVersion, RequestHead, target};

/// Refuses a request without exactly one valid Host: what one server takes from the first of two, another takes from
/// the second. HTTP/1.0 may do without.
///
/// # Errors
/// [`MessageError::Malformed`].
pub fn check(head: &RequestHead) -> Result<(), MessageError> {
    match head.headers.only(Field::Host, "two-hosts")? {
        Some(host) if target::is_authority(host) => Ok(()),
        Some(_) => Err(MessageError::Malformed("bad-host")),
        None if head.version == HttpVersion::Http10 => Ok(()),
        None => Err(MessageError::Malformed("no-host")),
    }
}
