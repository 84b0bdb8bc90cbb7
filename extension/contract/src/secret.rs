//! Names of secrets, as rows have them and as the sidecar looks them up. Never sees a secret.

use crate::text::checked_text;

checked_text! {
    /// The name of a secret: capitals, digits and `_`.
    SecretName by complaint
}

/// What is wrong with the name of a secret; `None` when it will do.
#[must_use]
pub fn complaint(name: &str) -> Option<String> {
    let sound = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    // The text is not repeated: whoever writes a secret here by mistake should not find it in the log as well.
    (!sound).then(|| {
        "a secret is given by its name, in capitals, digits and _, as in VENDOR_TOKEN".to_owned()
    })
}
