//! Owns the reading of the header Retry-After. Never acts on it: the database does.

use std::time::SystemTime;

use reqwest::header::{HeaderMap, RETRY_AFTER};

const A_DAY_S: u64 = 86_400;

/// Seconds from `now` that the provider asks to be left alone, 0 to 86,400; none if the header is
/// absent or can't be read.
pub(crate) fn retry_after_s(headers: &HeaderMap, now: SystemTime) -> Option<i32> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit a u64 still mean a long time.
        text.parse().unwrap_or(A_DAY_S)
    } else {
        let until = httpdate::parse_http_date(text).ok()?;
        // Rounded up: a moment too late is polite, a moment too early is not.
        until
            .duration_since(now)
            .unwrap_or_default()
            .as_millis()
            .div_ceil(1000) as u64
    };
    i32::try_from(seconds.min(A_DAY_S)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read(value: &str) -> Option<i32> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
        retry_after_s(&headers, now)
    }

    #[test]
    fn both_forms() {
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(retry_after_s(&HeaderMap::new(), SystemTime::now()), None);
    }

    #[test]
    fn clamped_and_refused() {
        assert_eq!(read("99999999999999999999999999"), Some(86_400));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(read("Sat, 06 Nov 2094 08:00:00 GMT"), Some(86_400));
        assert_eq!(read("-5"), None);
        assert_eq!(read("1.5"), None);
        assert_eq!(read("soon"), None);
        assert_eq!(read(""), None);
    }
}
